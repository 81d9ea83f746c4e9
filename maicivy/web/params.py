"""Query parameters, strictly: an unknown, repeated or malformed one is an error, never silently clamped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request

from maicivy.core.periods import Period
from maicivy.errors import Refusal

T = TypeVar("T")


def known(*names: str) -> None:
    """Refuse any query parameter that is not among `names`, or that is given twice."""
    for name, values in request.args.lists():
        if name not in names:
            raise Refusal("unknown_parameter", f"there is no parameter {name[:64]!r}", name[:64])
        if len(values) > 1:
            raise Refusal("repeated_parameter", f"{name} is given twice", name)


def whole(name: str, default: int, low: int, high: int) -> int:
    """A whole number in ASCII digits from `low` to `high`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
            raise ValueError(text)
        return int(text)

    return optional(name, default, read, f"a whole number from {low} to {high}")


def period(default: Period | None) -> Period:
    """`day`, `week` or `month`; required when there is no default."""
    wanted = "day, week or month"
    if default is None and "period" not in request.args:
        raise Refusal("missing_parameter", f"period is required: {wanted}", "period")
    return optional("period", default or Period.DAY, Period, wanted)


def optional(name: str, default: T, read: Callable[[str], T], wanted: str) -> T:
    """The parameter as `read` makes it, or `default` when it is absent. `read` raises ValueError for a bad one."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        return read(text)
    except ValueError as error:
        raise Refusal("invalid_parameter", f"{name} must be {wanted}", name) from error
