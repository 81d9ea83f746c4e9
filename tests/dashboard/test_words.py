"""Every language says everything, with the same values in it."""

from __future__ import annotations

import re
import string
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from maicivy.core.query import METRICS, VISIT_DIMENSIONS
from maicivy.core.query_filters import OPERATORS
from maicivy.dashboard import words
from maicivy.dashboard.words import LANGUAGES, Words, words_of
from maicivy.enrichment.channels import CHANNELS

_SAID = re.compile(r"""\bt\(["']([a-z0-9_.]+)["'][,)]""")
_WRITTEN = re.compile(r"""["']([a-z0-9_.]+)["']""")
_BEGUN = re.compile(r"""["']([a-z_.]+[._])(?:["'] ~|\{)|(?:under\(|choices\(.+, )["']([a-z_]+)["']""")
_BY_VALUE = ("channel.", "device.", "screen.", "event.")  # `Formats.value` looks them up by a dimension's name
FILES = Path(words.__file__).parent / "words"


def names_in(text: str | dict[str, str]) -> set[str]:
    texts = [text] if isinstance(text, str) else text.values()
    return {name for each in texts for _, name, _, _ in string.Formatter().parse(each) if name is not None}


def test_every_language_has_the_same_keys() -> None:
    for one, other in pairwise(map(words_of, LANGUAGES)):
        assert one.keys == other.keys


def test_every_language_names_the_same_values() -> None:
    for one, other in pairwise(map(words_of, LANGUAGES)):
        for key in one.keys:
            assert names_in(one.raw(key)) == names_in(other.raw(key)), key


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_text_is_empty_and_none_was_left_in_the_other_language(lang: str) -> None:
    said = words_of(lang)
    assert all(said.raw(key) for key in said.keys)
    english = words_of("en")
    long = [key for key in said.keys if len(str(said.raw(key))) > 25]
    assert lang == "en" or [key for key in long if said.raw(key) == english.raw(key)] == []


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("prefix", "names"), [
    ("metric", METRICS),
    ("metric_short", METRICS),
    ("metric_about", METRICS),
    ("operator", OPERATORS),
    ("dimension", VISIT_DIMENSIONS),
    ("channel", [name.lower().replace(" ", "_").replace("-", "_") for name in CHANNELS]),
])  # fmt: skip
def test_whatever_has_a_name_in_the_query_engine_has_words(lang: str, prefix: str, names: list[str]) -> None:
    assert [name for name in names if not words_of(lang).get(f"{prefix}.{name}")] == []


def test_whatever_pages_and_charts_say_is_there() -> None:
    package = Path(words.__file__).parent
    sources = [*package.rglob("*.py"), *(package.parent / "web").rglob("*.html")]
    said = {key for source in sources for key in _SAID.findall(source.read_text("utf-8"))}
    assert len(said) > 100
    assert said - words_of("en").keys == set()


def test_there_is_no_text_that_nothing_says() -> None:
    package = Path(words.__file__).parent
    sources = [
        *package.rglob("*.py"),
        *(package.parent / "web").rglob("*.html"),
        *(package.parent / "web").glob("*.py"),
    ]
    code = "\n".join(source.read_text("utf-8") for source in sources)
    begun = (*_BY_VALUE, *(start or f"{table}." for start, table in _BEGUN.findall(code)))
    assert (
        words_of("en").keys - set(_WRITTEN.findall(code)) - {k for k in words_of("en").keys if k.startswith(begun)}
        == set()
    )


def test_french_has_its_spaces() -> None:
    for line in (FILES / "fr.toml").read_text("utf-8").splitlines():
        if " = " in line and not line.startswith("#"):
            text = line.partition(" = ")[2]
            assert not any(wrong in text for wrong in (" ;", " ?", " !", " :", "« ", " »", "'")), line


def test_files_hold_no_other_language_than_those_that_are_offered() -> None:
    assert {path.stem for path in FILES.glob("*.toml")} == set(LANGUAGES)
    for path in FILES.glob("*.toml"):
        assert tomllib.loads(path.read_text("utf-8"))


def test_a_text_takes_its_values_as_they_are() -> None:
    assert words_of("en")("error.field", field="<b>{x}") == "The part that was not understood: <b>{x}"


@pytest.mark.parametrize(("lang", "n", "text"), [
    ("en", 0, "0 current visitors"),
    ("en", 1, "1 current visitor"),
    ("en", 2, "2 current visitors"),
    ("fr", 0, "0 visiteur en ce moment"),
    ("fr", 1, "1 visiteur en ce moment"),
    ("fr", 2, "2 visiteurs en ce moment"),
    ("fr", 1_000_000, "1000000 visiteurs en ce moment"),
])  # fmt: skip
def test_a_text_follows_the_number(lang: str, n: int, text: str) -> None:
    assert f"{n} {words_of(lang)('current.words', n=n)}" == text


def test_what_cannot_be_said_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        words_of("en")("no.such.key")
    with pytest.raises(KeyError):
        words_of("en")("moment", day="3 Nov")
    with pytest.raises(KeyError):
        words_of("de")
    assert words_of("en").get("code.made_up") == ""


def test_the_texts_of_a_table_can_be_had_together() -> None:
    assert words_of("en").under("letter")["other"] == "Other"
    assert words_of("en").under("nothing") == {}


def test_tables_become_keys_with_dots() -> None:
    flat = words._flat({"a": {"b": "c", "d": {"one": "e", "other": "f"}}, "g": "h"}, "")
    assert Words("en", dict(flat)).keys == {"a.b", "a.d", "g"}
