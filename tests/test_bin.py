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


IN_THREE = "-n 3 --dist loadfile"


@pytest.mark.parametrize(
    ("arguments", "environ", "given"),
    [
        ("", {}, IN_THREE),
        ("-x --durations=15", {}, f"{IN_THREE} -x --durations=15"),
        ("tests/core", {}, "tests/core"),
        ("-x tests/core", {}, "-x tests/core"),
        ("-n 4", {}, "-n 4"),
        ("-n0", {}, "-n0"),
        ("--pdb", {}, "--pdb"),
        ("-x", {"MAICIVY_TEST_REDIS_URL": "redis://127.0.0.1:1"}, "-x"),
        ("-x", {"MAICIVY_TEST_DATABASE_URL": "postgresql://127.0.0.1:1/a"}, "-x"),
    ],
)
def test_the_whole_suite_runs_in_three_processes(
    arguments: str, environ: dict[str, str], given: str, tmp_path: Path
) -> None:
    assert _given_to_python(tmp_path, arguments, environ) == ["-m", "pytest", *given.split()]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", True),
        ("-x", True),
        ("tests/core tests/browser", True),
        ("tests/browser/test_a.py tests/core", True),
        ("tests/core", False),
        ("-x tests/core", False),
    ],
)
def test_a_browser_is_looked_for_where_one_is_needed_and_not_insisted_on(
    arguments: str, wanted: bool, tmp_path: Path
) -> None:
    assert _given_to_python(tmp_path, arguments, {})[:2] == ["-m", "pytest"]
    assert (tmp_path / "asked").exists() is wanted


def _given_to_python(tree: Path, arguments: str, environ: dict[str, str]) -> list[str]:
    """What bin/test starts, in a tree where there is nothing to install and no browser to be had."""
    scripts = {"bin/venv": "", "bin/browser": f"touch {tree}/asked\nexit 1\n", ".venv/bin/python": 'echo "$@"\n'}
    for name, text in scripts.items():
        script = tree / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\n{text}")
        script.chmod(0o755)
    (tree / "bin" / "test").write_text((BIN / "test").read_text())
    done = subprocess.run(
        ["/bin/sh", tree / "bin" / "test", *arguments.split()],
        env={"PATH": os.defpath} | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("given", "found"), [("", "chromium"), ("named", "named"), ("nothing-of-that-name", "chromium")]
)
def test_the_browser_that_is_there_is_taken(given: str, found: str, tmp_path: Path) -> None:
    for name in ("chromium", "named"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.defpath}", "CHROMIUM": str(tmp_path / given) if given else ""}
    done = subprocess.run([BIN / "browser", "--installed"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / found}\n"


@pytest.mark.parametrize(
    ("user", "apt_works", "installed"), [("0", True, "chromium"), ("0", False, "playwright"), ("1", True, "playwright")]
)
def test_a_browser_is_installed_by_root_from_the_distribution_and_else_by_playwright(
    user: str, apt_works: bool, installed: str, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    apt = f'[ "$1" = update ] || printf "#!/bin/sh\\n" >{tools}/chromium; chmod +x {tools}/*' if apt_works else "exit 1"
    own = tmp_path / "own"  # of Playwright, whose path is asked for without arguments
    python = f"if [ $# -gt 0 ]; then touch {own}; else cat {own} && echo playwright; fi"
    scripts = {"tools/id": f"echo {user}", "tools/apt-get": apt, ".venv/bin/python": python}
    for name, text in scripts.items():
        script = tmp_path / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    for name in ("sh", "dirname", "cat", "touch", "chmod"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "browser").write_text((BIN / "browser").read_text())
    command = ["/bin/sh", tmp_path / "bin" / "browser"]
    environ = {"PATH": str(tools)}
    assert subprocess.run([*command, "--installed"], env=environ, capture_output=True, check=False).returncode == 1
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split()
    assert found == [str(tools / "chromium") if installed == "chromium" else "playwright"]


@pytest.mark.parametrize("script", sorted(path.name for path in BIN.iterdir() if path.name != "check-lock"))
def test_scripts_are_posix(script: str) -> None:
    assert (BIN / script).read_text().startswith("#!/bin/sh\n")
    subprocess.run(["/bin/sh", "-n", BIN / script], check=True)
