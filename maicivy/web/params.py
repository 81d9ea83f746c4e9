"""Query parameters, strictly: an unknown, repeated or malformed one is an error, never silently clamped."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from werkzeug import Request
from werkzeug.datastructures import MultiDict

from maicivy.core.periods import Period
from maicivy.errors import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

T = TypeVar("T")


class Query:
    """The parameters of one request. Made of the WSGI environment, so that `shortcut.py` needs no Flask for it."""

    __slots__ = ("_values",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._values = _parsed(environ.get("QUERY_STRING", ""))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> str | None:
        """The parameter as it was written, or None when absent."""
        return self._values.get(name)

    def known(self, *names: str) -> None:
        """Refuse any query parameter that is not among `names`, or that is given twice."""
        for name, values in self._values.lists():
            if name not in names:
                raise Refusal("unknown_parameter", f"there is no parameter {name[:64]!r}", name[:64])
            if len(values) > 1:
                raise Refusal("repeated_parameter", f"{name} is given twice", name)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number in ASCII digits from `low` to `high`."""

        def read(text: str) -> int:
            if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
                raise ValueError(text)
            return int(text)

        return self.optional(name, default, read, f"a whole number from {low} to {high}")

    def period(self, default: Period | None) -> Period:
        """`day`, `week` or `month`; required when there is no default."""
        wanted = "day, week or month"
        if default is None and "period" not in self._values:
            raise Refusal("missing_parameter", f"period is required: {wanted}", "period")
        return self.optional("period", default or Period.DAY, Period, wanted)

    def optional(self, name: str, default: T, read: Callable[[str], T], wanted: str) -> T:
        """The parameter as `read` makes it, or `default` when absent. `read` raises ValueError for a bad one."""
        text = self._values.get(name)
        if text is None:
            return default
        try:
            return read(text)
        except ValueError as error:
            raise Refusal("invalid_parameter", f"{name} must be {wanted}", name) from error


@lru_cache(64)
def _parsed(query_string: str) -> MultiDict[str, str]:
    """Never to be changed: the dashboards of one installation ask the same few things again and again."""
    return Request({"QUERY_STRING": query_string}).args
