"""`maicivy site` on a real Postgres: what it prints, what it changes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from maicivy import cli


@pytest.fixture
def site(
    database_url: str,
    valkey_url: str,
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs `maicivy site` and returns its exit code, what it printed, and what it complained of."""
    for name, value in {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "MAICIVY_DATA_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)

    def site(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["site", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return site


def test_sites_are_added_listed_changed_and_removed(site: Any) -> None:
    code, printed, _ = site("add", "Shop.example", "--timezone", "Europe/Paris", "--allow", "*.shop.example")
    assert code == 0
    assert printed.startswith("site 2 is measured from now on; its pages say MC-")
    code, printed, _ = site()
    assert printed == site("list")[1]
    assert [line.split()[:2] for line in printed.splitlines()] == [["id", "domain"], ["1", "-"], ["2", "shop.example"]]
    assert printed.splitlines()[1].endswith("UTC (default)  90 (default)  anybody  any")
    changed = site("set", "www.SHOP.example", "--retention-days", "7", "--private", "--allow-any")[1]
    assert changed.splitlines()[2].split()[3:] == ["Europe/Paris", "7", "admin", "any"]
    changed = site("set", "2", "--timezone", "default", "--retention-days", "default", "--public")[1]
    assert changed.splitlines()[2].split()[3:] == ["UTC", "(default)", "90", "(default)", "anybody", "any"]
    code, printed, _ = site("remove", "shop.example")
    assert (code, printed.splitlines()[0]) == (
        0,
        "site 2 takes no more events; what it had will be deleted by the hourly upkeep",
    )
    assert len(site("list")[1].splitlines()) == 2


def test_for_programs_it_prints_json(site: Any) -> None:
    added = json.loads(site("add", "a.example", "--json")[1])
    assert added | {"measurement_id": ""} == {
        "id": 2,
        "domain": "a.example",
        "measurement_id": "",
        "timezone": None,
        "retention_days": None,
        "is_public": True,
        "allowed_hosts": [],
    }
    assert json.loads(site("list", "--json")[1])[1] == added
    assert json.loads(
        site("set", added["measurement_id"], "--allow", "b.example", "--allow", "c.example", "--json")[1]
    )["allowed_hosts"] == ["b.example", "c.example"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("add", "https://a.example"), "domain must be a host name"),
        (("add", "a.example", "--timezone", "Mars/Olympus"), "timezone must be an IANA time zone"),
        (("add", "a.example", "--retention-days", "0"), "retention_days must be a whole number from 1 to 36500"),
        (("add", "a.example", "--retention-days", "٧"), "retention_days must be a whole number from 1 to 36500"),
        (("add", "a.example", "--allow", "*"), "allowed_hosts must be a list"),
        (("set", "nobody.example", "--private"), "there is no site 'nobody.example'"),
        (("remove", "\x1b[31m"), r"there is no site '\x1b[31m'"),
        (("remove", "1"), "the default site cannot be removed"),
    ],
)
def test_what_cannot_be_is_one_line_on_stderr(site: Any, arguments: tuple[str, ...], complaint: str) -> None:
    code, printed, said = site(*arguments)
    assert (code, printed, said.count("\n")) == (1, "", 1)
    assert said.startswith(f"maicivy site: {complaint}")


@pytest.mark.parametrize(
    "arguments", [("add",), ("set",), ("remove",), ("dance",), ("set", "1", "--public", "--private")]
)
def test_what_is_not_understood_is_explained(site: Any, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        site(*arguments)
    assert ended.value.code == 2
