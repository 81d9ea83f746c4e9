"""Sites over HTTP: who may read one, and the routes that list and change them.

Whoever changes a site, or reads one that is not public, sends `Authorization: Bearer` and `MAICIVY_ADMIN_TOKEN`.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from maicivy.bootstrap import Maicivy
from maicivy.core.sites import Site
from maicivy.errors import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


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
        raise Refusal("forbidden", "nobody may, for MAICIVY_ADMIN_TOKEN is not set")
    if not is_admin(maicivy, environ):
        raise Refusal("unauthorized", "this needs Authorization: Bearer and MAICIVY_ADMIN_TOKEN")


def is_admin(maicivy: Maicivy, environ: WSGIEnvironment) -> bool:
    """Whether the request carries the admin token."""
    token = maicivy.settings.admin_token
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return (
        token is not None
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    )
