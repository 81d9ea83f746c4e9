"""What a site that has never had an event is shown: the lines to paste, with its own measurement id in them."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from maicivy.core.events import DEFAULT_SITE
from maicivy.core.sites import Site

ELSEWHERE: Final = "https://stats.example.org"
"""Stands for the address of maicivy where the one it was asked under would be no good to paste into a shell."""

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""What curl has to say it is: with its own name it would count as a bot."""

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]{1,260}", re.ASCII)


class Snippet(msgspec.Struct, frozen=True):
    """Lines to paste; `key` (`script`, `flask`, `curl`) names them in the words of the page."""

    key: str
    code: str


def snippets(origin: str, site: Site) -> tuple[Snippet, ...]:
    """The ways to send a first event, the simplest first; `origin` is maicivy's own, `https://stats.example.org`."""
    base = origin if _ORIGIN.fullmatch(origin) else ELSEWHERE
    name = site.measurement_id or str(site.id)
    return (
        Snippet("script", f'<script defer src="{base}/js/maicivy.js" data-site="{name}"></script>'),
        Snippet("flask", _flask(base, "" if site.id == DEFAULT_SITE else f'    site="{name}",\n')),
        Snippet("curl", _curl(base, name)),
    )


def _flask(base: str, named: str) -> str:
    return (
        "from flask import Flask\n"
        "from maicivy.tracking import Analytics\n"
        "\n"
        "app = Flask(__name__)\n"
        "analytics = Analytics(\n"
        "    app,\n"
        f'    url="{base}",\n'
        '    token="the MAICIVY_INGEST_TOKEN",\n'
        f"{named}"
        ")"
    )


def _curl(base: str, name: str) -> str:
    return (
        f"curl {base}/api/v1/analytics/event \\\n"
        f'  -A "{BROWSER}" \\\n'
        f'  -d \'{{"event_type": "page_view", "page_url": "/", "measurement_id": "{name}"}}\''
    )
