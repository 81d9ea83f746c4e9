"""Access logs of web servers: what one line says, and whether it is a page view.

Reads the common and the combined log format as Apache, nginx and gunicorn write them. A log knows no content type, so
what is a page is told by method, status and path, along the rules of the tracking hook:

    a page view is a GET that was answered 200, or 304 (the visitor looked at a page that the browser still had);
    not of a file that a page merely contains or links to, told by its extension (`ASSET_EXTENSIONS`);
    not of a feed, which programs fetch by the hour; nor of an API, a health check or the like.

Bots are page views here like everybody else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from urllib.parse import parse_qsl, quote, unquote
from uuid import UUID

import msgspec

from maicivy.core.circumstances import click_id_of, with_campaign_of
from maicivy.core.events import NO_TRAITS
from maicivy.core.gate import MAX_FUTURE, MAX_URL_CHARS
from maicivy.core.tallies import MAX_LABEL_CHARS
from maicivy.core.urls import clean_url, shortened

MAX_LINE_BYTES: Final = 64 << 10
"""Web servers end a request's header at 8 to 32 KiB, so a longer line is no log line."""

_ASSETS = """
    css js mjs map wasm json jsonld xml xsl xslt txt csv tsv yaml yml toml ini conf log md webmanifest manifest
    png jpg jpeg jpe gif webp avif jxl svg svgz ico bmp tif tiff heic psd cur
    woff woff2 ttf otf eot mp3 ogg oga ogv opus wav flac aac m4a mp4 m4v webm mov avi mkv mpg mpeg swf m3u8 vtt
    pdf ps eps epub doc docx xls xlsx ppt pptx odt ods odp rtf tex
    zip gz tgz bz2 xz zst 7z rar tar jar war whl gem deb rpm apk exe msi dmg pkg iso img bin pcap torrent
    py pyc rb c h cc cpp hpp java go rs lua sh bat ps1 ts tsx jsx vim m4 mk diff patch spec sql asc sig sha256
"""
ASSET_EXTENSIONS: Final = frozenset(_ASSETS.split())
FEED_EXTENSIONS: Final = frozenset({"rss", "atom", "rdf"})
_FEED_NAMES = frozenset({"feed", "rss", "rss2", "atom", "feed.xml", "rss.xml", "atom.xml", "index.xml", "feed.json"})
_FEED_PARAMETERS = frozenset({"feed", "flav", "format"})  # WordPress, Blosxom, and many
_FEED_FORMATS = ("rss", "atom", "rdf")
_NOT_PAGES = ("/api/", "/static/", "/ws/", "/.well-known/", "/wp-json/")
_CHECKS = frozenset({"/health", "/healthz", "/livez", "/readyz", "/metrics", "/server-status", "/nginx_status"})

_QUOTED = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_LINE = re.compile(
    rb"(\S+) \S+ .*? \[(\d\d)/([A-Z][a-z]{2})/((?:19|2[01])\d\d):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    + _QUOTED
    + rb" (\d{3}) (?:\d+|-)(?: "
    + _QUOTED
    + rb" "
    + _QUOTED
    + rb"(?: .*)?)?",
    re.S,
)
_REQUEST = re.compile(rb"([A-Z][A-Z-]{1,15}) (\S+)(?: HTTP/\d(?:\.\d)?)?")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"v": b"\v", b"f": b"\f"}
_PATH_SAFE = "/~!$&'()*+,;=:@-"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.I)
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b|[0-9a-f:]*::[0-9a-f:.]*|\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", re.I
)
_UNSAFE = re.compile(r"[^\x20-\x7e]")


class Skip(StrEnum):
    """Why a line that was read is no page view. A line has one reason, the first that holds in this order."""

    BLANK = "blank"
    NO_REQUEST = "no_request"
    METHOD = "method"
    STATUS = "status"
    ASSET = "asset"
    FEED = "feed"
    NOT_A_PAGE = "not_a_page"
    LONG_PATH = "long_path"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"


