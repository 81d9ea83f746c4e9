"""The `filters` of a question: nested arrays in, a tree of `core.query.Filter` out, or a refusal that names the place.

What a filter may cost is bounded here: how many there are, how deep they stand, how much they list, and what a
pattern may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from maicivy.core.patterns import check_pattern
from maicivy.core.query import EVENT_DIMENSIONS, PROPERTY, VISIT_DIMENSIONS, And, Filter, Match, Not, Operator, Or
from maicivy.errors import Refusal

MAX_FILTERS: Final = 64
MAX_NESTING: Final = 8
MAX_VALUES: Final = 1000
MAX_PATTERNS: Final = 20
"""Of a filter that matches: each is tried on each distinct value of its dimension."""

MAX_VALUE_CHARS: Final = 2000
MAX_PROPERTY_CHARS: Final = 64

OPERATORS: Final[tuple[Operator, ...]] = Operator.__args__  # type: ignore[attr-defined]
_PATTERNS: Final = ("matches", "matches_not")
_GROUPS: Final = ("and", "or")
_ALL: Final = (*OPERATORS, *_GROUPS, "not")


def parse_filters(value: Any, field: str) -> Filter | None:
    """The one filter that all of `value` make together; None for none.

    Raises:
        Refusal: `invalid_filters`, `too_many_filters`, `unknown_operator`, `unknown_dimension`, `invalid_pattern`.
    """
    if not isinstance(value, list):
        raise invalid_filters("filters must be a list", field)
    filters = _Reader(field).read_all(value, field, 1)
    if not filters:
        return None
    return filters[0] if len(filters) == 1 else And(filters)


def matches_of(filter_: Filter | None) -> Iterator[Match]:
    """Every comparison in it, at whatever depth."""
    if isinstance(filter_, Match):
        yield filter_
    elif isinstance(filter_, Not):
        yield from matches_of(filter_.filter)
    elif filter_ is not None:
        for each in filter_.filters:
            yield from matches_of(each)


def without_events(filter_: Filter | None) -> Filter | None:
    """What is left of a filter when nothing is asked of events: conditions on visits that had to hold anyway.

    An `or` or `not` in which events occur says nothing of visits alone, so it goes as a whole.
    """
    if isinstance(filter_, And):
        left = [each for part in filter_.filters if (each := without_events(part)) is not None]
        return None if not left else left[0] if len(left) == 1 else And(tuple(left))
    return None if any(is_of_events(match.dimension) for match in matches_of(filter_)) else filter_


def is_of_events(dimension: str) -> bool:
    """Whether it is a dimension of single events."""
    return dimension.startswith("event:")


def check_dimension(name: Any, field: str) -> str:
    """The name, if it is that of a dimension other than time.

    Raises:
        Refusal: `unknown_dimension`.
    """
    if isinstance(name, str):
        if name in EVENT_DIMENSIONS or name in VISIT_DIMENSIONS:
            return name
        key = name.removeprefix(PROPERTY)
        if key != name and 0 < len(key) <= MAX_PROPERTY_CHARS and _is_text(key):
            return name
    raise Refusal("unknown_dimension", f"there is no dimension {shown(name)}", field)


def shown(value: Any) -> str:
    """A value as a message may quote it."""
    return repr(value)[:80].encode("ascii", "backslashreplace").decode() if isinstance(value, str) else "of that kind"


def invalid_filters(message: str, field: str) -> Refusal:
    """What is said of filters that are no such thing."""
    return Refusal("invalid_filters", message, field)


class _Reader:
    """Reads one tree; counts as it goes, so that a large one is refused before it is read."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._count = 0

    def read_all(self, value: list[Any], field: str, depth: int) -> tuple[Filter, ...]:
        if self._count + len(value) > MAX_FILTERS:
            raise Refusal("too_many_filters", f"there are more than {MAX_FILTERS} filters", self._field)
        return tuple(self._read(each, f"{field}[{place}]", depth) for place, each in enumerate(value))

    def _read(self, value: Any, field: str, depth: int) -> Filter:
        if depth > MAX_NESTING:
            raise invalid_filters(f"filters are nested deeper than {MAX_NESTING} levels", field)
        self._count += 1
        if self._count > MAX_FILTERS:
            raise Refusal("too_many_filters", f"there are more than {MAX_FILTERS} filters", self._field)
        if not (isinstance(value, list) and value):
            raise invalid_filters('a filter is a list such as ["is", "visit:country", ["DE"]]', field)
        operator = value[0]
        if not isinstance(operator, str) or operator not in _ALL:
            raise Refusal("unknown_operator", f"there is no operator {shown(operator)}", f"{field}[0]")
        if operator == "not":
            _check_length(value, 2, field)
            return Not(self._read(value[1], f"{field}[1]", depth + 1))
        if operator in _GROUPS:
            _check_length(value, 2, field)
            if not (isinstance(value[1], list) and value[1]):
                raise invalid_filters(f"{operator} needs a list of one filter or more", f"{field}[1]")
            filters = self.read_all(value[1], f"{field}[1]", depth + 1)
            return And(filters) if operator == "and" else Or(filters)
        return _match(operator, value, field)


def _match(operator: Any, value: list[Any], field: str) -> Match:
    if len(value) not in (3, 4):
        raise invalid_filters(f"{operator} needs a dimension and a list of values", field)
    dimension = check_dimension(value[1], f"{field}[1]")
    values = _values(value[2], operator in _PATTERNS, f"{field}[2]")
    return Match(operator, dimension, values, _case_sensitive(value[3], f"{field}[3]") if len(value) == 4 else True)


def _values(value: Any, are_patterns: bool, field: str) -> tuple[str, ...]:
    most = MAX_PATTERNS if are_patterns else MAX_VALUES
    if not (isinstance(value, list) and 0 < len(value) <= most):
        raise invalid_filters(f"the values must be a list of 1 to {most:,} texts", field)
    for place, text in enumerate(value):
        at = f"{field}[{place}]"
        if not isinstance(text, str) or not _is_text(text):
            raise invalid_filters("a value must be text, without NUL and lone surrogates", at)
        if len(text) > MAX_VALUE_CHARS:
            raise invalid_filters(f"a value has at most {MAX_VALUE_CHARS:,} characters", at)
        if are_patterns:
            try:
                check_pattern(text)
            except ValueError as error:
                message = f"the pattern {error}".encode("ascii", "backslashreplace").decode()
                raise Refusal("invalid_pattern", message, at) from error
    return tuple(dict.fromkeys(value))


def _case_sensitive(value: Any, field: str) -> bool:
    if isinstance(value, dict):
        for name in value:
            if name != "case_sensitive":
                raise Refusal("unknown_field", f"a filter has no modifier {shown(name)}", field)
        flag = value.get("case_sensitive", True)
        if type(flag) is bool:
            return flag
    raise invalid_filters('the modifiers must be {"case_sensitive": true} or false', field)


def _check_length(value: list[Any], length: int, field: str) -> None:
    if len(value) != length:
        raise invalid_filters(f"{value[0]} takes one more element and no other", field)


def _is_text(text: str) -> bool:
    """Whether Postgres can hold it."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
