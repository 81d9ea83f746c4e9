"""Settings: the one place where the environment is read.

`Settings.from_env` validates everything and reports every problem at once, so that an operator fixes a broken
environment in one go. Nothing else in maicivy looks at `os.environ`, and nothing here opens a connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from maicivy.errors import SettingsError

T = TypeVar("T")

MIN_SECRET_CHARS = 16
MIN_TOKEN_CHARS = 16
_PLACEHOLDERS = re.compile(r"(change.?me|your.?secret|secret.?key|password|example|placeholder|123456)", re.I)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?s?")
_SIZE = re.compile(r"([0-9]{1,15})\s*([kmg]i?b?)?", re.I)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_UNIX_PATH_BYTES = 100  # sun_path holds 108 bytes; the servers append a file name of their own

# Names that seed 004 gives to what maicivy calls otherwise; the first name that is set wins.
ALIASES = {
    "MAICIVY_RETENTION_DAYS": "RETENTION_DAYS",
    "MAICIVY_INGEST_BATCH": "BATCH_SIZE",
    "MAICIVY_INGEST_LINGER": "BATCH_TIMEOUT",
    "MAICIVY_WORKER_CONCURRENCY": "WORKER_COUNT",
    "MAICIVY_DB_POOL": "MAX_DB_CONNECTIONS",
    "SECRET_KEY": "JWT_SECRET",
    "MAICIVY_ENV": "ENVIRONMENT",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation runs with. Times are seconds, sizes are bytes, days are calendar days."""

    env: str
    host: str
    port: int
    data_dir: Path
    database_url: str
    redis_url: str
    broker_url: str
    embedded_postgres: bool
    embedded_redis: bool
    web_concurrency: int
    worker_concurrency: int
    db_pool: int
    secret_key: str
    ingest_token: str | None
    admin_token: str | None
    log_level: str
    trusted_proxies: int
    event_rate_limit: int
    ws_max_clients: int
    ws_max_per_address: int
    retention_days: int
    timezone: ZoneInfo
    inbox_max_bytes: int
    ingest_batch: int
    ingest_linger_s: float
    cors_origins: tuple[str, ...]
    query_params: frozenset[str]
    geo_db: Path
    country_header: str | None
    demo: bool
    faults_dir: Path | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from `environ` (default: the process environment), each absent one at its default.

        Writes nothing but a generated `SECRET_KEY` below `MAICIVY_DATA_DIR`, once, when none is given.

        Raises:
            SettingsError: with every problem found.
        """
        return _Reader(os.environ if environ is None else environ).settings()


def sqlalchemy_url(url: str) -> str:
    """`postgres://` and `postgresql://` URLs as SQLAlchemy wants them for psycopg 3."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def npm_registry(environ: Mapping[str, str] | None = None) -> str:
    """Where packages of the npm registry come from, told as npm itself is told; the public one by default."""
    given = (os.environ if environ is None else environ).get("npm_config_registry", "").strip()
    return given or "https://registry.npmjs.org"


def celery_broker_url(url: str) -> str:
    """A Redis URL as Kombu spells it: only `unix://` differs. Other brokers' URLs pass unchanged."""
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    database = next((p.removeprefix("db=") for p in query.split("&") if p.startswith("db=")), "0")
    return f"redis+socket://{path}?virtual_host={database}"


def runtime_dir(data_dir: Path) -> Path:
    """Where the embedded servers keep their sockets.

    Below the data directory, unless its path is longer than a unix socket address may be: then a directory of the
    user's own in the temporary directory whose name is derived from the data directory.
    """
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= _UNIX_PATH_BYTES - len("/.s.PGSQL.5432.lock"):
        return inside
    import hashlib  # only for the rare long path
    import tempfile

    digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"maicivy-{os.getuid()}-{digest}"


