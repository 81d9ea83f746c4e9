"""What an operator adds to the lists, and what is made of files that are none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from maicivy.enrichment import lists
from maicivy.enrichment.bots import reason_of_referrer, reason_of_user_agent


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """The directory of an operator's lists, which are adopted for this test only."""
    directory = tmp_path / "lists"
    directory.mkdir()
    lists.adopt(tmp_path)
    yield directory
    lists.adopt(Path("/nonexistent"))


def test_entries_are_added_and_taken_away(own: Path) -> None:
    (own / "bots.txt").write_text("# ours\n\nMyMonitor/  # the one in the cellar\n-curl/\n- wget\n--\n-x\nno\n")
    (own / "referrer_spam.txt").write_text("Spam.example\n-semalt.com\n")
    assert reason_of_user_agent("mymonitor/2") == "user_agent"
    assert reason_of_user_agent("curl/8.5.0") == ""
    assert reason_of_user_agent("Wget/1.21.4") == ""
    assert reason_of_user_agent("notes no") == ""  # two letters are too few
    assert reason_of_referrer("www.spam.example") == "referrer_spam"
    assert reason_of_referrer("semalt.com") == ""


def test_a_file_is_read_when_it_is_first_needed_and_then_kept(own: Path) -> None:
    (own / "bots.txt").write_text("first-word")
    assert reason_of_user_agent("a first-word") == "user_agent"
    (own / "bots.txt").write_text("second-word")
    assert reason_of_user_agent("a second-word") == ""


def test_without_files_our_lists_are_the_lists(own: Path) -> None:
    assert lists.entries("bots") >= {"curl/", "wget"}


@pytest.mark.parametrize("content", [b"\xff\xfe\x00curious\n", b"\x00" * 1000, b"x" * 100_000, b"[a-z]*(((\n.*.*.*"])
def test_whatever_the_file_holds_people_stay_people(own: Path, content: bytes) -> None:
    (own / "bots.txt").write_bytes(content)
    assert reason_of_user_agent("Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0") == ""


def test_a_list_that_is_too_long_or_unreadable_is_said_in_the_log(
    own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lists, "MAX_ENTRIES", 2)
    (own / "bots.txt").write_text("word-one\nword-two\nword-three")
    (own / "referrer_spam.txt").mkdir()
    with caplog.at_level(logging.WARNING):
        assert "word-three" not in lists.entries("bots")
        assert "semalt.com" in lists.entries("referrer_spam")
    assert [record.message for record in caplog.records] == ["list_too_long", "list_unreadable"]


def test_the_lists_have_a_version() -> None:
    assert lists.version().startswith("bots=")
    assert "referrer_spam=" in lists.version()
