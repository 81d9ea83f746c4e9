"""Sites over HTTP: who may read one, and the routes that list and change them.

Whoever changes a site, or reads one that is not public, sends `Authorization: Bearer` and `MAICIVY_ADMIN_TOKEN`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Blueprint, Response, request

from maicivy.bootstrap import Maicivy
from maicivy.core.sites import Site, SiteBook
from maicivy.core.strict_json import read
from maicivy.errors import Refusal
from maicivy.web.bodies import read_body
from maicivy.web.context import parts
from maicivy.web.params import Query
from maicivy.web.unlocking import is_unlocked

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_SITE_BYTES: Final = 64 << 10

blueprint = Blueprint("sites", __name__, url_prefix="/api/v1/sites")

_encode = msgspec.json.Encoder().encode


class SitesMeta(msgspec.Struct, frozen=True):
    """What a `timezone` or `retention_days` that is null stands for."""

    timezone: str
    retention_days: int


def readable_site(
    maicivy: Maicivy, environ: WSGIEnvironment, reference: int | str | None, field: str = "site_id"
) -> Site:
    """The site that `reference` means (a number, measurement id or domain; None: the default), if it may be read.

    Raises:
        Refusal: `unknown_site`, naming `field`; for a site that is not public, what `require_admin` raises.
    """
    book = maicivy.site_directory.book(maicivy.now())
    site = book.default if reference is None else book.named(reference)
    if site is None and reference is not None:
        site = maicivy.site_directory.refresh().named(reference)
    if site is None:
        raise Refusal("unknown_site", "there is no such site", field)
    if not site.is_public:
        require_admin(maicivy, environ)
    return site


def require_admin(maicivy: Maicivy, environ: WSGIEnvironment) -> None:
    """Let the request go on if it carries the admin token.

    Raises:
        Refusal: `forbidden` where the installation has no such token, else `unauthorized`.
    """
    if maicivy.settings.admin_token is None:
        raise Refusal("forbidden", "nobody may do this over HTTP, for MAICIVY_ADMIN_TOKEN is not set")
    if not is_admin(maicivy, environ):
        raise Refusal("unauthorized", "this needs Authorization: Bearer and MAICIVY_ADMIN_TOKEN")


def is_admin(maicivy: Maicivy, environ: WSGIEnvironment) -> bool:
    """Whether the request carries the admin token, or only reads and carries the cookie that the token was once given
    for on the dashboard."""
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(maicivy, given):
        return True
    return is_unlocked(maicivy.settings, environ, maicivy.now())


def is_token(maicivy: Maicivy, given: str) -> bool:
    """Whether this is the admin token."""
    token = maicivy.settings.admin_token
    return token is not None and hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())


@blueprint.get("")
def list_sites() -> Response:
    """Every site that is public; with the admin token, every site."""
    Query(request.environ).known()
    everything = is_admin(parts(), request.environ)
    return _answer([site for site in parts().sites.all() if everything or site.is_public])


@blueprint.post("")
def add_site() -> Response:
    """A new site."""
    require_admin(parts(), request.environ)
    site = parts().sites.add(_said())
    parts().site_directory.forget()
    return _answer(site, 201)


@blueprint.get("/<reference>")
def show_site(reference: str) -> Response:
    """One site."""
    site = _named(reference)
    if not site.is_public:
        require_admin(parts(), request.environ)
    return _answer(site)


@blueprint.patch("/<reference>")
def change_site(reference: str) -> Response:
    """Change what is said of a site."""
    require_admin(parts(), request.environ)
    site = parts().sites.set(_named(reference).id, _said())
    parts().site_directory.forget()
    return _answer(site)


@blueprint.delete("/<reference>")
def remove_site(reference: str) -> Response:
    """Remove a site and, by and by, everything that it had."""
    require_admin(parts(), request.environ)
    site = _named(reference)
    parts().sites.remove(site.id)
    parts().site_directory.forget()
    return _answer(site)


def _named(reference: str) -> Site:
    Query(request.environ).known()
    site = SiteBook(parts().sites.all()).named(reference)
    if site is None:
        raise Refusal("not_found", "there is no such site")
    return site


def _said() -> Mapping[str, Any]:
    Query(request.environ).known()
    said = read(read_body(request.environ, MAX_SITE_BYTES))
    if not isinstance(said, dict):
        raise Refusal("invalid_site", "a site is a JSON object")
    return said


def _answer(data: Site | list[Site], status: int = 200) -> Response:
    settings = parts().settings
    meta = SitesMeta(str(settings.timezone), settings.retention_days)
    body = _encode({"success": True, "data": data, "meta": meta})
    return Response(body, status, {"Cache-Control": "no-store"}, content_type="application/json")