class _Reader:
    """Reads one environment, collecting problems instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def settings(self) -> Settings:
        data_dir = self._data_dir()
        env = self._choice("MAICIVY_ENV", "development", ("development", "production", "test"))
        run = runtime_dir(data_dir)
        database_url = self._url("DATABASE_URL", ("postgres", "postgresql", "postgresql+psycopg"))
        redis_url = self._url("REDIS_URL", ("redis", "rediss", "unix"))
        effective_redis = redis_url or f"unix://{quote(str(run / 'valkey.sock'))}"
        broker_url = self._url("CELERY_BROKER_URL", ("redis", "rediss", "unix", "amqp", "amqps"))
        settings = Settings(
            env=env,
            host=self._text("HOST", "127.0.0.1"),
            port=self._int("PORT", 8080, 1, 65535),
            data_dir=data_dir,
            database_url=sqlalchemy_url(database_url or f"postgresql://maicivy@/maicivy?host={quote(str(run))}"),
            redis_url=effective_redis,
            broker_url=celery_broker_url(broker_url or effective_redis),
            embedded_postgres=database_url is None,
            embedded_redis=redis_url is None,
            web_concurrency=self._int("WEB_CONCURRENCY", 1, 1, 64),
            worker_concurrency=self._int("MAICIVY_WORKER_CONCURRENCY", 2, 1, 64),
            db_pool=self._int("MAICIVY_DB_POOL", 10, 1, 1000),
            secret_key=self._secret_key(env, data_dir),
            ingest_token=self._token("MAICIVY_INGEST_TOKEN"),
            admin_token=self._token("MAICIVY_ADMIN_TOKEN"),
            log_level=self._choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
            trusted_proxies=self._int("MAICIVY_TRUSTED_PROXIES", 0, 0, 16),
            event_rate_limit=self._int("MAICIVY_EVENT_RATE_LIMIT", 100, 0, 1_000_000),
            ws_max_clients=self._int("MAICIVY_WS_MAX_CLIENTS", 50, 0, 100_000),
            ws_max_per_address=self._int("MAICIVY_WS_MAX_PER_ADDRESS", 20, 0, 100_000),
            retention_days=self._int("MAICIVY_RETENTION_DAYS", 90, 1, 36_500),
            timezone=self._zone("MAICIVY_TIMEZONE", "UTC"),
            inbox_max_bytes=self._size("MAICIVY_INBOX_MAX_BYTES", 256 << 20, 1 << 20, 1 << 40),
            ingest_batch=self._int("MAICIVY_INGEST_BATCH", 2000, 1, 10_000),
            ingest_linger_s=self._seconds("MAICIVY_INGEST_LINGER", 1.0, 0.0, 60.0),
            cors_origins=self._list("MAICIVY_CORS_ORIGINS", "*"),
            query_params=frozenset(self._list("MAICIVY_QUERY_PARAMS", "theme,ref,source")),
            geo_db=self._path("MAICIVY_GEO_DB", data_dir / "geo"),
            country_header=self._header("MAICIVY_COUNTRY_HEADER"),
            demo=bool(self._int("MAICIVY_DEMO", 0, 0, 1)),
            faults_dir=self._faults_dir(env),
        )
        if self._problems:
            raise SettingsError(self._problems)
        return settings

    def _given(self, name: str) -> tuple[str, str | None]:
        """The name that the setting was given under, and its value; its own name and None when it was not given."""
        for candidate in (name, ALIASES.get(name, "")):
            value = self._environ.get(candidate, "").strip()
            if value:
                return candidate, value
        return name, None

    def _raw(self, name: str) -> str | None:
        return self._given(name)[1]

    def _data_dir(self) -> Path:
        given = self._text("MAICIVY_DATA_DIR", "./.maicivy")
        try:
            given.encode()
            return Path(given).expanduser().absolute()
        except (RuntimeError, UnicodeEncodeError):
            self._problems.append("MAICIVY_DATA_DIR names a home directory that is unknown, or is not UTF-8")
            return Path("./.maicivy").absolute()

    def _path(self, name: str, default: Path) -> Path:
        def parse(value: str) -> Path:
            value.encode()  # a path that is no UTF-8 raises
            if "\0" in value:
                raise ValueError(value)
            return Path(value).absolute()

        return self._parsed(name, default, parse, "a path")

    def _header(self, name: str) -> str | None:
        def parse(value: str) -> str | None:
            if not _HEADER.fullmatch(value):
                raise ValueError(value)
            return value

        return self._parsed(name, None, parse, "the name of an HTTP header such as CF-IPCountry")

    def _text(self, name: str, default: str) -> str:
        value = self._raw(name) or default
        if any(ord(c) < 0x20 for c in value):
            self._problems.append(f"{name} contains a control character")
            return default
        return value

    def _parsed(self, name: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        given_as, value = self._given(name)
        if value is None:
            return default
        try:
            return parse(value)
        except (ValueError, ZoneInfoNotFoundError, OSError):
            self._problems.append(f"{given_as} is {value[:60]!r}; it must be {wanted}")
            return default

    def _int(self, name: str, default: int, low: int, high: int) -> int:
        def parse(value: str) -> int:
            if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
                raise ValueError(value)
            return int(value)

        return self._parsed(name, default, parse, f"a whole number from {low} to {high}")

    def _size(self, name: str, default: int, low: int, high: int) -> int:
        def parse(value: str) -> int:
            match = _SIZE.fullmatch(value)
            if match is None:
                raise ValueError(value)
            unit = {"": 0, "k": 10, "m": 20, "g": 30}[(match[2] or "")[:1].lower()]
            size = int(match[1]) << unit
            if not low <= size <= high:
                raise ValueError(value)
            return size

        return self._parsed(name, default, parse, f"a size from {low} to {high} bytes, such as 268435456 or 256MiB")

    def _seconds(self, name: str, default: float, low: float, high: float) -> float:
        def parse(value: str) -> float:
            if not _SECONDS.fullmatch(value):
                raise ValueError(value)
            seconds = float(value.removesuffix("s"))
            if not low <= seconds <= high:
                raise ValueError(value)
            return seconds

        return self._parsed(name, default, parse, f"seconds from {low:g} to {high:g}, such as 1.5 or 2s")

    def _choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        def parse(value: str) -> str:
            if value.lower() not in allowed:
                raise ValueError(value)
            return value.lower()

        return self._parsed(name, default, parse, "one of " + ", ".join(allowed))

    def _zone(self, name: str, default: str) -> ZoneInfo:
        return self._parsed(name, ZoneInfo(default), ZoneInfo, "an IANA time zone such as Europe/Paris")

    def _list(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in (self._raw(name) or default).split(",") if item.strip())

    def _url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        def parse(value: str) -> str:
            scheme, separator, rest = value.partition("://")
            if scheme.lower() not in schemes or not separator:
                raise ValueError(value)
            _ = urlsplit(value).port  # raises for one that is no number
            return f"{scheme.lower()}://{rest}"

        value = self._raw(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError:  # the value may hold a password: never repeat it
            self._problems.append(
                f"{name} must be a URL that begins with one of {', '.join(s + '://' for s in schemes)}"
            )
            return None

    def _faults_dir(self, env: str) -> Path | None:
        value = self._raw("MAICIVY_FAULTS_DIR")
        if value is not None and env == "production":
            self._problems.append("MAICIVY_FAULTS_DIR lets tests kill processes; production must not set it")
        return Path(value).absolute() if value else None

    def _token(self, name: str) -> str | None:
        value = self._raw(name)
        if value is not None and (len(value) < MIN_TOKEN_CHARS or not value.isascii()):
            self._problems.append(f"{name} must be at least {MIN_TOKEN_CHARS} characters, all of them ASCII")
        return value

    def _secret_key(self, env: str, data_dir: Path) -> str:
        value = self._raw("SECRET_KEY")
        if value is None:
            return self._generated_secret(data_dir)
        if env == "production" and (len(value) < MIN_SECRET_CHARS or _PLACEHOLDERS.search(value)):
            self._problems.append(
                f"SECRET_KEY is short (under {MIN_SECRET_CHARS} characters) or a placeholder; "
                "production needs a random one"
            )
        return value

    def _generated_secret(self, data_dir: Path) -> str:
        path = data_dir / "secret_key"
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                # Written aside and linked: of several processes that start at once, all read the same whole secret.
                aside = data_dir / f"secret_key.{secrets.token_hex(8)}"
                with open(aside, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                    file.write(secrets.token_hex(32))
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(aside)
                aside.unlink()
            secret = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._problems.append(f"MAICIVY_DATA_DIR {data_dir} is not writable: {getattr(error, 'strerror', error)}")
            return ""
        if len(secret) < MIN_SECRET_CHARS:
            self._problems.append(
                f"{path} holds no secret of {MIN_SECRET_CHARS} characters; remove it or set SECRET_KEY"
            )
        return secret
