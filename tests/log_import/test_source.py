"""Lines out of files, pipes and gzip, in bounded memory."""

from __future__ import annotations

import gzip
import os
import random
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from maicivy.core.access_log import MAX_LINE_BYTES
from maicivy.log_import.source import InputUnreadable, Source

LINES = [b"one\n", b"two\r\n", b"caf\xe9\n", b"\n", b"last"]


def lines_of(path: Path) -> list[bytes]:
    source = Source(str(path))
    try:
        return list(source.lines())
    finally:
        source.close()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_lines_come_as_they_are_and_again(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(pack(b"".join(LINES)))
    source = Source(str(path))
    assert list(source.lines()) == LINES
    assert source.position == source.size == path.stat().st_size
    assert list(source.lines()) == LINES
    source.close()


def test_gzip_of_several_members_is_one_log(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(gzip.compress(b"one\ntw") + gzip.compress(b"o\n"))
    assert lines_of(path) == [b"one\n", b"two\n"]


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_an_empty_file_has_no_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(content)
    assert lines_of(path) == []


@pytest.mark.parametrize("extra", [0, 1, 2, 3, 5_000_000])
def test_of_a_line_that_is_too_long_a_beginning_is_kept_that_shows_it(tmp_path: Path, extra: int) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"a" * (MAX_LINE_BYTES + extra) + b"\nnext\n")
    long, following = lines_of(path)
    assert following == b"next\n"
    assert (len(long.rstrip(b"\n")) > MAX_LINE_BYTES) == (extra > 0)
    assert len(long) <= MAX_LINE_BYTES + 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"x" * 30_000_000 + b"\n" + b"short\n" * 200_000, 1))
    source = Source(str(path))
    tracemalloc.start()
    try:
        assert sum(1 for _ in source.lines()) == 200_001
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
        source.close()


def written_by_a_thread(path: Path, pieces: list[bytes]) -> threading.Thread:
    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    os.mkfifo(path)
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_pipe_is_read_to_its_end_however_it_dribbles(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(b"".join(LINES))
    writer = written_by_a_thread(tmp_path / "pipe", [data[i : i + 1] for i in range(len(data))])
    source = Source(str(tmp_path / "pipe"))
    assert source.size is None
    assert list(source.lines()) == LINES
    writer.join()
    source.close()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_spooled_pipe_can_be_read_twice_and_leaves_no_file(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(b"".join(LINES))
    writer = written_by_a_thread(tmp_path / "pipe", [data[:1], data[1:]])
    source = Source(str(tmp_path / "pipe"))
    source.spool(tmp_path / "data")
    assert source.size == len(data)
    assert list(source.lines()) == LINES
    assert list(source.lines()) == LINES
    writer.join()
    assert list((tmp_path / "data").iterdir()) == []
    source.close()


def test_a_pipe_cannot_be_spooled_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"in the way")
    writer = written_by_a_thread(tmp_path / "pipe", [b"one\n"])
    source = Source(str(tmp_path / "pipe"))
    with pytest.raises(InputUnreadable, match="cannot be kept in"):
        source.spool(tmp_path / "data")
    assert list(source.lines()) == [b"one\n"]
    writer.join()
    source.close()


def test_the_lines_before_a_break_are_read_and_the_break_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    text = b"".join(b"%032x\n" % random.Random(n).getrandbits(128) for n in range(10_000))
    path.write_bytes(gzip.compress(text)[:-1000])
    source = Source(str(path))
    seen = []
    with pytest.raises(InputUnreadable, match=r"cut\.gz: breaks off"):
        seen.extend(source.lines())
    source.close()
    source = Source(str(path))
    reader = source.lines()
    assert [next(reader) for _ in range(5_000)] == text.splitlines(keepends=True)[:5_000]
    source.close()


@pytest.mark.parametrize(("name", "reason"), [("missing.log", "No such file"), (".", "irectory")])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputUnreadable, match=reason) as caught:
        Source(str(tmp_path / name))
    assert caught.value.name == str(tmp_path / name)
