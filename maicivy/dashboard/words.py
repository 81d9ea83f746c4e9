"""The words of the pages, in every language that they speak: one TOML file each under `words/`, all with the same keys.

A text may name values, `{count}`, which are put in as they are. A table with `one` and `other` instead of a text is a
text whose form follows the number `n`.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from babel import Locale

LANGUAGES: Final = ("en", "fr")
"""The first is for those who read none of them."""

_FILES: Final = Path(__file__).parent / "words"
_FORMS: Final = frozenset({"one", "other"})


class Words:
    """The texts of one language, called by their key."""

    def __init__(self, language: str, texts: dict[str, str | dict[str, str]]) -> None:
        self.language = language
        self._texts = texts
        self._form = Locale(language).plural_form

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key with its values in place.

        Raises:
            KeyError: there is no such text, or it names a value that is not given: a mistake of the caller.
        """
        text = self._texts[key]
        if isinstance(text, dict):
            number = values["n"]
            form = self._form(abs(number)) if isinstance(number, int | float) else "other"
            text = text.get(form, text["other"])  # French has a form for whole millions, for texts that spell them out
        return text.format_map(values) if values else text

    def get(self, key: str) -> str:
        """The text of a key that there may be, as of a code that somebody sent; empty where there is none."""
        text = self._texts.get(key, "")
        return text if isinstance(text, str) else ""

    def under(self, prefix: str) -> dict[str, str]:
        """The texts whose keys begin with `prefix` and a dot, by the rest of the key."""
        start = prefix + "."
        return {key.removeprefix(start): self.get(key) for key in self._texts if key.startswith(start)}

    @property
    def keys(self) -> frozenset[str]:
        """All that can be said."""
        return frozenset(self._texts)

    def raw(self, key: str) -> str | dict[str, str]:
        """A text, or its forms, with the names of its values in it."""
        return self._texts[key]


@lru_cache(maxsize=len(LANGUAGES))
def words_of(language: str) -> Words:
    """The words of one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise KeyError(language)
    text = (_FILES / f"{language}.toml").read_text("utf-8")
    return Words(language, dict(_flat(tomllib.loads(text), "")))


def _flat(table: dict[str, Any], path: str) -> list[tuple[str, str | dict[str, str]]]:
    texts: list[tuple[str, str | dict[str, str]]] = []
    for name, value in table.items():
        if isinstance(value, dict) and set(value) != _FORMS:
            texts += _flat(value, f"{path}{name}.")
        else:
            texts.append((path + name, value))
    return texts
