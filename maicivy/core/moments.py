"""Times from outside: RFC 3339 with an offset, or Unix seconds or milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

# The limits of hours and minutes are here because fromisoformat takes 24:00 (from Python 3.13 on) and +12:99.
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_MILLISECONDS_FROM: Final = 100_000_000_000  # as seconds this is the year 5138, so a larger number is in milliseconds


def moment(value: Any) -> datetime:
    """The time that a JSON value says, aware and in UTC.

    Raises:
        ValueError, OverflowError, OSError: it says none.
    """
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    if type(value) is int or type(value) is float:
        return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
    raise ValueError(value)
