"""The operations on sites, and what may be sent to them: limits out of `core/sites.py`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from maicivy.core.sites import MAX_ALLOWED_HOSTS, MAX_HOST_CHARS, MAX_RETENTION_DAYS, Site
from maicivy.web.openapi.parts import SITES, WHO, Json, errors, example, json_answer, operation, ref, success
from maicivy.web.sites import SitesMeta

_Host = Annotated[str, Meta(min_length=1, max_length=MAX_HOST_CHARS)]
_Domain = Annotated[
    _Host, Meta(description="A host name without scheme, port and path; kept in lower case, as ASCII, without `www.`.")
]
_TimeZone = Annotated[str | None, Meta(description="IANA name, such as Europe/Paris. Null: the installation's.")]
_Retention = Annotated[
    Annotated[int, Meta(ge=1, le=MAX_RETENTION_DAYS)] | None,
    Meta(description="Days for which raw events are kept. Null: the installation's."),
]
_Public = Annotated[bool, Meta(description="False: reading takes the admin token.")]
_Hosts = Annotated[
    list[_Host],
    Meta(
        max_length=MAX_ALLOWED_HOSTS,
        description="Hosts that its pages may have beside the domain, `*.example.org` for any below. Empty: any.",
    ),
]


class SiteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A site to be."""

    domain: _Domain
    timezone: _TimeZone = None
    retention_days: _Retention = None
    is_public: _Public = True
    allowed_hosts: _Hosts = []


class SiteChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays."""

    domain: _Domain | UnsetType = UNSET
    timezone: _TimeZone | UnsetType = UNSET
    retention_days: _Retention | UnsetType = UNSET
    is_public: _Public | UnsetType = UNSET
    allowed_hosts: _Hosts | UnsetType = UNSET


TYPES: Final = (Site, SitesMeta, SiteBody, SiteChange)

_SHOP: Final = Site(2, "shop.example", "MC-7Q2M4X9T0A", "Europe/Paris", 30, True, ("*.shop.example",))
_META: Final = SitesMeta("UTC", 90)
_REFERENCE: Final[Json] = {
    "name": "reference",
    "in": "path",
    "required": True,
    "description": "Number, measurement id or domain of the site.",
    "schema": {"type": "string", "examples": ["shop.example"]},
}
_ADMIN: Final[list[Json]] = [{"adminToken": []}]


def site_paths() -> Json:
    """Path -> what can be done there."""
    reference: Json = {"parameters": [_REFERENCE]}
    listed = "Public sites, by number; with the admin token, all of them."
    removed = (
        "It takes no events from now on, and what it had is deleted within hours. Its number and its measurement id"
        " are never given to another site. The answer is the site as it was."
    )
    return {
        "/api/v1/sites": {
            "get": _operation("list_sites", "All sites", listed, [_SHOP], **WHO),
            "post": _operation(
                "add_site",
                "Add a site",
                "A measurement id is made for it.",
                _SHOP,
                401,
                403,
                409,
                413,
                status="201",
                security=_ADMIN,
                **_body(SiteBody, {"domain": "shop.example", "timezone": "Europe/Paris", "retention_days": 30}),
            ),
        },
        "/api/v1/sites/{reference}": {
            "get": _operation("site", "One site", "", _SHOP, 401, 403, 404, **WHO, **reference),
            "patch": _operation(
                "change_site",
                "Change a site",
                "Members that are not there stay as they are.",
                _SHOP,
                401,
                403,
                404,
                409,
                413,
                security=_ADMIN,
                **reference,
                **_body(SiteChange, {"retention_days": 30}),
            ),
            "delete": _operation(
                "remove_site", "Remove a site", removed, _SHOP, 401, 403, 404, 409, security=_ADMIN, **reference
            ),
        },
    }


def _operation(
    name: str,
    summary: str,
    description: str,
    sample: Site | list[Site],
    *statuses: int,
    status: str = "200",
    **more: Any,
) -> Json:
    data = {"type": "array", "items": ref(Site)} if isinstance(sample, list) else ref(Site)
    body = {"success": True, "data": example(sample), "meta": example(_META)}
    answers = {status: json_answer("The answer.", success(data, ref(SitesMeta)), body)}
    return operation(SITES, name, summary, description, answers | errors(400, 503, *statuses), **more)


def _body(kind: type, sample: Json) -> Json:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(kind), "example": sample}}}
    }
