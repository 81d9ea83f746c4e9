"""The modules of the dashboard: small, complete, and only what its policy and its promise allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maicivy.web import assets

DIRECTORY = Path(assets.__file__).parent / "static" / "dashboard"
MODULES = sorted(path.name for path in DIRECTORY.glob("*.js"))
ENTRIES = ("main.js", "wall.js")
IMPORT = re.compile(r'from "(\./[a-z]+\.js)";')


def text_of(name: str) -> str:
    return (DIRECTORY / name).read_text()


def loaded_by(entry: str) -> set[str]:
    """The modules that a page loads with this one."""
    found, waiting = set(), [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each.removeprefix("./") for each in IMPORT.findall(text_of(name))]
    return found


def test_all_of_them_weigh_less_than_20_kilobytes_as_they_are_sent() -> None:
    sizes = [len(assets.read(f"dashboard/{name}").gzipped) for name in MODULES]
    assert all(sizes)
    assert sum(sizes) < 20 << 10


def test_every_module_is_loaded_by_some_page() -> None:
    assert set().union(*(loaded_by(entry) for entry in ENTRIES)) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for_and_imports_by_relative_paths_only(name: str) -> None:
    text = text_of(name)
    assert text.startswith("/**")
    assert len(re.findall(r"^import|^\} from", text, re.MULTILINE)) == len(IMPORT.findall(text))


@pytest.mark.parametrize(
    "forbidden",
    [
        r"\beval\(",
        r"new Function\(",
        r"document\.write",
        r"insertAdjacentHTML",
        r"setAttribute\(.style",
        r"localStorage|sessionStorage|document\.cookie|indexedDB",
        r"https?://",
        r"console\.",
    ],
)
def test_no_module_does_what_it_must_not(forbidden: str) -> None:
    assert [name for name in MODULES if re.search(forbidden, text_of(name))] == []


def test_html_is_taken_from_the_server_only() -> None:
    made = [(name, line.strip()) for name in MODULES for line in text_of(name).splitlines() if "innerHTML" in line]
    assert made == [("parts.js", "template.innerHTML = await response.text();")]
