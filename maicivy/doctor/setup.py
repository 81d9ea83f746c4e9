"""Checks of what surrounds the servers: settings, secrets, the database of places, disk."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from maicivy.config import MIN_SECRET_CHARS, Settings
from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict, ok, problem, warning
from maicivy.geo.atlas import Atlas

MIN_DISTINCT_CHARS: Final = 8
LITTLE_DISK_BYTES: Final = 1 << 30
NO_DISK_BYTES: Final = 200 << 20
_RANDOM: Final = 'python -c "import secrets; print(secrets.token_hex(32))"'


def judge_secret(secret: str, is_production: bool, generated_in: Path | None) -> Verdict:
    """`generated_in` is the file that maicivy made the key in, None when it came from outside."""
    if generated_in is not None and is_production:
        return warning(
            f"SECRET_KEY was generated into {generated_in}",
            "Fine on one machine that keeps this file. Otherwise set SECRET_KEY: with another key, visitors get other "
            "ids and a log that is imported again counts twice.",
        )
    if generated_in is not None:
        return ok(f"SECRET_KEY was generated into {generated_in}")
    if _is_weak(secret):
        weak = problem if is_production else warning
        return weak("SECRET_KEY can be guessed", f"Set a random one: {_RANDOM}")
    return ok("SECRET_KEY is set")


def judge_token(token: str | None, secret: str, is_production: bool) -> Verdict:
    """The token lets a sender name its visitors' addresses, so whoever knows it can make up visitors."""
    if token is None:
        return ok("MAICIVY_INGEST_TOKEN is not set: no sender can speak for its visitors")
    if token == secret:
        return problem("MAICIVY_INGEST_TOKEN is the SECRET_KEY", f"Sites must not know the key. Set another: {_RANDOM}")
    if _is_weak(token):
        weak = problem if is_production else warning
        return weak("MAICIVY_INGEST_TOKEN can be guessed", f"Set a random one: {_RANDOM}")
    return ok("MAICIVY_INGEST_TOKEN is set")


def judge_admin_token(token: str | None, others: Collection[str], is_production: bool) -> Verdict:
    """The token lets its bearer change and remove sites; `others` are secrets that more people or machines know."""
    if token is None:
        return ok("MAICIVY_ADMIN_TOKEN is not set: nobody can change sites over HTTP")
    if token in others:
        return problem("MAICIVY_ADMIN_TOKEN is one of the other secrets", f"Set another: {_RANDOM}")
    if _is_weak(token):
        weak = problem if is_production else warning
        return weak("MAICIVY_ADMIN_TOKEN can be guessed", f"Set a random one: {_RANDOM}")
    return ok("MAICIVY_ADMIN_TOKEN is set")


def judge_disk(free_bytes: int, where: Path) -> Verdict:
    """Both embedded servers stop when the disk is full; external ones log here too."""
    seen = f"{free_bytes / (1 << 30):.1f} GiB free below {where}"
    if free_bytes < NO_DISK_BYTES:
        return problem(seen, "Make room now: without it neither Postgres nor Redis can write, and events are refused.")
    if free_bytes < LITTLE_DISK_BYTES:
        return warning(seen, "Make room, or lower MAICIVY_RETENTION_DAYS.")
    return ok(seen)


def judge_places(kinds: Sequence[str], used: Path, is_there: bool) -> Verdict:
    """`kinds` are the databases of places that open; `is_there` says whether there is anything at `used` at all."""
    if kinds:
        return ok(f"visitors' places are told by {' and '.join(kinds)}")
    if is_there:
        return warning(
            f"no database of places in {used} can be read",
            "Visitors have no country. Replace it: `maicivy geo update`.",
        )
    return ok("there is no database of places, so no visitor has a country (`maicivy geo update` gets one)")


def _is_weak(secret: str) -> bool:
    return len(secret) < MIN_SECRET_CHARS or len(set(secret)) < MIN_DISTINCT_CHARS


def _look_at_secret(at: Installation) -> tuple[str, bool, Path | None]:
    return at.settings.secret_key, _is_production(at.settings), _generated_in(at.settings)


def _look_at_token(at: Installation) -> tuple[str | None, str, bool]:
    return at.settings.ingest_token, at.settings.secret_key, _is_production(at.settings)


def _look_at_admin_token(at: Installation) -> tuple[str | None, Collection[str], bool]:
    others = {at.settings.secret_key, at.settings.ingest_token or at.settings.secret_key}
    return at.settings.admin_token, others, _is_production(at.settings)


def _look_at_disk(at: Installation) -> tuple[int, Path]:
    where = at.settings.data_dir
    while not where.exists() and where != where.parent:
        where = where.parent
    return shutil.disk_usage(where).free, where


def _look_at_places(at: Installation) -> tuple[Sequence[str], Path, bool]:
    used = at.settings.geo_db
    kinds = [str(database.database_type) for database in Atlas(used).databases()]
    return kinds, used, any(used.glob("*.mmdb")) if used.is_dir() else used.exists()


def _generated_in(settings: Settings) -> Path | None:
    path = settings.data_dir / "secret_key"
    try:
        return path if path.read_text(encoding="ascii").strip() == settings.secret_key else None
    except (OSError, UnicodeDecodeError):
        return None


def _is_production(settings: Settings) -> bool:
    return settings.env == "production"


CHECKS: Final = (
    Check("secret key", _look_at_secret, judge_secret),
    Check("ingest token", _look_at_token, judge_token),
    Check("admin token", _look_at_admin_token, judge_admin_token),
    Check("places", _look_at_places, judge_places),
    Check("disk", _look_at_disk, judge_disk),
)
