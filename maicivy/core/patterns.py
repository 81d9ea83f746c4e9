"""Regular expressions from outside, for the filters `matches` and `matches_not`.

Postgres evaluates them; but only what means the same there, in Python and in RE2 is let through, and nothing that can
take long: no references back, no looking around, no repetition of what is itself repeated or has an anchor in it, and
no more in all than `MAX_UNROLLED` once what is repeated so many times is written out, as Postgres does.
"""

from __future__ import annotations

import re
from typing import Final

MAX_PATTERN_CHARS: Final = 256
MAX_REPEAT: Final = 100
MAX_UNROLLED: Final = 1000
"""Characters, classes and anchors of a pattern in which `{n,m}` is written out. Of thousands made at random that keep
to all these rules the slowest took Postgres 0.1 s, once; without the rules, more than 8 s."""

_CLASSES: Final = frozenset("dswDSW")
_CONTROLS: Final = frozenset("tnr")
_REPEAT: Final = re.compile(r"\{([0-9]{1,3})(,([0-9]{1,3})?)?\}", re.ASCII)
_DOUBLED: Final = ("--", "&&", "~~", "||")  # reserved for operations on sets


def check_pattern(text: str) -> None:
    """Pass if `text` may be used as a pattern.

    Raises:
        ValueError: it may not; the message says why, as the end of a sentence about it.
    """
    if not 0 < len(text) <= MAX_PATTERN_CHARS:
        raise ValueError(f"must have 1 to {MAX_PATTERN_CHARS} characters")
    _Scan(text).run()
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from error


class _Scan:
    """One walk over a pattern, that stops at the first thing that is not allowed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # Whether each open group holds a repetition, or an empty alternative, which is one too: (|a) is (a?). The first
        # is the pattern itself.
        self._repeats = [False]
        # Whether each has an anchor in it, and what it comes to when it is written out.
        self._anchors = [False]
        self._is_empty = True  # the alternative that is being read
        self._sizes = [0]
        # Whether what stands right before may be repeated, whether it repeats something or has an anchor, and its size.
        self._atom = False
        self._atom_repeats = False
        self._atom_anchored = False
        self._atom_size = 0

    def run(self) -> None:
        while self._at < len(self._text):
            self._step(self._text[self._at])
        if len(self._repeats) != 1:
            raise ValueError("has a group that is not closed")
        if self._sizes[0] > MAX_UNROLLED:
            raise ValueError(f"has more than {MAX_UNROLLED} characters when what it repeats is written out")

    def _step(self, char: str) -> None:
        if char == "\\":
            self._escape(_CLASSES)
            self._is_atom()
        elif char == "[":
            self._bracket()
            self._is_atom()
        elif char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char in "*+?{":
            self._repeat(char)
        else:
            self._at += 1
            if char == "|":
                self._end_alternative()
            self._is_atom()
            self._atom = char not in "|^$"
            self._is_empty = char == "|"
            self._anchors[-1] = self._anchors[-1] or char in "^$"

    def _is_atom(self) -> None:
        self._atom, self._atom_repeats, self._atom_anchored, self._atom_size = True, False, False, 1
        self._sizes[-1] += 1
        self._is_empty = False

    def _end_alternative(self) -> None:
        self._repeats[-1] = self._repeats[-1] or self._is_empty

    def _escape(self, letters: frozenset[str]) -> None:
        char = self._text[self._at + 1 : self._at + 2]
        if not char:
            raise ValueError("ends with a backslash")
        if char.isalnum() and char not in letters | _CONTROLS:
            raise ValueError(f"must not contain \\{char}" if char.isascii() else "escapes a letter")
        self._at += 2

    def _bracket(self) -> None:
        self._at += 2 if self._text.startswith("[^", self._at) else 1
        if self._text.startswith("]", self._at):
            raise ValueError("has an empty class; write \\] for a bracket")
        while not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                raise ValueError("has a class that is not closed")
            if self._text.startswith("[", self._at) or self._text.startswith(_DOUBLED, self._at):
                raise ValueError("has a class within a class; write \\[ for a bracket")
            if self._text[self._at] == "\\":
                self._escape(frozenset("dsw"))
            else:
                self._at += 1
        self._at += 1

    def _open(self) -> None:
        self._at += 1
        if self._text.startswith("?", self._at):
            if not self._text.startswith("?:", self._at):
                raise ValueError("must not look around, name groups or set options: of (?...) only (?:...) is allowed")
            self._at += 2
        self._repeats.append(False)
        self._anchors.append(False)
        self._sizes.append(0)
        self._atom, self._is_empty = False, True

    def _close(self) -> None:
        if len(self._repeats) == 1:
            raise ValueError("closes a group that was not opened")
        self._at += 1
        self._end_alternative()
        self._is_empty = False
        inner = self._repeats.pop()
        self._repeats[-1] = self._repeats[-1] or inner
        anchored, size = self._anchors.pop(), self._sizes.pop() + 1
        self._anchors[-1] = self._anchors[-1] or anchored
        self._sizes[-1] += size
        self._atom, self._atom_repeats, self._atom_anchored, self._atom_size = True, inner, anchored, size

    def _repeat(self, char: str) -> None:
        if not self._atom:
            raise ValueError("repeats nothing; write \\* \\+ \\? \\{ for the characters")
        most = self._bound() if char == "{" else MAX_REPEAT
        if char != "{":
            self._at += 1
        if self._text.startswith("?", self._at):  # as few as possible: all the same to whether it matches
            self._at += 1
        if char != "?" and most > 1 and self._atom_repeats:
            raise ValueError("must not repeat a group that repeats something")
        if char != "?" and most > 1 and self._atom_anchored:
            raise ValueError("must not repeat a group that has ^ or $ in it")
        if char == "{":
            self._sizes[-1] += self._atom_size * max(most - 1, 0)
        self._repeats[-1] = True
        self._atom = False

    def _bound(self) -> int:
        found = _REPEAT.match(self._text, self._at)
        if found is None:
            raise ValueError("has a { that begins no {n}, {n,} or {n,m}; write \\{ for the character")
        self._at = found.end()
        low, high = int(found[1]), int(found[3] or found[1])
        if max(low, high) > MAX_REPEAT:
            raise ValueError(f"repeats something more than {MAX_REPEAT} times")
        return MAX_REPEAT if found[2] == "," else high
