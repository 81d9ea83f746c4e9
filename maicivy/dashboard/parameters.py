"""The parameters of a view's URL, strictly read: what is unknown, repeated or malformed is refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar

from maicivy.core.date_ranges import Days, parse_days
from maicivy.core.query_filters import OPERATORS, parse_filters, shown
from maicivy.core.sites import time_zone
from maicivy.dashboard.panels import PANELS, card_of
from maicivy.dashboard.view import (
    COMPARISONS,
    CUSTOM,
    INTERVALS,
    MAX_FILTERS,
    METRICS,
    NAMES,
    PERIODS,
    Condition,
    View,
    filters_in_order,
    panels_in_order,
)
from maicivy.dashboard.words import LANGUAGES
from maicivy.errors import Refusal

MAX_PAGE_CHARS: Final = 500
MAX_PROPERTY_CHARS: Final = 64

_ESCAPE: Final = re.compile(r"%(25|2C)|%", re.ASCII)
_REPEATED: Final = ("f", "show")

T = TypeVar("T")


def read_view(pairs: Sequence[tuple[str, str]], others: Collection[str] = ()) -> View:
    """The view that the parameters of a URL mean. A parameter without a value counts as absent, for forms send those.

    `others` are names of parameters that somebody else reads.

    Raises:
        Refusal: naming the parameter; `unknown_parameter`, `repeated_parameter`, `invalid_parameter`.
    """
    given = _given(pairs, others)

    def one(name: str, default: T, read: Callable[[str], T]) -> T:
        return read(given[name][0]) if name in given else default

    period = one("period", "28d", _choice("period", (*PERIODS, CUSTOM)))
    days = _days(given, ("from", "to"), period == CUSTOM, "period=custom")
    compare = one("compare", "previous", _choice("compare", COMPARISONS))
    compared = _days(given, ("compare_from", "compare_to"), compare == CUSTOM, "compare=custom")
    weekday = bool(one("match", "", _choice("match", ("weekday",))))
    if weekday and compare not in ("previous", "year"):
        raise _invalid("match", "goes with a comparison with the previous period or year only")
    if len(given.get("f", ())) > MAX_FILTERS:
        raise _invalid("f", f"may stand there {MAX_FILTERS} times at most")
    return View(
        period=period,
        days=days,
        zone=one("tz", "", _zone),
        compare=compare,
        compared_days=compared,
        match_weekday=weekday,
        metric=one("metric", "visitors", _choice("metric", METRICS)),
        interval=one("interval", "", _choice("interval", INTERVALS)),
        filters=filters_in_order([_condition(text) for text in given.get("f", ())]),
        show=_panels(given.get("show", [])),
        prop=one("prop", "", _property),
        heat=one("heat", "", _path),
        lang=one("lang", "", _choice("lang", LANGUAGES)),
        bots=bool(one("bots", "", _choice("bots", ("1",)))),
    )


def condition(operator: str, dimension: str, values: Sequence[str], field: str = "f") -> Condition:
    """A filter that the query API takes.

    Raises:
        Refusal: `invalid_parameter`, naming `field`.
    """
    kept = tuple(sorted(dict.fromkeys(values)))
    found = next((known for known in OPERATORS if known == operator), None)
    if found is None:
        raise _invalid(field, f"names an operator that there is not: {shown(operator)}")
    made = Condition(dimension, found, kept)
    try:
        parse_filters([made.asked()], field)
    except Refusal as refusal:
        raise Refusal("invalid_parameter", f"{field}: {refusal.message}", field) from refusal
    return made


def read_condition(text: str, field: str = "f") -> Condition:
    """The filter that is written so.

    Raises:
        Refusal: `invalid_parameter`, naming `field`.
    """
    operator, *rest = (_unescaped(part, field) for part in text.split(","))
    if len(rest) < 2:
        raise _invalid(field, "must be OPERATOR,DIMENSION,VALUE and perhaps more values")
    return condition(operator, rest[0], rest[1:], field)


def _condition(text: str) -> Condition:
    return read_condition(text)


def _given(pairs: Iterable[tuple[str, str]], others: Collection[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in NAMES:
            if name in others:
                continue
            told = name[:64].encode("ascii", "backslashreplace").decode()
            raise Refusal("unknown_parameter", f"there is no parameter {told!r}", told)
        if name in given and name not in _REPEATED:
            raise Refusal("repeated_parameter", f"{name} is given twice", name)
        if text:
            given.setdefault(name, []).append(text)
    return given


def _choice(name: str, allowed: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise _invalid(name, f"must be one of {', '.join(allowed)}")
        return text

    return read


def _days(given: dict[str, list[str]], names: tuple[str, str], are_wanted: bool, by: str) -> Days | None:
    there = [name for name in names if name in given]
    if not are_wanted:
        if there:
            raise _invalid(there[0], f"is for {by}")
        return None
    for name in names:
        if name not in given:
            raise _invalid(name, f"is needed by {by}")
    pair = [given[name][0] for name in names]
    try:
        return parse_days(pair, "")
    except Refusal as refusal:
        name = names[0] if refusal.field == "[0]" else names[1]
        raise Refusal("invalid_parameter", f"{name}: {refusal.message}", name) from refusal


def _zone(text: str) -> str:
    try:
        return str(time_zone(text))
    except ValueError as error:
        raise _invalid("tz", "must be an IANA time zone such as Europe/Paris") from error


def _property(text: str) -> str:
    if len(text) > MAX_PROPERTY_CHARS or not _is_text(text):
        raise _invalid("prop", f"must be the name of a property, {MAX_PROPERTY_CHARS} characters at most")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or len(text) > MAX_PAGE_CHARS or not _is_text(text):
        raise _invalid("heat", f"must be a path that begins with /, {MAX_PAGE_CHARS} characters at most")
    return text


def _panels(keys: Sequence[str]) -> tuple[str, ...]:
    cards = []
    for key in keys:
        if key not in PANELS:
            raise _invalid("show", f"names a panel that there is not: {shown(key)}")
        cards.append(card_of(key))
    if len(set(cards)) != len(cards):
        raise _invalid("show", "names two panels of one card")
    return panels_in_order(keys)


def _unescaped(text: str, field: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is None:
            raise _invalid(field, "has a % that is not part of %25 or %2C")
        return "%" if found[1] == "25" else ","

    return _ESCAPE.sub(one, text)


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _invalid(name: str, message: str) -> Refusal:
    return Refusal("invalid_parameter", f"{name} {message}", name)
