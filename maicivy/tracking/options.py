"""What a site may set, from keyword arguments and from `app.config`, checked when the hook is installed.

A wrong option is the one thing the hook complains about loudly: at start, all problems at once, never in a request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final
from urllib.parse import urlsplit

from maicivy.config import MIN_TOKEN_CHARS
from maicivy.core.circumstances import MAX_REFERENCE_CHARS
from maicivy.core.events import DEFAULT_SITE
from maicivy.errors import SettingsError

PREFIX: Final = "MAICIVY_"
_REDIS_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one Flask application is recorded. In `app.config` each has the name in capitals after `MAICIVY_`.

    Attributes:
        redis_url: maicivy's own Redis or Valkey; events go straight into its inbox. This or `url`.
        secret_key: the `SECRET_KEY` of the maicivy installation, needed with `redis_url`: with another one, a visitor
            of this site would get other visitor ids here than in maicivy's own routes, and be counted twice.
        url: where a maicivy elsewhere answers, such as `https://stats.example.org`; a path is kept as prefix.
        token: `MAICIVY_INGEST_TOKEN` of that maicivy, needed with `url`: it lets this site say who its visitors are.
        enabled: False installs nothing and needs neither transport: for tests and for development.
        site: number of the site in maicivy; with `url` its measurement id or domain will do, too.
        domain: further part of visitor ids, with `redis_url`. The API makes them without one: leave it empty.
        geo_db: a database of places (mmdb), or a directory with some, to tell visitors' countries by, with `redis_url`;
            with `url` the other side looks them up.
        include: path rules; when given, only paths that match one are recorded, and the built-in exclusions
            (`rules.NOT_PAGES`) no longer apply. `*` stands for any characters: `/cv`, `/blog/*`.
        exclude: path rules that are never recorded; they win over `include`.
        theme_param: query parameter whose value becomes `event_data.theme`; None or "" for none.
        query_params: query parameters that stay in stored URLs beside `utm_*` and `theme_param`.
        trusted_proxies: how many proxies in front of the site add to `X-Forwarded-For`. Leave it 0 when the site uses
            Werkzeug's ProxyFix, which has corrected the address already.
        respect_dnt: whether a visitor with `DNT: 1` or `Sec-GPC: 1` is left unrecorded.
        queue_size: events that may wait in memory; one more is dropped and counted.
        queue_bytes: the same in bytes.
        inbox_max_bytes: the `MAICIVY_INBOX_MAX_BYTES` of the installation, with `redis_url`.
        linger_s: seconds that the first waiting event is held back so that others share its journey.
        give_up_s: seconds after which an event that could not be delivered is dropped and counted.
        timeout_s: seconds that one HTTP request may take, with `url`.
    """

    redis_url: str = ""
    secret_key: str = ""
    url: str = ""
    token: str = ""
    enabled: bool = True
    site: int | str = DEFAULT_SITE
    domain: str = ""
    geo_db: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    theme_param: str | None = "theme"
    query_params: frozenset[str] = frozenset({"ref", "source"})
    trusted_proxies: int = 0
    respect_dnt: bool = True
    queue_size: int = 10_000
    queue_bytes: int = 16 << 20
    inbox_max_bytes: int = 256 << 20
    linger_s: float = 0.2
    give_up_s: float = 300.0
    timeout_s: float = 5.0

    @property
    def kept_params(self) -> frozenset[str]:
        """The query parameters of stored URLs that are kept beside `utm_*`."""
        return self.query_params | {self.theme_param} if self.theme_param else self.query_params


def read_options(given: Mapping[str, Any], config: Mapping[str, Any]) -> Options:
    """Options from keyword arguments, and for those not given from `app.config`.

    Raises:
        SettingsError: with every problem found.
    """
    names = {field.name for field in fields(Options)}
    problems = [f"Analytics has no option {name!r}" for name in given if name not in names]
    merged = {name: config[PREFIX + name.upper()] for name in names if PREFIX + name.upper() in config}
    merged |= {name: value for name, value in given.items() if name in names}
    values: dict[str, Any] = {}
    for name, value in merged.items():
        read, wanted = _READERS[name]
        try:
            values[name] = read(value)
        except (AttributeError, TypeError, ValueError):  # the value may be a secret: never repeat it
            problems.append(f"{name} (or {PREFIX}{name.upper()}) must be {wanted}")
    options = Options(**values)
    if options.enabled and not problems:
        problems += _unusable(options)
    if problems:
        raise SettingsError(problems)
    return options


