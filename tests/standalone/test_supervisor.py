"""The supervisor over small shell scripts: order, revival, and that nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.standalone.processes import processes_of, wait_until

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]
ENDED_S = 30
"""For machines that have other things to do; less than a `stone` would take."""


@pytest.fixture(autouse=True)
def _hangups() -> Iterator[None]:
    """Children get SIGHUP, also where the tests themselves run under nohup, which the supervisor would respect."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor over the named stubs."""
    started = []

    def start(*items: str, ready: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("stub_plan.py")), str(tmp_path), *items],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        if ready:
            wait_until((tmp_path / "all.ready").exists, what=f"{items} ready")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    wait_until(lambda: not processes_of(tmp_path), what="no process left")


def events(home: Path) -> list[str]:
    """What the stubs wrote, without their process ids."""
    return [" ".join(line.split()[:2]) for line in (home / "events").read_text().splitlines()]


def pids(home: Path, name: str) -> list[int]:
    """Process ids of all starts of `name`, oldest first."""
    lines = [line.split() for line in (home / "events").read_text().splitlines()]
    return [int(words[2]) for words in lines if words[:2] == ["start", name]]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_starts_in_order_and_stops_in_reverse(start: Start, tmp_path: Path, signum: signal.Signals) -> None:
    supervisor = start("a", "migrate:step", "b", "c")
    supervisor.send_signal(signum)
    assert supervisor.wait(ENDED_S) == 0
    assert events(tmp_path) == ["start a", "step migrate", "start b", "start c", "stop c", "stop b", "stop a"]
    assert not processes_of(tmp_path)


def test_a_stage_waits_for_all_of_the_one_before(start: Start, tmp_path: Path) -> None:
    supervisor = start("a,b", "c,d")
    supervisor.terminate()
    assert supervisor.wait(ENDED_S) == 0
    found = events(tmp_path)
    assert (set(found[:2]), set(found[2:4])) == ({"start a", "start b"}, {"start c", "start d"})
    assert found[4:] == ["stop d", "stop c", "stop b", "stop a"]


def test_a_killed_child_comes_back_and_the_others_stay(start: Start, tmp_path: Path) -> None:
    start("a", "b")
    os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
    wait_until(lambda: len(pids(tmp_path, "a")) == 2, what="a started again")
    assert len(pids(tmp_path, "b")) == 1


def test_what_a_killed_child_leaves_is_swept(start: Start, tmp_path: Path) -> None:
    start("a")
    os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
    wait_until(lambda: len(pids(tmp_path, "a")) == 2, what="a started again")
    wait_until(lambda: list(processes_of(tmp_path).values()).count("sleep 1000") == 1, what="the first sleep gone")


def test_restarts_are_spaced_further_and_further(start: Start, tmp_path: Path) -> None:
    supervisor = start("a:loops")
    wait_until(lambda: len(pids(tmp_path, "a")) == 4, what="three restarts")
    supervisor.terminate()
    said = supervisor.communicate(timeout=ENDED_S)[1]
    assert [f"again in {delay} s" in said for delay in ("0.25", "0.5", "1")] == [True, True, True]


def test_kill_9_of_the_supervisor_leaves_nothing(start: Start, tmp_path: Path) -> None:
    supervisor = start("a", "b:deaf")
    assert len(processes_of(tmp_path)) >= 5
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not processes_of(tmp_path), what="no process left")


def command_of(pid: str) -> bytes:
    """Its command line; nothing when it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_killed_keeper_is_replaced(start: Start, tmp_path: Path) -> None:
    supervisor = start("a")

    def keepers() -> list[int]:
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"maicivy-keeper" in command_of(pid)]

    [first] = keepers()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keepers() not in ([first], []), what="another keeper")
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: not processes_of(tmp_path), what="no process left")


def test_who_ignores_the_stop_is_killed_when_its_time_is_over(start: Start, tmp_path: Path) -> None:
    supervisor = start("a:deaf")
    supervisor.terminate()
    assert "a did not stop in time" in supervisor.communicate(timeout=ENDED_S)[1]
    assert supervisor.returncode == 0
    assert not processes_of(tmp_path)


def test_under_nohup_a_terminal_that_closes_stops_nothing(start: Start, tmp_path: Path) -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as from nohup
    try:
        supervisor = start("a")
    finally:
        signal.signal(signal.SIGHUP, old)
    supervisor.send_signal(signal.SIGHUP)
    os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
    wait_until(lambda: len(pids(tmp_path, "a")) == 2, what="still supervised")
    supervisor.terminate()
    assert supervisor.wait(ENDED_S) == 0


def test_a_second_ctrl_c_does_not_wait(start: Start, tmp_path: Path) -> None:
    supervisor = start("a", "b:stone")
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.stderr is not None
    assert supervisor.stderr.readline() == "maicivy up: SIGINT: stopping\n"
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(ENDED_S) == 0
    assert not processes_of(tmp_path)


def test_a_service_that_ends_while_it_starts_ends_the_start(start: Start, tmp_path: Path) -> None:
    supervisor = start("a", "b:fails", "c", ready=False)
    said = supervisor.communicate(timeout=ENDED_S)[1]
    assert supervisor.returncode == 1
    assert said.startswith("b ended with exit code 3 while it started: no luck today (more in ")
    assert events(tmp_path) == ["start a", "start b", "stop a"]


def test_of_a_stage_in_which_one_fails_nothing_stays(start: Start, tmp_path: Path) -> None:
    supervisor = start("a,b:fails,c", "d", ready=False)
    assert supervisor.communicate(timeout=ENDED_S)[1].count("\n") == 1
    assert supervisor.returncode == 1
    assert "start d" not in events(tmp_path)


def test_a_step_that_fails_ends_the_start_with_its_own_words(start: Start, tmp_path: Path) -> None:
    supervisor = start("a", "migrate:broken", "b", ready=False)
    assert supervisor.communicate(timeout=ENDED_S)[1] == "the disk is on fire\n"
    assert supervisor.returncode == 1
    assert events(tmp_path) == ["start a", "stop a"]
