"""Reads the YAML of our own files: maps, lists, scalars, `|` blocks, anchors and merges. Anything else is an error.

A YAML library would be one more dependency, for three files that we write ourselves.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_KEY = re.compile(r"""^("[^"]*"|[\w.<-][\w .<-]*):(?:\s+(.*))?$""")
_LINE = re.compile(r"^( *)(.*?)\s*$")


def read_yaml(path: Path) -> Any:
    """The document in `path`."""
    return _Reader(path.read_text(encoding="utf-8")).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines: list[tuple[int, str]] = []
        self._anchors: dict[str, Any] = {}
        self._at = 0
        for raw in text.splitlines():
            indent, content = _LINE.fullmatch(raw).groups()  # type: ignore[union-attr]
            self._lines.append((len(indent), content))

    def document(self) -> Any:
        value = self._block(0)
        assert self._peek() is None, f"not understood: {self._peek()}"
        return value

    def _peek(self) -> tuple[int, str] | None:
        while self._at < len(self._lines):
            indent, content = self._lines[self._at]
            if content and not content.startswith("#"):
                return indent, content
            self._at += 1
        return None

    def _block(self, indent: int) -> Any:
        """The map or list whose lines begin at `indent`."""
        first = self._peek()
        assert first is not None
        return self._list(indent) if first[1].startswith("- ") else self._map(indent)

    def _list(self, indent: int) -> list[Any]:
        items: list[Any] = []
        while (line := self._peek()) is not None and line[0] == indent and line[1].startswith("- "):
            rest = line[1][2:].strip()
            if _KEY.match(rest) and not rest.startswith(('"', "'", "{")):
                self._lines[self._at] = (indent + 2, rest)
                items.append(self._map(indent + 2))
            else:
                self._at += 1
                items.append(_scalar(rest))
        return items

    def _map(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own: set[str] = set()
        while (line := self._peek()) is not None and line[0] == indent and not line[1].startswith("- "):
            match = _KEY.match(line[1])
            assert match, f"no key: {line[1]}"
            key, rest = match[1].strip('"'), match[2] or ""
            self._at += 1
            anchor = ""
            if rest.startswith("&"):
                anchor, _, rest = rest[1:].partition(" ")
            value = self._value(rest, indent)
            assert key not in own, f"twice: {key}"
            own.add(key)
            found = {**value, **found} if key == "<<" else {**found, key: value}
            if anchor:
                self._anchors[anchor] = value
        return found

    def _value(self, rest: str, indent: int) -> Any:
        if rest.startswith("*"):
            return self._anchors[rest[1:]]
        if rest == "|":
            return self._text(indent)
        if rest:
            return _scalar(rest)
        following = self._peek()
        if following is None or following[0] < indent or (following[0] == indent and not following[1].startswith("- ")):
            return None
        return self._block(following[0])

    def _text(self, indent: int) -> str:
        lines = []
        while self._at < len(self._lines) and (self._lines[self._at][0] > indent or not self._lines[self._at][1]):
            lines.append(self._lines[self._at][1])
            self._at += 1
        return "\n".join(lines).strip() + "\n"


def _scalar(text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            assert text.startswith("["), f"not understood: {text}"
            return [item.strip() for item in text.strip("[]").split(",")]
    if text.startswith('"'):
        return json.loads(text)
    if text.startswith("'"):
        return text.strip("'").replace("''", "'")
    text = text.partition(" #")[0].rstrip()
    if re.fullmatch(r"\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text)
