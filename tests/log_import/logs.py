"""Access logs for tests: of an invented site, from addresses that are kept for documentation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BOT = "Mozilla/5.0 (compatible; examplebot/2.1; +https://bot.example.org/about.html)"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def log_line(
    at: datetime,
    target: str = "/cv",
    *,
    address: str = "192.0.2.16",
    method: str = "GET",
    status: int = 200,
    referrer: str = "-",
    user_agent: str = FIREFOX,
) -> bytes:
    """A line in combined format, without its end."""
    time = f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year}:{at:%H:%M:%S} +0000"
    return f'{address} - - [{time}] "{method} {target} HTTP/1.1" {status} 5316 "{referrer}" "{user_agent}"'.encode()


def a_day_of_lines(last: datetime) -> list[bytes]:
    """What a small site logs: 8 page views, of them two in one second by one client, and everything else there is.

    The latest time is `last`, and it is not on the last line.
    """
    at = [last - timedelta(minutes=minutes) for minutes in range(90, -1, -10)]
    return [
        log_line(at[0], "/"),
        log_line(at[0], "/style.css", referrer="https://example.org/"),
        log_line(at[1], "/cv?theme=backend&session=4711", referrer="https://example.org/?q=jean"),
        log_line(at[1], "/photo.jpg"),
        log_line(at[2], "/letters", address="2001:db8::1f"),
        log_line(at[2], "/letters", address="2001:db8::1f"),
        log_line(at[3], "/cv?theme=devops", status=304, address="198.51.100.7"),
        log_line(at[3], "/robots.txt", user_agent=BOT),
        log_line(at[4], "/blog/?flav=rss20", user_agent="FeedReader/2.0"),
        log_line(at[5], "/old", status=301),
        log_line(at[5], "/missing", status=404),
        log_line(at[6], "/contact", method="POST"),
        b'203.0.113.9 - - [%s] "\\x16\\x03\\x01\\x02" 400 226 "-" "-"' % log_line(at[6]).partition(b"[")[2][:26],
        log_line(at[7], "/api/v1/analytics/realtime"),
        log_line(at[8], "/cv")[:-20],
        b"",
        log_line(at[9], "/cv", user_agent=BOT),
        log_line(at[8], "/letters", address="203.0.113.9"),
        log_line(at[8], "/caf%c3%a9", address="203.0.113.9"),
    ]


def write_log(path: Path, lines: Iterable[bytes]) -> Path:
    """The lines as a file, each with its end."""
    path.write_bytes(b"".join(itertools.chain.from_iterable((line, b"\n") for line in lines)))
    return path
