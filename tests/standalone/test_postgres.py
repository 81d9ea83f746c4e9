"""The embedded PostgreSQL: made once, ready, gone when stopped, and back after kill -9."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from maicivy.standalone import postgres
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import Process, StartRefused, start_ready
from tests.standalone.processes import processes_of, wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[DataDir]:
    """A data directory with a cluster in it, that no server runs on."""
    path = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
    home = DataDir(path)
    home.claim()
    start_ready(Postgres(home).command(), Postgres(home).is_ready, "postgres").stop(5)
    yield home
    home.release()
    shutil.rmtree(path)


@pytest.fixture
def server(cluster: DataDir) -> Iterator[Process]:
    """A running server on it."""
    process = start_ready(Postgres(cluster).command(), Postgres(cluster).is_ready, "postgres")
    yield process
    process.stop(5)
    wait_until(lambda: not processes_of(cluster.path), what="no postgres left")


def connect(home: DataDir) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(home.run), user="maicivy", dbname="maicivy", autocommit=True)


def test_is_version_18_and_durable(cluster: DataDir, server: Process) -> None:
    wanted = {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "", "server_encoding": "UTF8"}
    with connect(cluster) as connection:
        found = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted}
        assert connection.info.server_version // 10_000 == 18
    assert found == wanted


def test_what_was_written_before_kill_9_is_there_after_it(cluster: DataDir) -> None:
    first = start_ready(Postgres(cluster).command(), Postgres(cluster).is_ready, "postgres")
    with connect(cluster) as connection:
        connection.execute("CREATE TABLE survives (n int)")
        connection.execute("INSERT INTO survives VALUES (42)")
        os.kill(first.pid, signal.SIGKILL)
    first.wait(5)
    assert (cluster.path / "postgres" / "postmaster.pid").exists()
    second = start_ready(Postgres(cluster).command(), Postgres(cluster).is_ready, "postgres")
    with connect(cluster) as connection:
        assert connection.execute("SELECT n FROM survives").fetchone() == (42,)
        connection.execute("DROP TABLE survives")
    assert second.stop(5)


def test_a_pid_file_with_the_number_of_another_process_does_not_matter(cluster: DataDir) -> None:
    # As after a restart of a container, where the same few numbers are given out again.
    lines = [str(os.getppid()), str(cluster.path / "postgres"), "1700000000", "5432", str(cluster.run), "", "1 1", ""]
    (cluster.path / "postgres" / "postmaster.pid").write_text("\n".join(lines))
    (cluster.run / ".s.PGSQL.5432").touch()
    (cluster.run / ".s.PGSQL.5432.lock").write_text("\n".join(lines))
    assert start_ready(Postgres(cluster).command(), Postgres(cluster).is_ready, "postgres").stop(5)


def test_refuses_a_cluster_that_is_in_use(cluster: DataDir, server: Process) -> None:
    with pytest.raises(StartRefused, match=rf"is still used by another PostgreSQL \(process .*\b{server.pid}\b"):
        Postgres(cluster).command()


def test_refuses_another_version(cluster: DataDir) -> None:
    version = cluster.path / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(StartRefused, match="holds data of PostgreSQL 17"):
            Postgres(cluster).command()
    finally:
        version.write_text("18\n")


def test_an_interrupted_creation_is_begun_again(tmp_path: Path) -> None:
    home = DataDir(tmp_path)
    home.claim()
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    Postgres(home).command()
    assert (tmp_path / "postgres" / "PG_VERSION").exists()
    home.release()


def test_refuses_a_directory_with_something_else_in_it(tmp_path: Path) -> None:
    home = DataDir(tmp_path)
    home.claim()
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").touch()
    with pytest.raises(StartRefused, match="not empty"):
        Postgres(home).command()
    home.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
class TestAsRoot:
    """PostgreSQL refuses to be root."""

    @pytest.fixture(autouse=True)
    def forget_the_runner(self) -> Iterator[None]:
        postgres.find_runner.cache_clear()
        yield
        postgres.find_runner.cache_clear()

    def test_prefers_a_user_namespace(self) -> None:
        runner = postgres.find_runner()
        assert runner.user is None
        assert runner.prefix[1:2] == ("--user",)

    def test_falls_back_to_an_unprivileged_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        user = postgres.find_runner().user
        assert user in {entry.pw_uid for entry in pwd.getpwall()} - {0}
        path = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
        home = DataDir(path)
        home.claim()
        try:
            process = start_ready(Postgres(home).command(), Postgres(home).is_ready, "postgres")
            assert Path(f"/proc/{process.pid}").stat().st_uid == user
            connect(home).close()
            assert process.stop(5)
        finally:
            home.release()
            shutil.rmtree(path)

    def test_names_database_url_when_there_is_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        monkeypatch.setattr(postgres, "_succeeds", lambda *_: False)
        with pytest.raises(StartRefused, match="DATABASE_URL"):
            postgres.find_runner()
