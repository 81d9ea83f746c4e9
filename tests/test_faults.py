"""Kill points and the shifted clock: inert by default, refused in production, one death per file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from maicivy import faults
from maicivy.config import Settings
from maicivy.errors import SettingsError


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Path]:
    faults.arm(tmp_path)
    yield tmp_path
    faults.arm(None)


def test_production_refuses_to_start_with_faults(tmp_path: Path) -> None:
    environ = {"MAICIVY_ENV": "production", "MAICIVY_FAULTS_DIR": "/x", "MAICIVY_DATA_DIR": str(tmp_path)}
    with pytest.raises(SettingsError, match="MAICIVY_FAULTS_DIR"):
        Settings.from_env(environ)
    assert Settings.from_env(environ | {"MAICIVY_ENV": "test"}).faults_dir == Path("/x")


def test_without_a_directory_nothing_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in faults.POINTS:
        Path(name).touch()
        faults.point(name)
    Path(faults.CLOCK).write_text("60")
    assert faults.clock_shift_s() == 0


@pytest.mark.parametrize("name", faults.POINTS)
def test_a_file_with_the_name_of_a_point_kills_the_process_there_and_is_gone(armed: Path, name: str) -> None:
    (armed / name).touch()
    child = os.fork()
    if not child:
        faults.point(name)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (armed / name).exists()
    faults.point(name)  # which this test survives


def test_the_clock_goes_by_the_file(armed: Path) -> None:
    assert faults.clock_shift_s() == 0
    (armed / faults.CLOCK).write_text("-3600.5\n")
    assert faults.clock_shift_s() == -3600.5
    (armed / faults.CLOCK).write_text("")  # half written
    assert faults.clock_shift_s() == 0
