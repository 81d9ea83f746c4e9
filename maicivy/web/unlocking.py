"""The cookie with which a browser may read sites that are not public: it stands for `MAICIVY_ADMIN_TOKEN`, which a
person typed into a form once, and opens nothing but what is read by GET.

It says when it ends and nothing else, signed with a key made of `SECRET_KEY` and the token: whoever changes either
ends them all.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from flask import Response

from maicivy.config import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

COOKIE: Final = "maicivy_unlocked"
LIFE_H: Final = 12

_GIVEN: Final = re.compile(rf"(?:^|;\s*){COOKIE}=([0-9]{{1,12}})\.([0-9a-f]{{48}})(?=;|$)", re.ASCII)
"""Not werkzeug's parser: it fails on cookies of others that are no UTF-8."""


def is_unlocked(settings: Settings, environ: WSGIEnvironment, now: datetime) -> bool:
    """Whether a request only reads, and carries a cookie that is still good. For pages of other hosts it opens nothing:
    a WebSocket sends it along from any page of the same site (`blog.` beside `stats.example.org`), and asks nobody."""
    if settings.admin_token is None or environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return False
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2].lower() != environ.get("HTTP_HOST", "").lower():
        return False
    found = _GIVEN.search(environ.get("HTTP_COOKIE", ""))
    if found is None:
        return False
    ends, signature = found[1], found[2]
    genuine = hmac.compare_digest(signature, _signature(settings, ends))
    return genuine and now.timestamp() < int(ends) <= now.timestamp() + LIFE_H * 3600


def unlock(response: Response, settings: Settings, now: datetime, is_secure: bool) -> None:
    """Have the browser keep a cookie."""
    ends = str(int(now.timestamp()) + LIFE_H * 3600)
    response.set_cookie(
        COOKIE,
        f"{ends}.{_signature(settings, ends)}",
        max_age=LIFE_H * 3600,
        secure=is_secure,
        httponly=True,
        samesite="Strict",
    )


def lock(response: Response, is_secure: bool) -> None:
    """Have the browser throw its cookie away."""
    response.delete_cookie(COOKIE, secure=is_secure, httponly=True, samesite="Strict")


def _signature(settings: Settings, ends: str) -> str:
    key = hashlib.blake2b(
        (settings.admin_token or "").encode(),
        key=hashlib.sha256(settings.secret_key.encode(errors="replace")).digest(),
        person=b"unlock",
    ).digest()
    return hashlib.blake2b(ends.encode(), key=key, digest_size=24).hexdigest()
