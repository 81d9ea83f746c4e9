"""Who may use a data directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maicivy.standalone.datadir import LOG_MAX_BYTES, DataDir
from maicivy.standalone.process import StartRefused


def test_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.claim()
    with pytest.raises(StartRefused, match=rf"another maicivy up \(process {os.getpid()}\) already runs on"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_is_closed_to_others(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "new" / "one")
    home.claim()
    assert {oct(path.stat().st_mode & 0o777) for path in (home.path, home.run, home.log)} == {"0o700"}
    home.release()


@pytest.mark.parametrize("path", ["/proc/nothing/can/be/made/here", "/dev/null"])
def test_says_that_it_is_not_writable(path: str) -> None:
    with pytest.raises(StartRefused, match=f"MAICIVY_DATA_DIR {path} is not writable"):
        DataDir(Path(path)).claim()


def test_sockets_of_a_deep_directory_are_kept_where_their_path_is_short(tmp_path: Path) -> None:
    home = DataDir(tmp_path / ("d" * 100))
    assert len(os.fsencode(home.run)) < 80
    home.claim()
    assert home.run.stat().st_mode & 0o777 == 0o700
    home.release()
    home.run.rmdir()


def test_refuses_a_link_in_the_place_of_its_runtime_directory(tmp_path: Path) -> None:
    home = DataDir(tmp_path / ("e" * 100))
    home.run.symlink_to(tmp_path)
    try:
        with pytest.raises(StartRefused, match="belongs to another user"):
            home.claim()
    finally:
        home.run.unlink()
        home.release()


def test_a_log_that_grew_is_cut_while_it_is_written_to(tmp_path: Path) -> None:
    home = DataDir(tmp_path)
    home.claim()
    log = home.log / "postgres.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" + b"x" * LOG_MAX_BYTES)
        home.trim_logs()
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (home.log / "postgres.log.1").stat().st_size == LOG_MAX_BYTES
    home.release()
