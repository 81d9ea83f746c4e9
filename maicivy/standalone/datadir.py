"""MAICIVY_DATA_DIR on disk: who may use it, where what lives, and that one `maicivy up` at a time owns it."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from maicivy.config import runtime_dir
from maicivy.standalone.process import StartRefused

LOG_MAX_BYTES = 5 << 20


class DataDir:
    """The directories of one installation. Making one writes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = runtime_dir(path)
        self.log = path / "log"
        self._lock: int | None = None

    def claim(self) -> None:
        """Make the directories and hold them until this process ends. Safe to repeat.

        Raises:
            StartRefused: not writable, somebody else's, or another `maicivy up` holds it.
        """
        if self._lock is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartRefused(f"MAICIVY_DATA_DIR {self.path} is not writable: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            os.close(lock)
            who = f"another maicivy up{f' (process {holder})' if holder else ''}"
            raise StartRefused(f"{who} already runs on MAICIVY_DATA_DIR {self.path}") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        _private_dir(self.run)
        _private_dir(self.log)

    def release(self) -> None:
        """Let another process claim it. Safe to repeat."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def trim_logs(self) -> None:
        """Cut every server log that has grown past `LOG_MAX_BYTES`, keeping one older piece of it. Cheap to call."""
        for log in self.log.glob("*.log"):
            if log.stat().st_size > LOG_MAX_BYTES:
                trim_log(log)


def trim_log(log: Path) -> None:
    """Move the content of `log` to `<log>.1`. Copied and cut, not renamed: its writer keeps the file open."""
    with log.open("r+b") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_MAX_BYTES))
        log.with_name(log.name + ".1").write_bytes(file.read())
        file.truncate(0)


def _private_dir(path: Path) -> None:
    # The fallback run directory lies in the shared temporary directory under a name that others can guess.
    try:
        path.mkdir(exist_ok=True, mode=0o700)
        status = path.lstat()
    except OSError as error:
        raise StartRefused(f"{path} is not writable: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or os.geteuid() not in (status.st_uid, 0):
        raise StartRefused(f"{path} belongs to another user (uid {status.st_uid}); remove it or set MAICIVY_DATA_DIR")
    if not os.access(path, os.W_OK | os.X_OK):
        raise StartRefused(f"{path} is not writable")
