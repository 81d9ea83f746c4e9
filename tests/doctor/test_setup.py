"""What the doctor says of settings, secrets and disk."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maicivy.config import Settings
from maicivy.doctor import setup
from maicivy.doctor.examine import examine
from maicivy.doctor.findings import State
from maicivy.doctor.setup import judge_admin_token, judge_disk, judge_secret, judge_token
from tests.geo.mmdb import write

RANDOM = "9f2c4b7a81d35e60c4a9b8d7e6f50123"
FILE = Path("/data/secret_key")


@pytest.mark.parametrize(
    ("secret", "is_production", "generated_in", "state"),
    [
        (RANDOM, True, None, State.OK),
        (RANDOM, False, None, State.OK),
        (RANDOM, False, FILE, State.OK),
        (RANDOM, True, FILE, State.WARNING),
        ("short", False, None, State.WARNING),
        ("a" * 40, False, None, State.WARNING),
        ("a" * 40, True, None, State.PROBLEM),
    ],
)
def test_a_secret_is_random_and_in_production_chosen(
    secret: str, is_production: bool, generated_in: Path | None, state: State
) -> None:
    verdict = judge_secret(secret, is_production, generated_in)
    assert verdict.state is state
    assert secret not in verdict.seen + verdict.advice
    assert bool(verdict.advice) == (state is not State.OK)


@pytest.mark.parametrize(
    ("token", "is_production", "state"),
    [
        (None, True, State.OK),
        (RANDOM[::-1], True, State.OK),
        (RANDOM, True, State.PROBLEM),
        (RANDOM, False, State.PROBLEM),
        ("abababababababab", True, State.PROBLEM),
        ("abababababababab", False, State.WARNING),
    ],
)
def test_a_token_is_random_and_not_the_key(token: str | None, is_production: bool, state: State) -> None:
    verdict = judge_token(token, RANDOM, is_production)
    assert verdict.state is state
    assert token is None or token not in verdict.seen + verdict.advice


@pytest.mark.parametrize(
    ("token", "is_production", "state"),
    [
        (None, True, State.OK),
        (RANDOM[::-1], True, State.OK),
        (RANDOM, False, State.PROBLEM),
        ("abababababababab", True, State.PROBLEM),
        ("abababababababab", False, State.WARNING),
    ],
)
def test_an_admin_token_is_random_and_no_other_secret(token: str | None, is_production: bool, state: State) -> None:
    verdict = judge_admin_token(token, {RANDOM, "the ingest token"}, is_production)
    assert verdict.state is state
    assert token is None or token not in verdict.seen + verdict.advice


@pytest.mark.parametrize(
    ("free_bytes", "state"),
    [
        (0, State.PROBLEM),
        ((200 << 20) - 1, State.PROBLEM),
        (200 << 20, State.WARNING),
        ((1 << 30) - 1, State.WARNING),
        (1 << 30, State.OK),
    ],
)
def test_a_full_disk_is_told_before_it_is_full(free_bytes: int, state: State) -> None:
    assert judge_disk(free_bytes, Path("/data")).state is state


def looked_at(settings: Settings) -> dict[str, State]:
    installation: Any = SimpleNamespace(settings=settings, now=datetime.now(UTC))
    return {finding.check: finding.state for finding in examine(installation, setup.CHECKS)}


def test_a_generated_key_is_recognised_and_a_data_directory_need_not_exist(tmp_path: Path) -> None:
    environ = {"MAICIVY_DATA_DIR": str(tmp_path / "data"), "MAICIVY_ENV": "production"}
    assert looked_at(Settings.from_env(environ))["secret key"] is State.WARNING
    given = looked_at(
        Settings.from_env(environ | {"SECRET_KEY": RANDOM, "MAICIVY_DATA_DIR": str(tmp_path / "no/data")})
    )
    assert given["secret key"] is State.OK
    assert (
        given["disk"] is not State.PROBLEM or os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize < 200 << 20
    )


def test_a_database_of_places_may_be_missing_but_not_broken(tmp_path: Path) -> None:
    settings = Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path), "SECRET_KEY": RANDOM})
    assert looked_at(settings)["places"] is State.OK
    write(settings.geo_db / "a.mmdb", {"8.8.8.0/24": {"country_code": "US"}})
    assert looked_at(settings)["places"] is State.OK
    (settings.geo_db / "a.mmdb").write_bytes(b"no database")
    assert looked_at(settings)["places"] is State.WARNING
