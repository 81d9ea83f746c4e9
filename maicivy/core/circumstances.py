"""What a sender may tell of the circumstances of an event: its site, the screen, the campaign, how a page was read.

All of it is optional. `traits` reads those members, `sites` the references to a site; `language_of` and `click_id_of`
read what browsers say without being asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from maicivy.core.dimensions import CLICK_IDS
from maicivy.core.event_data import storable
from maicivy.core.events import ENGAGEMENT, NO_TRAITS, Traits
from maicivy.errors import Refusal

MAX_SESSION_S: Final = 31 * 86_400
MAX_SCREEN_PX: Final = 100_000
MAX_UTM_CHARS: Final = 200
MAX_ENGAGEMENT_MS: Final = 86_400_000
MAX_SCROLL_DEPTH: Final = 100
MAX_REFERENCE_CHARS: Final = 253  # of a host name
MAX_LANGUAGE_CHARS: Final = 100

SITE_FIELDS: Final = ("site_id", "website_id", "measurement_id", "domain")
"""Members that name a site; all of them may say any kind of reference."""

SEENTICS_SITE: Final = "siteId"
"""And another, in Seentics' form."""

UTM_FIELDS: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
SCREEN_FIELDS: Final = ("screen_width", "screen_height")
READING_FIELDS: Final = ("engagement_ms", "scroll_depth")
FIELDS: Final = frozenset(
    {*SITE_FIELDS, *UTM_FIELDS, *SCREEN_FIELDS, *READING_FIELDS, "language", "interactive", "bot"}
)

_SITE: Final = frozenset({*SITE_FIELDS, SEENTICS_SITE})
_UTM: Final = frozenset(UTM_FIELDS)
_READING: Final = frozenset({*READING_FIELDS, "interactive"})
_NO_UTM: Final = ("", "", "", "", "")
_LANGUAGE: Final = re.compile(r" *([A-Za-z]{2,8})(?![A-Za-z0-9])")
_CLICK_ID: Final = re.compile(rf"[?&]({'|'.join(CLICK_IDS)})(?=[=&]|$)", re.IGNORECASE | re.ASCII)  # `ScCid`


def language_of(text: str) -> str:
    """The primary tag of the first language in an `Accept-Language` or a tag of one, in lower case; else `""`."""
    found = _LANGUAGE.match(text)
    return found[1].lower() if found is not None else ""


def click_id_of(url: str) -> str:
    """The click id in the query of a URL, in lower case, or `""`; of several that which says the most."""
    if "?" not in url:
        return ""
    found = {name.lower() for name in _CLICK_ID.findall(url.partition("#")[0])}
    return next((name for name in CLICK_IDS if name in found), "") if found else ""


def with_click_id(url: str, name: str) -> str:
    """A stored URL as it has to be sent for `click_id_of` to find `name`; the URL itself when there is none."""
    if not name:
        return url
    return f"{url}&{name}" if "?" in url else f"{url}?{name}"


def with_campaign_of(url: str, told: Traits) -> Traits:
    """What an event tells, and of the campaign that which only its URL says: for one that is not kept as a whole."""
    found: dict[str, str] = {}
    for field in url.partition("?")[2].split("&"):
        name, _, value = field.partition("=")
        if value and name in _UTM:
            found.setdefault(name, storable(unquote_plus(value).strip()[:MAX_UTM_CHARS]))
    if not found:
        return told
    source, medium, campaign, term, content = [
        said or found.get(name, "") for name, said in zip(UTM_FIELDS, told.utm or _NO_UTM, strict=True)
    ]
    return msgspec.structs.replace(told, utm=(source, medium, campaign, term, content))


def sites(raw: Mapping[str, Any]) -> tuple[tuple[str, int | str], ...]:
    """The references to a site that are given, each once, behind the member that gives it.

    Whether they mean one site, and which, core/placing.py sees.

    Raises:
        Refusal: `invalid_site`, one of them is neither a number nor a text that could name a site.
    """
    if _SITE.isdisjoint(raw):
        return ()
    found: dict[int | str, str] = {}
    for field in (*SITE_FIELDS, SEENTICS_SITE):
        value = raw.get(field)
        if value is None:
            continue
        if type(value) is str and 0 < len(value) <= MAX_REFERENCE_CHARS:
            value = storable(value)
        elif type(value) is not int or not 0 < value < 2**31:
            raise Refusal("invalid_site", f"{field} must be a site's number, measurement id or domain", field)
        found.setdefault(value, field)
    return tuple((field, value) for value, field in found.items())


