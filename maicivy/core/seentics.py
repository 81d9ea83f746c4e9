"""Events as clients of Seentics send them: the same things under other names.

    {"siteId": "example.org", "events": [{"event_type": "pageview", "page": "/pricing", "visitor_id": "...", ...}]}

What such a client says of who its visitor is, is dropped: visitors are told apart by core/identity.py alone. What it
says of browser, device and country is found out from the request instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from maicivy.core.circumstances import (
    MAX_SCREEN_PX,
    MAX_SESSION_S,
    SCREEN_FIELDS,
    SEENTICS_SITE,
    SITE_FIELDS,
    UTM_FIELDS,
    language_of,
)

_NAMES: Final = {"page": "page_url", "properties": "event_data"}
_OURS: Final = {ours: theirs for theirs, ours in _NAMES.items()}
_DROPPED: Final = frozenset(
    {"visitor_id", "session_id", "user_agent", "ip_address", "country", "browser", "device", "os"}
)
_MARKS: Final = frozenset({*_NAMES, SEENTICS_SITE, "visitor_id", "session_id", "time_on_page"})
_KEPT: Final = frozenset({*UTM_FIELDS, *SITE_FIELDS, SEENTICS_SITE, "event_type", "referrer", "timestamp", "id"})
FIELDS: Final = frozenset({*_NAMES, *_DROPPED, *_KEPT, *SCREEN_FIELDS, "time_on_page", "language"})


def is_such(raw: Mapping[str, Any]) -> bool:
    """Whether an object is an event in this form: it has only members of it, and one that no other form has."""
    return raw.keys() <= FIELDS and not raw.keys().isdisjoint(_MARKS)


def native(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The same event in the words of the gate, which still has to check it.

    `time_on_page`, seconds, is kept in event_data, and is the session_duration too if it is whole.
    """
    said = {_NAMES.get(name, name): value for name, value in raw.items() if name in _KEPT or name in _NAMES}
    for name in SCREEN_FIELDS:  # 0 or nonsense where the browser did not tell
        value = raw.get(name)
        if type(value) is int and 1 <= value <= MAX_SCREEN_PX:
            said[name] = value
    language = raw.get("language")
    if isinstance(language, str):
        said["language"] = language_of(language) or None
    seconds = raw.get("time_on_page")
    if type(seconds) is int or type(seconds) is float:
        data = said.get("event_data")
        if data is None or isinstance(data, dict):
            said["event_data"] = {**(data or {}), "time_on_page": seconds}
        if 0 <= seconds <= MAX_SESSION_S and seconds == int(seconds):
            said["session_duration"] = int(seconds)
    return said


def name_of(field: str | None) -> str | None:
    """What this form calls a member of ours."""
    return _OURS.get(field, field) if field is not None else None