class Line(msgspec.Struct, frozen=True, gc=False):
    """What a line says. `method` and `target` are empty when the client sent no HTTP; `-` fields are empty too.

    `address` is whatever the server wrote for the client; it must go no further than `identity.visitor_on`.
    """

    address: str
    at: datetime
    method: str
    target: str
    status: int
    referrer: str
    user_agent: str


class PageView(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a line that is a page view; URLs are clean. Of a click id its name is kept, and the campaign
    where the URL was too long to be kept as a whole."""

    page_url: str
    path: str
    theme: str | None
    referrer: str
    click_id: str = ""
    utm: tuple[str, str, str, str, str] | None = None


def parse_line(raw: bytes) -> Line:
    """What the line `raw` says; line ends at its end do not matter. Bytes are UTF-8, or else Latin-1.

    Raises:
        ValueError: with the reason, when it is in neither format.
    """
    if len(raw) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    match = _LINE.fullmatch(raw.rstrip(b"\r\n"))
    if match is None:
        raise ValueError("neither common nor combined log format")
    address, day, month, year, hour, minute, second, sign, zone_h, zone_m, request, status, referrer, agent = (
        match.groups()
    )
    try:
        day_start = datetime(int(year), _MONTHS[month], int(day), tzinfo=_zone(sign, zone_h, zone_m))
        whole_second = 59 if second == b"60" else int(second)  # a leap second has no place in datetime
        at = day_start.replace(hour=int(hour), minute=int(minute), second=whole_second).astimezone(UTC)
    except (KeyError, ValueError, OverflowError) as error:
        raise ValueError("no such time") from error
    asked = _REQUEST.fullmatch(_unescaped(request))
    return Line(
        _text(address),
        at,
        asked[1].decode("ascii") if asked else "",
        _text(asked[2]) if asked else "",
        int(status),
        _field(referrer),
        _field(agent),
    )


def page_view(line: Line, query_params: frozenset[str]) -> PageView | Skip:
    """The page view that a line is, or why it is none; its time is not looked at (see `out_of_time`).

    `query_params` are those of `clean_url`. A query parameter `theme` becomes the theme.
    """
    if not line.method:
        return Skip.NO_REQUEST
    if line.method != "GET":
        return Skip.METHOD
    if line.status not in (200, 304):
        return Skip.STATUS
    path, query = _path_and_query(line.target)
    refused = _refused_path(path) or (Skip.FEED if _asks_for_feed(query) else None)
    if refused is not None:
        return refused
    whole = _clean(f"{path}?{query}", query_params) if query else path
    utm = with_campaign_of(whole, NO_TRAITS).utm if len(whole) > MAX_URL_CHARS else None
    click_id = click_id_of(f"?{query}") if query else ""
    referrer = _fitting(_clean(line.referrer, query_params))
    return PageView(_fitting(whole) or path, path, _theme(query), referrer, click_id, utm)


def out_of_time(at: datetime, now: datetime, retention: timedelta) -> Skip | None:
    """Why an event of `at` would not be taken at `now`: the gate's rule."""
    if at > now + MAX_FUTURE:
        return Skip.IN_FUTURE
    if at < now - retention:
        return Skip.TOO_OLD
    return None


def line_key(secret_key: str) -> bytes:
    """The key of `Ordinals`. With a known key, whoever sees an event's id could find its address by trying them all."""
    return blake2b(secret_key.encode(), person=b"maicivy-log-line", digest_size=32).digest()


class Ordinals:
    """Event ids of the lines of one input: the same in every run, and different for identical lines.

    The id of a line is a UUIDv8 of a keyed hash of site, line and how many identical lines came before it. Identical
    lines carry the same second, so they stand close together: only the last `window` to twice `window` distinct lines
    are remembered, whatever the length of the input. A repeat from further away would get the id of the first again
    and count as one with it, never twice.
    """

    def __init__(self, key: bytes, site_id: int, window: int = 50_000) -> None:
        self._key = key
        self._site = b"%d\n" % site_id
        self._window = window
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def event_id(self, raw: bytes) -> UUID:
        """The id of the next line of the input."""
        digest = self._hash(raw.rstrip(b"\r\n"))
        before = self._recent.get(digest)
        if before is None:
            before = self._older.get(digest, 0)
            if len(self._recent) >= self._window:
                self._older, self._recent = self._recent, {}
        self._recent[digest] = before + 1
        return _uuid8(digest if before == 0 else self._hash(digest + b"%d" % before))

    def _hash(self, what: bytes) -> bytes:
        return blake2b(self._site + what, key=self._key, digest_size=16).digest()


def excerpt(raw: bytes, chars: int = 72) -> str:
    """The beginning of a line for a person's eyes: printable ASCII only, and no address."""
    text = _ADDRESS.sub("(address)", raw[: 4 * chars].decode("latin-1").rstrip("\r\n"))
    text = _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return text if len(text) <= chars else text[: chars - 3] + "..."


@lru_cache(maxsize=256)
def _zone(sign: bytes, hours: bytes, minutes: bytes) -> timezone:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == b"-" else offset)


