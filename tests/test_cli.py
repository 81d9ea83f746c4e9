"""The table of commands: every line of it works, and nothing is imported before it is needed."""

from __future__ import annotations

import importlib

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


def add_arguments(_parser: object) -> None:
    """This file is the module of the command `fail`."""


def run(_arguments: object) -> None:
    raise SettingsError(["PORT is missing", "HOST is odd"])
