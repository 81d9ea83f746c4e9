"""Where log lines come from: files, pipes and standard input, plain or gzip, read in bounded memory.

Whether input is gzip is told by its first bytes, never by its name.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from maicivy.core.access_log import MAX_LINE_BYTES
from maicivy.errors import MaicivyError

STDIN: Final = "-"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK_BYTES: Final = 1 << 20


class InputUnreadable(MaicivyError):
    """A file cannot be opened, or breaks off. `name` is the file's, `reason` one line for its owner."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Source:
    """One input. `size` is its bytes as they are stored (None: a pipe), `position` how many of them were read."""

    def __init__(self, name: str) -> None:
        """Open the file `name`; `-` is standard input.

        Raises:
            InputUnreadable: it is missing, a directory, or may not be read.
        """
        self.name = "standard input" if name == STDIN else name
        try:
            self._file: BinaryIO = io.FileIO(0 if name == STDIN else name, closefd=name != STDIN)
            status = os.fstat(self._file.fileno())
        except OSError as error:
            raise InputUnreadable(self.name, error.strerror or "cannot be opened") from error
        if stat.S_ISDIR(status.st_mode):
            self.close()
            raise InputUnreadable(self.name, "is a directory")
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._counted = _Counted(self._file)

    @property
    def position(self) -> int:
        return self._counted.bytes_read

    def spool(self, directory: Path) -> None:
        """Make a pipe readable twice: what it brings is first copied to a nameless file in `directory`.

        Raises:
            InputUnreadable: the copy does not fit on the disk.
        """
        if self.size is not None:
            return
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - `close` closes it
            shutil.copyfileobj(self._file, copy, _CHUNK_BYTES)
            copy.flush()
        except OSError as error:
            raise InputUnreadable(self.name, f"cannot be kept in {directory}: {error.strerror}") from error
        self._file.close()
        self._file = copy
        self.size = os.fstat(copy.fileno()).st_size

    def lines(self) -> Iterator[bytes]:
        """Every line with its line end. Of a line beyond `MAX_LINE_BYTES` only a beginning that is longer than that.

        May be called again, to read from the start, unless the source is a pipe that was not spooled.

        Raises:
            InputUnreadable: the file breaks off, after the lines before.
        """
        if self.size is not None:
            self._file.seek(0)
        self._counted = _Counted(self._file)
        raw = io.BufferedReader(self._counted, _CHUNK_BYTES)
        try:
            stream = _unpacked(raw)
            while line := stream.readline(MAX_LINE_BYTES + 2):
                if not line.endswith(b"\n") and len(line) > MAX_LINE_BYTES:
                    _skip_rest(stream)
                yield line
        except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
            raise InputUnreadable(self.name, f"breaks off: {error}") from error

    def close(self) -> None:
        """Let go of the file. Safe to repeat."""
        self._file.close()


class _Counted(io.RawIOBase):
    """Reads through, counting; closing it leaves the file below open. The first read brings two bytes if there are."""

    def __init__(self, file: BinaryIO) -> None:
        self._below = file
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._below.read(len(buffer))
        while data and self.bytes_read == 0 and len(data) < len(_GZIP_MAGIC):
            more = self._below.read(len(buffer) - len(data))
            if not more:
                break
            data += more
        buffer[: len(data)] = data
        self.bytes_read += len(data)
        return len(data)


def _unpacked(raw: io.BufferedReader[Any]) -> io.BufferedIOBase:
    if not raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC):
        return raw
    # Not wrapped in a larger buffer: what that has gathered is lost where the file breaks off.
    return gzip.GzipFile(fileobj=raw, mode="rb")


def _skip_rest(stream: io.BufferedIOBase) -> None:
    while (more := stream.readline(_CHUNK_BYTES)) and not more.endswith(b"\n"):
        pass
