"""Which regular expressions are let through, and why others are not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.patterns import MAX_PATTERN_CHARS, check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "^/blog/",
        "^/blog/.*$",
        r"\.html?$",
        "(a|b|c)",
        "(?:/de)?/contact",
        "(/blog/.*)?",
        "(/page[0-9]+)?$",
        r"[\w.-]+@[\w.-]+",
        "[^/]+",
        "[a-z]{2,3}",
        "x{3}",
        "x{3,}",
        "a.*?b",
        "((ab)c)*",
        "(ab){1}",
        "|",
        "a||b",
        "é+",
        "日本",
        r"\{\}\*\[\]",
        r"[\]\[]",
        "a}",
        "\t",
        "a" * MAX_PATTERN_CHARS,
        "(^|/)blog(/|$)",
        "(^|/)?a",
        "(/(de|fr|))?/a",
        ".{0,100}" * 9 + "." * 91,
    ],
)
def test_a_plain_pattern_is_let_through(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "1 to 256"),
        ("a" * (MAX_PATTERN_CHARS + 1), "1 to 256"),
        ("(a+)+", "repeat a group that repeats"),
        ("(a*)*b", "repeat a group that repeats"),
        ("((a+)b)*", "repeat a group that repeats"),
        ("(a?)*", "repeat a group that repeats"),
        ("(a{1,3}){2}", "repeat a group that repeats"),
        ("(.*){20}", "repeat a group that repeats"),
        ("(x+x+)+y", "repeat a group that repeats"),
        ("(|a){100}", "repeat a group that repeats"),
        ("(a|)*", "repeat a group that repeats"),
        ("(a||b)+", "repeat a group that repeats"),
        ("()*", "repeat a group that repeats"),
        ("(x(a|))+", "repeat a group that repeats"),
        ("(?:^|/)+", "has ^ or $ in it"),
        ("(a|$){2}", "has ^ or $ in it"),
        ("((^a)b)*", "has ^ or $ in it"),
        (".{0,100}" * 10 + "a", "written out"),
        ("(abcdefghijk){100}", "written out"),
        ("((ab){1}cdefghijk){100}", "repeat a group that repeats"),
        (r"(a)\1", r"must not contain \1"),
        (r"\bword", r"must not contain \b"),
        (r"\p", r"must not contain \p"),
        (r"\é", "escapes a letter"),
        ("(?=a)", "look around"),
        ("(?!a)", "look around"),
        ("(?<=a)", "look around"),
        ("(?P<name>a)", "name groups"),
        ("(?i)a", "set options"),
        ("(?>a)", "look around"),
        ("***=a", "repeats nothing"),
        ("*", "repeats nothing"),
        ("^*", "repeats nothing"),
        ("(|*a)", "repeats nothing"),
        ("a**", "repeats nothing"),
        ("a++", "repeats nothing"),
        ("a{,3}", "begins no"),
        ("{", "repeats nothing"),
        ("a{", "begins no"),
        ("a{1000}", "begins no"),
        ("a{101}", "more than 100"),
        ("a{1,101}", "more than 100"),
        ("a{٣}", "begins no"),
        ("a{3,2}", "no regular expression"),
        ("(", "not closed"),
        ("(a", "not closed"),
        (")", "not opened"),
        ("[a", "not closed"),
        ("[]", "empty class"),
        ("[]a]", "empty class"),
        ("[[:alpha:]]", "class within a class"),
        ("[a--b]", "class within a class"),
        ("[z-a]", "no regular expression"),
        (r"[\D]", r"must not contain \D"),
        ("a\\", "ends with a backslash"),
        ("[a\\", "ends with a backslash"),
    ],
)
def test_another_is_refused_and_it_is_said_why(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check_pattern(pattern)


@given(st.text(alphabet=r"ab.*+?{}[]()|\^$-1,d:", max_size=30))
def test_what_is_let_through_python_compiles_without_a_word(pattern: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError:
        return
    re.compile(pattern)
