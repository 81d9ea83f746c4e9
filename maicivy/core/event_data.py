"""`event_data`: the one member whose content is the sender's own affair, within limits that hold for all its levels."""

from __future__ import annotations

import re
from typing import Any, Final

from maicivy.errors import Refusal

MAX_DEPTH: Final = 10
MAX_PROPERTIES: Final = 64
MAX_KEY_CHARS: Final = 64
MAX_STRING_CHARS: Final = 2000

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres text holds no NUL, UTF-8 no lone surrogate
_MIN_NUMBER, _END_OF_NUMBERS = -(2**63), 2**64
# jsonb writes numbers out: 1e-300 would be 300 characters for every reader, and 1e20 an integer beyond 64 bits.
_LEAST_FRACTION = 1e-32


def event_data(value: Any) -> dict[str, Any]:
    """The value of the member, with every string storable; `{}` for null.

    Raises:
        Refusal: it is no object, or breaks a limit.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal("invalid_event_data", "event_data must be an object", "event_data")
    return _Checked().members(value, 1)


def storable(text: str) -> str:
    """`text` as Postgres and UTF-8 can hold it: what they cannot is U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


class _Checked:
    """One walk over event_data: refuses what breaks a limit, and returns it with every string storable."""

    __slots__ = ("_properties",)

    def __init__(self) -> None:
        self._properties = 0

    def members(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        self._properties += len(value)
        if self._properties > MAX_PROPERTIES:
            raise _bad_data("too_many_properties", f"has more than {MAX_PROPERTIES} members")
        checked = {}
        for key, item in value.items():
            if len(key) > MAX_KEY_CHARS:
                raise _bad_data("key_too_long", f"has a key of more than {MAX_KEY_CHARS} characters")
            checked[storable(key)] = self._value(item, depth)
        if len(checked) != len(value):
            raise _bad_data("duplicate_key", "names a member twice")
        return checked

    def _value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            if len(value) > MAX_STRING_CHARS:
                raise _bad_data("string_too_long", f"has a string of more than {MAX_STRING_CHARS} characters")
            return storable(value)
        if kind is int or kind is float:
            if not _MIN_NUMBER <= value < _END_OF_NUMBERS:  # nor is NaN
                raise _bad_data("invalid_number", "has a number that does not fit in 64 bits")
            if kind is float and 0.0 < abs(value) < _LEAST_FRACTION:
                raise _bad_data("invalid_number", f"has a number between 0 and {_LEAST_FRACTION}")
            return value
        if kind is bool or value is None:
            return value
        if depth >= MAX_DEPTH:
            raise _bad_data("too_deep", f"is nested deeper than {MAX_DEPTH} levels")
        if kind is dict:
            return self.members(value, depth + 1)
        return [self._value(item, depth + 1) for item in value]


def _bad_data(code: str, what: str) -> Refusal:
    return Refusal(code, f"event_data {what}", "event_data")
