"""What a check can say: a verdict, in words for the person who runs maicivy."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How a check ended. Only a problem makes `maicivy doctor` fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


class Verdict(msgspec.Struct, frozen=True):
    """What was seen, and what to do about it; `advice` is empty when all is well."""

    state: State
    seen: str
    advice: str = ""


class Finding(msgspec.Struct, frozen=True):
    """The verdict of one check."""

    check: str
    state: State
    seen: str
    advice: str


def ok(seen: str) -> Verdict:
    """All is well."""
    return Verdict(State.OK, seen)


def warning(seen: str, advice: str) -> Verdict:
    """It works, and should be looked at; also what cannot be seen."""
    return Verdict(State.WARNING, seen, advice)


def problem(seen: str, advice: str) -> Verdict:
    """Something does not work, or a promise of maicivy is not kept."""
    return Verdict(State.PROBLEM, seen, advice)
