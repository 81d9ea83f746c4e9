"""`maicivy live`: what happens on a site right now, in a terminal.

A client like any other: it speaks to `/ws/analytics` of a running maicivy, here or elsewhere, and needs neither Redis
nor Postgres. What it prints comes from strangers, so no character of it may steer the terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from maicivy.config import Settings
from maicivy.errors import MaicivyError

PATH: Final = "/ws/analytics"
SILENCE_S: Final = 20.0
"""The server beats every five seconds; after so long without a word the connection is made anew."""

RETRY_S: Final = 0.5
RETRY_CAP_S: Final = 15.0

_STATS: Final = ("initial_stats", "heartbeat")
_SHOWN_CHARS: Final = 300


class WatchRefused(MaicivyError):
    """The server will not let this viewer in, however often it asks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See `maicivy.cli`."""
    parser.add_argument("--url", help="ws://, wss://, http:// or https:// (default: the one HOST and PORT stand for)")
    parser.add_argument(
        "--site",
        help="number, measurement id or domain (default: the default site); one that is not public takes"
        " MAICIVY_ADMIN_TOKEN in the environment",
    )
    parser.add_argument("--json", action="store_true", help="print each message as it came, one per line")


def run(arguments: argparse.Namespace) -> int:
    """Print until Ctrl-C, reconnecting as needed.

    Raises:
        WatchRefused: the URL is none, or the server refuses for good.
    """
    url = address(arguments.url or own_url(), arguments.site)
    # Only with a site named: whoever watches something public somewhere else does not send it there.
    token = os.environ.get("MAICIVY_ADMIN_TOKEN", "").strip() if arguments.site else ""
    try:
        if arguments.json:
            _follow(url, token, _print_raw, _complain)
        elif sys.stdout.isatty():
            _in_terminal(url, token)
        else:
            _follow(url, token, _Plain().show, _complain)
    except KeyboardInterrupt:  # the way to end it, not a failure
        return 0
    return 0


def own_url() -> str:
    """Where `maicivy up` with the same environment serves."""
    wanted = {name: os.environ[name] for name in ("HOST", "PORT") if name in os.environ}
    # Without a key given, reading the settings would make a data directory and keep one there.
    settings = Settings.from_env(wanted | {"SECRET_KEY": "not used by a viewer"})
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def address(url: str, site: str | None = None) -> str:
    """The WebSocket address of `site` that `url` means: its scheme may be http, its path may be left out.

    Raises:
        WatchRefused: it is no such URL.
    """
    wrong = WatchRefused(f"--url is {url[:100]!r}; it must be like http://127.0.0.1:8080")
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise wrong from error
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not usable:
        raise wrong
    query = parts.query if site is None else "&".join(filter(None, (parts.query, urlencode({"site": site}))))
    return urlunsplit((scheme, parts.netloc, PATH if parts.path in ("", "/") else parts.path, query, ""))


def line(message: dict[str, Any]) -> str:
    """A message in one line of plain text."""
    kind = str(message.get("type", ""))
    if kind in _STATS:
        return stats_line(message.get("data") or {})
    if kind == "gap":
        return f"... {message.get('dropped')} events not shown: they came faster than they could be sent"
    data = message.get("data")
    words = (
        _time(message.get("timestamp")),
        str(message.get("visitor_id", ""))[-12:],
        kind,
        str(message.get("page_url", "")),
        json.dumps(data, ensure_ascii=False, separators=(", ", ": ")) if data else "",
    )
    text = "  ".join(_printable(word) for word in words if word)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def stats_line(data: dict[str, Any]) -> str:
    """The numbers of `initial_stats` and `heartbeat`."""
    names = (
        ("now", "current_visitors"),
        ("visitors today", "unique_today"),
        ("events", "total_events"),
        ("letters", "letters_today"),
    )
    return "  |  ".join(f"{name} {_printable(str(data.get(key, '?')))}" for name, key in names)


def messages(url: str, token: str, complain: Callable[[str], None]) -> Iterator[str]:
    """Messages as they come, for ever. `complain` is told of each lost connection; a `token` that is not empty is sent.

    Raises:
        WatchRefused: the server refuses for good.
    """
    import websocket  # here, so that `--help` does not wait for it

    header = [f"Authorization: Bearer {token}"] if token else []
    failures = 0
    while True:
        pause = min(RETRY_CAP_S, RETRY_S * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
        try:
            connection = websocket.create_connection(url, timeout=SILENCE_S, suppress_origin=True, header=header)
            try:
                while text := connection.recv():  # empty: the server said goodbye
                    failures = 0
                    yield text if isinstance(text, str) else text.decode(errors="replace")
                reason = "the server ended the connection"
            finally:
                connection.close(timeout=1)
        except websocket.WebSocketBadStatusException as error:
            if error.status_code not in (429, 502, 503, 504):
                raise WatchRefused(f"{url} answers {error.status_code}: {_said(error)}") from error
            reason = f"{error.status_code}: {_said(error)}"
            pause = max(pause, _retry_after(error))
        except (websocket.WebSocketException, OSError) as error:
            reason = f"{url}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"
        failures += 1
        complain(f"{_printable(reason)}; trying again in {pause:.1f} s")
        time.sleep(pause)


def _follow(url: str, token: str, show: Callable[[str], None], complain: Callable[[str], None]) -> None:
    for text in messages(url, token, complain):
        show(text)


def _complain(text: str) -> None:
    print(f"maicivy live: {text}", file=sys.stderr, flush=True)


def _print_raw(text: str) -> None:
    print(text, flush=True)


class _Plain:
    """One line per event, and one for the numbers when they have changed."""

    def __init__(self) -> None:
        self._stats = ""

    def show(self, text: str) -> None:
        message = _parsed(text)
        shown = line(message)
        if message.get("type") in _STATS:
            if shown == self._stats:
                return
            self._stats = shown
        print(shown, flush=True)


def _in_terminal(url: str, token: str) -> None:
    """Events scroll by, the numbers stay in the last line."""
    from rich.console import Console  # slow to import, and not needed for a pipe
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    styles = {"gap": "yellow", "error": "red"}
    with Live(Text(f"connecting to {url}", style="dim"), console=console, auto_refresh=False) as status:

        def show(text: str) -> None:
            message = _parsed(text)
            kind = str(message.get("type"))
            if kind in _STATS:
                status.update(Text(line(message), style="bold green"), refresh=True)
            else:
                console.print(Text(line(message), style=styles.get(kind, ""), overflow="ellipsis", no_wrap=True))

        def complain(text: str) -> None:
            status.update(Text(text, style="bold red"), refresh=True)

        _follow(url, token, show, complain)


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {"type": "not understood", "page_url": text}


def _time(timestamp: object) -> str:
    try:
        return datetime.fromisoformat(str(timestamp)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""


def _printable(text: str) -> str:
    """Without control characters, or anything else that has no picture of its own."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _said(error: Any) -> str:
    """The message in the error shape, if that is what the body holds."""
    try:
        return _printable(str(json.loads(error.resp_body)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return "no WebSocket there"


def _retry_after(error: Any) -> float:
    value = str((error.resp_headers or {}).get("retry-after", ""))
    return min(60.0, float(value)) if value.isascii() and value.isdigit() else 0.0
