"""Running checks: in order, each for a bounded time, and none can stop the others."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from maicivy.config import Settings, runtime_dir
from maicivy.doctor import examine as module
from maicivy.doctor.examine import Check, Installation, examine, is_running
from maicivy.doctor.findings import State, Verdict, ok, problem, warning
from maicivy.errors import InboxFull, Unavailable

NOBODY: Any = None


def found(*checks: Check) -> list[tuple[str, State, str]]:
    installation: Installation = NOBODY
    return [(finding.check, finding.state, finding.seen) for finding in examine(installation, checks)]


def saying(verdict: Verdict, name: str = "a", needs: tuple[str, ...] = ()) -> Check:
    return Check(name, lambda _: (verdict,), lambda verdict: verdict, needs)


def raising(error: Exception) -> Check:
    def look(_: Installation) -> tuple[Any, ...]:
        raise error

    return Check("a", look, lambda: ok(""))


def test_each_check_says_what_it_found_in_order() -> None:
    checks = [saying(ok("fine"), "a"), saying(warning("hm", "look"), "b"), saying(problem("bad", "mend"), "c")]
    assert found(*checks) == [("a", State.OK, "fine"), ("b", State.WARNING, "hm"), ("c", State.PROBLEM, "bad")]


def test_what_needs_something_broken_is_not_examined_nor_what_needs_that() -> None:
    checks = [
        saying(problem("bad", "mend"), "a"),
        saying(warning("hm", "look"), "b"),
        saying(ok("never seen"), "c", ("b", "a")),
        saying(ok("never seen"), "d", ("c",)),
        saying(ok("seen"), "e", ("b",)),
    ]
    assert [state for _, state, _ in found(*checks)] == [
        State.PROBLEM,
        State.WARNING,
        State.SKIPPED,
        State.SKIPPED,
        State.OK,
    ]


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (Unavailable("redis", "gone"), "gone"),
        (InboxFull("full"), "full"),
        (KeyError("seq"), "KeyError: 'seq'"),
        (RuntimeError("two\nlines " + "x" * 500), "RuntimeError: two lines xxx"),
    ],
)
def test_a_check_that_raises_becomes_a_problem_and_no_traceback(
    error: Exception, seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ((_, state, said),) = found(raising(error))
    assert state is State.PROBLEM
    assert said.startswith(seen)
    assert len(said) < 300
    assert capsys.readouterr() == ("", "")


def test_a_check_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.05)
    end = threading.Event()
    hanging = Check("a", lambda _: (end.wait(),), lambda _: ok("too late"))
    assert found(hanging, saying(ok("fine"), "b")) == [
        ("a", State.PROBLEM, "no answer within 0.05 s"),
        ("b", State.OK, "fine"),
    ]
    end.set()


def test_an_embedded_server_runs_when_its_socket_accepts_and_not_when_it_was_left_behind(tmp_path: Path) -> None:
    settings = Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path)})
    run = runtime_dir(tmp_path)
    run.mkdir(exist_ok=True, mode=0o700)
    assert not is_running(settings)
    for name in ("valkey.sock", ".s.PGSQL.5432"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(run / name))
            assert not is_running(settings)
            server.listen()
            assert is_running(settings)
        assert (run / name).exists()
        assert not is_running(settings)