def _unusable(options: Options) -> list[str]:
    if bool(options.redis_url) == bool(options.url):
        return ["set either redis_url (maicivy's Redis) or url (a maicivy elsewhere), or enabled=False"]
    if options.redis_url and not options.secret_key:
        return ["redis_url needs secret_key, the SECRET_KEY of the maicivy installation"]
    if options.redis_url and not isinstance(options.site, int):
        return ["site must be a number with redis_url: only a maicivy that is asked over HTTP knows its other names"]
    if options.url and len(options.token) < MIN_TOKEN_CHARS:
        return [f"url needs token, the MAICIVY_INGEST_TOKEN of that maicivy ({MIN_TOKEN_CHARS} characters or more)"]
    return []


def _text(value: Any) -> str:
    value = "" if value is None else value
    if not isinstance(value, str) or any(ord(character) < 0x21 for character in value):
        raise ValueError(value)
    return value


def _secret(value: Any) -> str:
    value = "" if value is None else value
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _token(value: Any) -> str:
    token = _text(value)
    if not token.isascii():  # it travels in a header
        raise ValueError(value)
    return token


def _redis_url(value: Any) -> str:
    url = _text(value)
    if url and urlsplit(url).scheme not in _REDIS_SCHEMES:
        raise ValueError(value)
    return url


def _http_url(value: Any) -> str:
    url = _text(value)
    parts = urlsplit(url)
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    if url and not (parts.scheme in ("http", "https") and parts.hostname and bare and parts.port != 0):
        raise ValueError(value)
    return url.rstrip("/")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(value)
        return value

    return read


def _seconds(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(value)
        return float(value)

    return read


def _list(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else list(value or ())
    return tuple(_text(item.strip()) for item in items if item.strip())


def _rules(value: Any) -> tuple[str, ...]:
    rules = _list(value)
    if not all(rule.startswith(("/", "*")) for rule in rules):
        raise ValueError(value)
    return rules


def _site(value: Any) -> int | str:
    if isinstance(value, str):
        if not 0 < len(_text(value)) <= MAX_REFERENCE_CHARS:
            raise ValueError(value)
        return value
    return _whole(1, 2**31 - 1)(value)


def _path(value: Any) -> str:
    if value is not None and "\0" in str(os.fspath(value)):
        raise ValueError(value)
    return "" if value is None else str(os.fspath(value))


_READERS: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "redis_url": (_redis_url, "a URL that begins with redis://, rediss:// or unix://"),
    "secret_key": (_secret, "text"),
    "url": (_http_url, "an http:// or https:// URL without user, query and fragment"),
    "token": (_token, "ASCII text without white space"),
    "enabled": (_flag, "True or False"),
    "site": (_site, "a number from 1, a measurement id or a domain"),
    "domain": (_text, "a domain name"),
    "geo_db": (_path, "a path"),
    "include": (_rules, "a list of paths such as /cv or /blog/*"),
    "exclude": (_rules, "a list of paths such as /cv or /blog/*"),
    "theme_param": (lambda value: _text(value) or None, "the name of a query parameter, or None"),
    "query_params": (lambda value: frozenset(_list(value)), "a list of names of query parameters"),
    "trusted_proxies": (_whole(0, 16), "a number from 0 to 16"),
    "respect_dnt": (_flag, "True or False"),
    "queue_size": (_whole(1, 1_000_000), "a number from 1 to 1000000"),
    "queue_bytes": (_whole(1 << 16, 1 << 30), "a number from 65536 to 1073741824"),
    "inbox_max_bytes": (_whole(1 << 20, 1 << 40), "a number from 1048576"),
    "linger_s": (_seconds(0.0, 60.0), "seconds from 0 to 60"),
    "give_up_s": (_seconds(1.0, 86_400.0), "seconds from 1 to 86400"),
    "timeout_s": (_seconds(0.1, 60.0), "seconds from 0.1 to 60"),
}
