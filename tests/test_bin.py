"""The scripts of bin/, from a directory that is not theirs."""

from __future__ import annotations

import os
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


IN_TWO = "-n 2 --dist loadfile"


@pytest.mark.parametrize(
    ("arguments", "environ", "given"),
    [
        ("", {}, IN_TWO),
        ("-x --durations=15", {}, f"{IN_TWO} -x --durations=15"),
        ("tests/core", {}, "tests/core"),
        ("-x tests/core", {}, "-x tests/core"),
        ("-n 4", {}, "-n 4"),
        ("-n0", {}, "-n0"),
        ("--pdb", {}, "--pdb"),
        ("-x", {"MAICIVY_TEST_REDIS_URL": "redis://127.0.0.1:1"}, "-x"),
        ("-x", {"MAICIVY_TEST_DATABASE_URL": "postgresql://127.0.0.1:1/a"}, "-x"),
    ],
)
def test_the_whole_suite_runs_in_two_processes(
    arguments: str, environ: dict[str, str], given: str, tmp_path: Path
) -> None:
    for name, text in (("bin/venv", ""), (".venv/bin/python", 'echo "$@"\n')):
        script = tmp_path / name
        script.parent.mkdir(parents=True)
        script.write_text(f"#!/bin/sh\n{text}")
        script.chmod(0o755)
    (tmp_path / "bin" / "test").write_text((BIN / "test").read_text())
    done = subprocess.run(
        ["/bin/sh", tmp_path / "bin" / "test", *arguments.split()],
        env={"PATH": os.defpath} | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["-m", "pytest", *given.split()]


@pytest.mark.parametrize("script", sorted(path.name for path in BIN.iterdir() if path.name != "check-lock"))
def test_scripts_are_posix(script: str) -> None:
    assert (BIN / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["/bin/sh", "-n", BIN / script], check=True)
