"""The scripts of bin/, from a directory that is not theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

BIN = Path(__file__).parents[1] / "bin"


def test_the_command_line_works_from_anywhere(tmp_path: Path) -> None:
    said = subprocess.run([BIN / "maicivy", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "start everything on this machine" in said
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_installed_twice() -> None:
    done = subprocess.run([BIN / "venv"], cwd="/", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_machine_without_a_new_enough_python_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "venv").write_text((BIN / "venv").read_text())
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "rm", "cmp", "cp"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", tmp_path / "bin" / "venv"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("maicivy: needs Python 3.11 or newer")


@pytest.mark.parametrize("script", sorted(path.name for path in BIN.iterdir() if path.name != "check-lock"))
def test_scripts_are_posix(script: str) -> None:
    assert (BIN / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["/bin/sh", "-n", BIN / script], check=True)
