"""The table of commands: every line of it works, and nothing is imported before it is needed."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from maicivy import cli
from maicivy.errors import SettingsError


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: maicivy {name}")


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_module_of_the_table_has_both_functions(name: str) -> None:
    module = importlib.import_module(cli.COMMANDS[name].module)
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert all(f"  {name}" in listed for name in cli.COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["dance"])
    assert ended.value.code == 2
    assert "dance" in capsys.readouterr().err


def test_a_refusal_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "COMMANDS", {"fail": cli.Command(__name__, "fails")})
    assert cli.main(["fail"]) == 1
    assert capsys.readouterr().err == "maicivy fail: PORT is missing; HOST is odd\n"


@pytest.mark.parametrize("name", ["rebuild", "retention", "import", "site"])
def test_without_a_maicivy_that_runs_each_command_says_how_to_start_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MAICIVY_DATA_DIR", str(tmp_path))
    assert cli.main([name, "log", os.devnull] if name == "import" else [name]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"maicivy {name}: ")
    assert " - is maicivy running? bin/up starts it, or set " in said
    assert said.count("\n") == 1


def test_a_server_of_ones_own_that_is_away_is_not_ours_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAICIVY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"postgresql://somebody@/somewhere?host={tmp_path}")
    assert cli.main(["retention"]) == 1
    assert "bin/up" not in capsys.readouterr().err


def add_arguments(_parser: object) -> None:
    """This file is the module of the command `fail`."""


def run(_arguments: object) -> None:
    raise SettingsError(["PORT is missing", "HOST is odd"])
