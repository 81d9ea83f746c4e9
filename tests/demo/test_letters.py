"""Letters: whole, repeatable, and different for different people."""

from __future__ import annotations

import itertools

import pytest

from maicivy.demo import letters


def test_every_kind_for_every_role_is_a_whole_letter() -> None:
    for kind, role, number in itertools.product(letters.KINDS, letters.ROLES, range(20)):
        letter = letters.write(kind, f"Company {number}", role)
        text = "\n".join((letter.subject, letter.salutation, *letter.paragraphs, letter.closing))
        assert len(letter.paragraphs) == 3
        assert f"Company {number}" in text
        assert "{" not in text
        assert "}" not in text


def test_the_same_words_bring_the_same_letter_and_spelling_does_not_matter() -> None:
    assert letters.write("motivation", "Acme", "data") == letters.write("motivation", "  Acme \n", "data")
    assert letters.write("motivation", "Acme", "data").closing == letters.write("motivation", "ACME", "data").closing


def test_all_parts_are_used() -> None:
    for kind in letters.KINDS:
        written = [letters.write(kind, f"C{n}", "data") for n in range(200)]
        assert len({letter.closing for letter in written}) == 3
        assert len({letter.paragraphs[2] for letter in written}) >= 3


def test_a_name_is_text_and_not_a_pattern() -> None:
    letter = letters.write("anti_motivation", "{role} {0} %s <b>", "backend")
    assert letter.salutation == "Dear people of {role} {0} %s <b>,"


@pytest.mark.parametrize("company", ["", "   ", "x" * 61, "a\x00b", "a\u202eb"])
def test_a_name_that_is_none_is_refused(company: str) -> None:
    with pytest.raises(ValueError):
        letters.write("motivation", company, "data")


@pytest.mark.parametrize(("kind", "role"), [("love", "data"), ("", "data"), ("motivation", "boss"), ("motivation", "")])
def test_kinds_and_roles_are_closed_sets(kind: str, role: str) -> None:
    with pytest.raises(KeyError):
        letters.write(kind, "Acme", role)
