"""Options from arguments and from app.config; a wrong one stops the start, and every wrong one is named."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from maicivy.errors import SettingsError
from maicivy.tracking.options import Options, read_options

INBOX = {"redis_url": "unix:///run/valkey.sock", "secret_key": "of the installation"}
HTTP = {"url": "https://stats.example.org/maicivy/", "token": "t" * 16}


def test_either_transport_is_enough_and_the_rest_has_defaults() -> None:
    assert read_options(INBOX, {}) == Options(**INBOX)
    assert read_options(HTTP, {}) == Options(url="https://stats.example.org/maicivy", token="t" * 16)


def test_every_option_may_be_in_app_config_and_an_argument_wins() -> None:
    config = {f"MAICIVY_{name.upper()}": value for name, value in HTTP.items()} | {
        "MAICIVY_EXCLUDE": "/admin/*, /drafts",
        "MAICIVY_QUEUE_SIZE": 7,
        "MAICIVY_THEME_PARAM": None,
        "OTHER": 1,
    }
    options = read_options({"queue_size": 9}, config)
    assert (options.exclude, options.queue_size, options.theme_param) == (("/admin/*", "/drafts"), 9, None)
    assert options.kept_params == {"ref", "source"}


def test_the_theme_parameter_stays_in_urls() -> None:
    assert read_options(INBOX | {"theme_param": "look", "query_params": ["page"]}, {}).kept_params == {"look", "page"}


def test_disabled_needs_no_transport() -> None:
    assert not read_options({"enabled": False}, {}).enabled


def test_over_http_a_site_may_be_named_by_any_of_its_names_and_a_path_may_be_a_path() -> None:
    assert read_options(HTTP, {"MAICIVY_SITE": "MC-ABCDEFGHIJ"}).site == "MC-ABCDEFGHIJ"
    assert read_options(INBOX | {"site": 3, "geo_db": Path("/srv/geo")}, {}).geo_db == "/srv/geo"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "redis_url"),
        (INBOX | HTTP, "either"),
        ({"redis_url": "redis://localhost"}, "secret_key"),
        ({"url": "https://stats.example.org"}, "token"),
        (HTTP | {"token": "short"}, "token"),
        (HTTP | {"token": "t" * 16 + "\n"}, "token"),
        (HTTP | {"token": "\u00e9" * 16}, "token"),
        (HTTP | {"url": "stats.example.org"}, "url"),
        (HTTP | {"url": "https://user:pass@stats.example.org"}, "url"),
        (HTTP | {"url": "https://stats.example.org/?site=1"}, "url"),
        (HTTP | {"url": "https://stats.example.org:99999"}, "url"),
        (INBOX | {"redis_url": "https://stats.example.org"}, "redis_url"),
        (INBOX | {"site": 0}, "site"),
        (INBOX | {"site": True}, "site"),
        (INBOX | {"site": "shop.example"}, "site"),
        (HTTP | {"site": ""}, "site"),
        (HTTP | {"site": "x" * 254}, "site"),
        (INBOX | {"geo_db": 3}, "geo_db"),
        (INBOX | {"geo_db": "a\0b"}, "geo_db"),
        (INBOX | {"include": ["cv"]}, "include"),
        (INBOX | {"exclude": 3}, "exclude"),
        (INBOX | {"exclude": [3]}, "exclude"),
        (INBOX | {"respect_dnt": 1}, "respect_dnt"),
        (INBOX | {"enabled": "no"}, "enabled"),
        (INBOX | {"queue_size": "many"}, "queue_size"),
        (INBOX | {"timeout_s": 0}, "timeout_s"),
        (INBOX | {"linger_s": float("nan")}, "linger_s"),
        (INBOX | {"trusted_proxies": -1}, "trusted_proxies"),
        (INBOX | {"token_": "x"}, "'token_'"),
    ],
)
def test_what_cannot_work_is_refused_at_start(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_options(given, {})


def test_all_problems_are_reported_together_and_no_secret_is_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        read_options(HTTP | {"token": "secret \u00e9", "site": 0, "nonsense": 1}, {"MAICIVY_EXCLUDE": [1]})
    assert len(refused.value.problems) == 4
    assert "secret" not in str(refused.value)


def test_every_option_is_described() -> None:
    for field in fields(Options):
        assert f"        {field.name}: " in (Options.__doc__ or "")