def traits(raw: Mapping[str, Any], event_type: str, data: Mapping[str, Any], click_id: str) -> Traits:
    """What the members of an event say; `data` is its checked event_data, whose word counts where members are absent.

    Raises:
        Refusal: `invalid_screen`, `invalid_language`, `invalid_utm`, `invalid_interactive`, `invalid_engagement` or
            `invalid_bot`.
    """
    utm = _utm(raw)
    found = Traits(
        language=_language(raw.get("language")),
        screen_width=_screen(raw.get("screen_width"), "screen_width"),
        screen_height=_screen(raw.get("screen_height"), "screen_height"),
        utm=utm if any(utm) else None,
        click_id=click_id,
        interactive=data.get("interactive") is not False,
        engagement_ms=_told(data, "engagement_ms", MAX_ENGAGEMENT_MS) if event_type == ENGAGEMENT else 0,
        scroll_depth=_told(data, "scroll_depth", MAX_SCROLL_DEPTH) if event_type == ENGAGEMENT else 0,
        bot=_flag(raw.get("bot"), "bot", "invalid_bot") or False,
    )
    return NO_TRAITS if found == NO_TRAITS else found


def joined(told: Traits, seen: Traits) -> Traits:
    """What an event says of its circumstances, with what its request shows of the client: its language only if the
    event tells none."""
    return Traits(
        seen.user_agent,
        told.language or seen.language,
        seen.country,
        seen.region,
        seen.city,
        told.screen_width,
        told.screen_height,
        told.utm,
        told.click_id,
        told.interactive,
        told.engagement_ms,
        told.scroll_depth,
        told.bot,
    )


def with_reading(raw: Mapping[str, Any], event_type: str, data: Any) -> Any:
    """`data`, the event_data as it was sent, with the members that it keeps too: `READING_FIELDS`, and `interactive`
    where it is false or contradicts.

    Raises:
        Refusal: `invalid_interactive`, or `invalid_engagement`, also for such a member of another type of event.
    """
    if _READING.isdisjoint(raw):
        return data
    kept: dict[str, Any] = {}
    for field, most in zip(READING_FIELDS, (MAX_ENGAGEMENT_MS, MAX_SCROLL_DEPTH), strict=True):
        value = raw.get(field)
        if value is None:
            continue
        if event_type != ENGAGEMENT:
            raise Refusal("invalid_engagement", f"only events of type {ENGAGEMENT!r} have {field}", field)
        if type(value) is not int or not 0 <= value <= most:
            raise Refusal("invalid_engagement", f"{field} must be a whole number from 0 to {most}", field)
        kept[field] = value
    interactive = _flag(raw.get("interactive"), "interactive", "invalid_interactive")
    if interactive is False or (interactive and isinstance(data, dict) and "interactive" in data):
        kept["interactive"] = interactive
    if not kept or not isinstance(data, dict | None):
        return data
    return {**(data or {}), **kept}


def _told(data: Mapping[str, Any], field: str, most: int) -> int:
    """A number of event_data, which may hold anything: what is no such number says nothing."""
    value = data.get(field)
    return value if type(value) is int and 0 <= value <= most else 0


def _language(value: Any) -> str:
    if value is None:
        return ""
    language = language_of(value) if isinstance(value, str) and len(value) <= MAX_LANGUAGE_CHARS else ""
    if not language:
        raise Refusal("invalid_language", "language must be a language tag such as en or pt-BR", "language")
    return language


def _screen(value: Any, field: str) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 1 <= value <= MAX_SCREEN_PX:
        raise Refusal("invalid_screen", f"{field} must be whole pixels from 1 to {MAX_SCREEN_PX}", field)
    return value


def _utm(raw: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    if _UTM.isdisjoint(raw):
        return _NO_UTM
    source, medium, campaign, term, content = [_text(raw.get(field), field) for field in UTM_FIELDS]
    return source, medium, campaign, term, content


def _text(value: Any, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal("invalid_utm", f"{field} must be a string", field)
    return storable(value[:MAX_UTM_CHARS])


def _flag(value: Any, field: str, code: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise Refusal(code, f"{field} must be true or false", field)
    return value