def _field(raw: bytes | None) -> str:
    return "" if raw is None or raw == b"-" else _text(_unescaped(raw))


def _unescaped(raw: bytes) -> bytes:
    """Apache writes `\\"`, `\\\\`, `\\t` and `\\x1b`; nginx `\\x22`."""
    return _ESCAPE.sub(_character, raw) if b"\\" in raw else raw


def _character(match: re.Match[bytes]) -> bytes:
    what = match[1]
    if len(what) == 3:
        return bytes([int(what[1:], 16)])
    return _ESCAPED.get(what, what)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _path_and_query(target: str) -> tuple[str, str]:
    """Of a request of any form: absolute (to a proxy) too, or with more than one leading slash.

    The path is spelled as the tracking hook spells it, which sees only the decoded one.
    """
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        target = target[absolute.end() :]
    path, _, query = target.partition("#")[0].partition("?")
    path = "/" + path.lstrip("/\\")
    return path if _PLAIN_PATH.fullmatch(path) else quote(unquote(path), safe=_PATH_SAFE), query


def _refused_path(path: str) -> Skip | None:
    name = path.rpartition("/")[2].lower()
    stem, dot, extension = name.rpartition(".")
    if extension in FEED_EXTENSIONS or name in _FEED_NAMES or path.rstrip("/").lower().endswith(("/feed", "/rss")):
        return Skip.FEED
    if dot and stem and extension in ASSET_EXTENSIONS:
        return Skip.ASSET
    if path in _CHECKS or path.startswith(_NOT_PAGES):
        return Skip.NOT_A_PAGE
    return Skip.LONG_PATH if len(path) > MAX_URL_CHARS else None


def _asks_for_feed(query: str) -> bool:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in _FEED_PARAMETERS and value.startswith(_FEED_FORMATS):
            return True
    return False


def _clean(url: str, query_params: frozenset[str]) -> str:
    """`url` as it may be stored, but for its length; empty when it may not be."""
    try:
        return clean_url(url, query_params) if url else ""
    except ValueError:
        return ""


def _fitting(url: str) -> str:
    """`url` without the parameters that make it too long; empty when it is too long even so."""
    url = shortened(url, MAX_URL_CHARS)
    return url if len(url) <= MAX_URL_CHARS else ""


def _theme(query: str) -> str | None:
    if "theme=" not in query:
        return None
    try:
        parameters = parse_qsl(query, max_num_fields=100)
    except ValueError:
        return None
    theme = next((value for name, value in parameters if name == "theme"), "").replace("\x00", "\ufffd")
    return theme if 0 < len(theme) <= MAX_LABEL_CHARS else None


def _uuid8(digest: bytes) -> UUID:
    value = int.from_bytes(digest, "big")
    return UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48)
