"""Texts as a dimension may hold them: short, and such that Postgres can store them."""

from __future__ import annotations

import re

from maicivy.core.dimensions import MAX_CHARS

_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def clean(text: str, limit: int = MAX_CHARS) -> str:
    """At most `limit` characters of `text`; control characters and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text[:limit])
