"""The cookie of those who know the token: what it is good for, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Response

from maicivy.config import Settings
from maicivy.web.unlocking import COOKIE, LIFE_H, is_unlocked, unlock

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_a_cookie_is_good_for_its_time_its_key_and_its_token(settings: Settings) -> None:
    settings = replace(settings, admin_token="0123456789abcdef")
    response = Response()
    unlock(response, settings, NOW, is_secure=True)
    value = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    def good(value: str, settings: Settings = settings, method: str = "GET", **later: float) -> bool:
        environ: Any = {"REQUEST_METHOD": method, "HTTP_COOKIE": f"a=b; {COOKIE}={value}; c=\xe9"}
        return is_unlocked(settings, environ, NOW + timedelta(**later))

    assert good(value)
    assert good(value, method="HEAD")
    assert good(value, hours=LIFE_H, seconds=-1)
    assert not good(value, hours=LIFE_H)
    assert not good(value, seconds=-1)
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        assert not good(value, method=method)
    assert not good(value, replace(settings, admin_token="another token 16"))
    assert not good(value, replace(settings, admin_token=None))
    assert not good(value, replace(settings, secret_key="f" * 32))
    ends, _, signature = value.partition(".")
    forged = (f"{int(ends) + 1}.{signature}", f"{ends}.{signature[:-1]}", f"{value}0", ends, f".{signature}")
    for other in (*forged, "", ".", "9" * 13, "é.é", f"x{value}"):
        assert not good(other)


def test_a_cookie_of_another_name_opens_nothing(settings: Settings) -> None:
    settings = replace(settings, admin_token="0123456789abcdef")
    response = Response()
    unlock(response, settings, NOW, is_secure=False)
    value = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    for cookie in (f"x{COOKIE}={value}", f"x={COOKIE}={value}", f"{COOKIE}x={value}"):
        environ: Any = {"REQUEST_METHOD": "GET", "HTTP_COOKIE": cookie}
        assert not is_unlocked(settings, environ, NOW)


@pytest.mark.parametrize(
    ("origin", "is_good"),
    [
        (None, True),
        ("https://stats.example.org", True),
        ("http://Stats.example.org", True),
        ("https://blog.example.org", False),
        ("https://example.org", False),
        ("https://stats.example.org:8443", False),
        ("null", False),
        ("", False),
        ("https://evil.test/://stats.example.org", False),
    ],
)
def test_a_cookie_opens_nothing_to_pages_of_other_hosts(origin: str | None, is_good: bool, settings: Settings) -> None:
    settings = replace(settings, admin_token="0123456789abcdef")
    response = Response()
    unlock(response, settings, NOW, is_secure=True)
    environ: Any = {
        "REQUEST_METHOD": "GET",
        "HTTP_HOST": "stats.example.org",
        "HTTP_COOKIE": response.headers["Set-Cookie"].partition(";")[0],
    }
    said = {} if origin is None else {"HTTP_ORIGIN": origin}
    assert is_unlocked(settings, environ | said, NOW) is is_good
