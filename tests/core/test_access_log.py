"""One line of an access log: what it says, whether it is a page view, and the id that it gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maicivy.core.access_log import (
    ASSET_EXTENSIONS,
    MAX_LINE_BYTES,
    Line,
    Ordinals,
    PageView,
    Skip,
    excerpt,
    line_key,
    out_of_time,
    page_view,
    parse_line,
)

NOW = datetime(2025, 12, 8, 12, 34, 56, tzinfo=UTC)
PARAMS = frozenset({"theme", "ref", "source"})
KEY = line_key("0123456789abcdef")

COMBINED = (
    b'192.0.2.16 - - [08/Dec/2025:12:34:56 +0000] "GET /cv?theme=backend HTTP/1.1" 200 9316'
    b' "https://example.org/jobs" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"\n'
)


def line(
    target: str = "/cv",
    method: str = "GET",
    status: int = 200,
    referrer: str = "",
    user_agent: str = "",
    at: datetime = NOW,
) -> Line:
    return Line("192.0.2.16", at, method, target, status, referrer, user_agent)


def log_line(
    address: bytes = b"192.0.2.16",
    user: bytes = b"-",
    time: bytes = b"08/Dec/2025:12:34:56 +0000",
    request: bytes = b"GET /cv HTTP/1.1",
    rest: bytes = b'200 9316 "-" "-"',
) -> bytes:
    return address + b" - " + user + b" [" + time + b'] "' + request + b'" ' + rest


def agent(raw: bytes) -> bytes:
    return b'200 9316 "-" "' + raw + b'"'


def test_a_combined_line_says_who_when_what_and_from_where() -> None:
    assert parse_line(COMBINED) == Line(
        "192.0.2.16",
        NOW,
        "GET",
        "/cv?theme=backend",
        200,
        "https://example.org/jobs",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(log_line(rest=b"200 9316"), line(), id="common"),
        pytest.param(log_line(rest=b"304 -"), line(status=304), id="common, no size"),
        pytest.param(log_line() + b"\r\n", line(), id="CRLF"),
        pytest.param(log_line(rest=agent(b"curl/8.5") + b' 0.003 "-"'), line(user_agent="curl/8.5"), id="more fields"),
        pytest.param(log_line(user=b"jean dupont"), line(), id="a user with a space"),
        pytest.param(log_line(request=b"GET /cv HTTP/2.0"), line(), id="HTTP/2.0"),
        pytest.param(log_line(request=b"GET /cv HTTP/2"), line(), id="HTTP/2"),
        pytest.param(log_line(request=b"GET /cv"), line(), id="HTTP/0.9"),
        pytest.param(log_line(request=b"HEAD /cv HTTP/1.1"), line(method="HEAD"), id="HEAD"),
        pytest.param(log_line(request=b"M-SEARCH * HTTP/1.1"), line("*", "M-SEARCH"), id="M-SEARCH"),
        pytest.param(
            log_line(request=b"GET http://example.org/cv HTTP/1.1"), line("http://example.org/cv"), id="absolute form"
        ),
        pytest.param(log_line(request=b"-", rest=b'408 - "-" "-"'), line("", "", 408), id="no request"),
        pytest.param(log_line(request=b"", rest=b'400 0 "-" "-"'), line("", "", 400), id="empty request"),
        pytest.param(
            log_line(request=rb"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03", rest=b'400 226 "-" "-"'),
            line("", "", 400),
            id="TLS, escaped",
        ),
        pytest.param(
            log_line(request=b"\x16\x03\x01\x00\xa5\x01", rest=b'400 226 "-" "-"'), line("", "", 400), id="TLS, raw"
        ),
        pytest.param(log_line(rest=agent(rb"a \"b\" \\ c")), line(user_agent=r'a "b" \ c'), id="Apache escapes"),
        pytest.param(log_line(rest=agent(rb"a \x22b\x22 \x5C")), line(user_agent='a "b" \\'), id="nginx escapes"),
        pytest.param(log_line(rest=agent(rb"\xc3\xa9t\xc3\xa9")), line(user_agent="été"), id="escaped UTF-8"),
        pytest.param(log_line(rest=agent("été".encode())), line(user_agent="été"), id="UTF-8"),
        pytest.param(log_line(rest=agent("été".encode("latin-1"))), line(user_agent="été"), id="Latin-1"),
        pytest.param(log_line(rest=agent(rb"tab\there\n")), line(user_agent="tab\there\n"), id="control characters"),
        pytest.param(log_line(time=b"08/Dec/2025:14:34:56 +0200"), line(), id="zone"),
        pytest.param(
            log_line(time=b"31/Dec/2025:23:30:00 -0330"),
            line(at=datetime(2026, 1, 1, 3, 0, tzinfo=UTC)),
            id="zone west of Greenwich, over the year's end",
        ),
        pytest.param(
            log_line(time=b"31/Dec/2016:23:59:60 +0000"),
            line(at=datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
            id="leap second",
        ),
        pytest.param(log_line(rest=agent(b"a" * 30_000)), line(user_agent="a" * 30_000), id="a long one"),
    ],
)
def test_lines_of_every_kind_are_read(raw: bytes, expected: Line) -> None:
    assert parse_line(raw) == expected


def test_an_ipv6_address_is_read() -> None:
    assert parse_line(log_line(address=b"2001:db8::1f")).address == "2001:db8::1f"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "format"),
        (b"hello", "format"),
        (b"\x00\xff" * 50, "format"),
        (b'192.0.2.16 - - [08/Dec/2025:12:34:56 +0000] "GET /cv HTTP/1.1" 200 1 "-" "Mozilla/5.0 (cut off', "format"),
        (b'192.0.2.16 - - [08/Dec/2025:12:34:56 +0000] "GET /cv HTTP/1.1" 200', "format"),
        (b'192.0.2.16 - - [08/Dec/2025:12:34:56 +0000] "GET /c"v HTTP/1.1" 200 1 "-" "-"', "format"),
        (b'192.0.2.16 - - [2025-12-08T12:34:56Z] "GET /cv HTTP/1.1" 200 1 "-" "-"', "format"),
        (log_line(time=b"08/Dec/9999:12:34:56 +0000"), "format"),
        (log_line(time=b"08/Dez/2025:12:34:56 +0000"), "no such time"),
        (log_line(time=b"31/Feb/2025:12:34:56 +0000"), "no such time"),
        (log_line(time=b"08/Dec/2025:24:34:56 +0000"), "no such time"),
        (log_line(time=b"08/Dec/2025:12:34:61 +0000"), "no such time"),
        (log_line(time=b"08/Dec/2025:12:34:56 +2400"), "no such time"),
        (b"a" * (MAX_LINE_BYTES + 1), "longer"),
    ],
)
def test_what_is_no_log_line_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_line(raw)


@given(st.binary(max_size=300))
@example(b'" [')
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    try:
        parsed = parse_line(raw)
    except ValueError:
        return
    page_view(parsed, PARAMS)


def quoted(raw: bytes) -> bytes:
    """As a web server writes it."""
    for plain, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        raw = raw.replace(plain, escaped)
    return b'"' + raw + b'"'


@given(
    st.binary(max_size=40) | st.binary(max_size=40).map(lambda target: b"GET /" + target),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.sampled_from([200, 304, 0, 999]),
)
def test_no_fields_break_the_rules(request: bytes, referrer: bytes, user_agent: bytes, status: int) -> None:
    raw = log_line(request=quoted(request)[1:-1], rest=b"%03d 1 %s %s" % (status, quoted(referrer), quoted(user_agent)))
    parsed = parse_line(raw)
    assert parsed.at == NOW
    if user_agent != b"-":
        assert user_agent in (parsed.user_agent.encode(), parsed.user_agent.encode("latin-1", "replace"))
    view = page_view(parsed, PARAMS)
    if isinstance(view, PageView):
        assert view.page_url.startswith("/")
        assert "\x00" not in view.page_url + view.path + view.referrer + (view.theme or "")


@given(st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_a_time_is_read_in_whatever_zone_it_was_written(moment: datetime, offset_minutes: int) -> None:
    local = moment.replace(microsecond=0)
    hours, minutes = divmod(abs(offset_minutes), 60)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][local.month - 1]
    sign = "-" if offset_minutes < 0 else "+"
    text = f"{local.day:02}/{month}/{local.year:04}:{local:%H:%M:%S} {sign}{hours:02}{minutes:02}"
    utc = local.replace(tzinfo=UTC) - timedelta(minutes=offset_minutes)
    assert parse_line(log_line(time=text.encode())).at == utc


@pytest.mark.parametrize(
    ("target", "page_url", "path", "theme"),
    [
        ("/", "/", "/", None),
        ("/cv", "/cv", "/cv", None),
        ("/cv?theme=backend", "/cv?theme=backend", "/cv", "backend"),
        ("/cv?token=secret&theme=backend&utm_source=x", "/cv?theme=backend&utm_source=x", "/cv", "backend"),
        ("/cv?theme=", "/cv?theme=", "/cv", None),
        ("/cv?theme=%00a", "/cv?theme=%00a", "/cv", "\ufffda"),
        ("/cv?mytheme=x", "/cv", "/cv", None),
        ("/cv#top", "/cv", "/cv", None),
        ("http://example.org/cv?ref=a", "/cv?ref=a", "/cv", None),
        ("https://user:pw@example.org", "/", "/", None),
        ("HTTPS://EXAMPLE.ORG?theme=x", "/?theme=x", "/", "x"),
        ("//cv", "/cv", "/cv", None),
        ("/blog/2025.12", "/blog/2025.12", "/blog/2025.12", None),
        ("/users/jean.dupont", "/users/jean.dupont", "/users/jean.dupont", None),
        ("/index.html", "/index.html", "/index.html", None),
        ("/old/page.php?id=7", "/old/page.php", "/old/page.php", None),
        ("/.htaccess", "/.htaccess", "/.htaccess", None),
        ("/caf%C3%A9", "/caf%C3%A9", "/caf%C3%A9", None),
        ("/feedback", "/feedback", "/feedback", None),
        ("/?format=list", "/", "/", None),
        ("/cv?" + "&".join([f"utm_a={'x' * 50}"] * 20), "/cv?" + "&".join([f"utm_a={'x' * 50}"] * 8), "/cv", None),
        ("/cv?" + "&".join(["theme=x"] * 200), "/cv?" + "&".join(["theme=x"] * 62), "/cv", None),
        ("/cv?theme=\x07", "/cv", "/cv", "\x07"),
        ("/cv?theme=" + "x" * 200, "/cv?theme=" + "x" * 200, "/cv", "x" * 200),
        ("/cv?theme=" + "x" * 201, "/cv?theme=" + "x" * 201, "/cv", None),
        ("/" + "x" * 499, "/" + "x" * 499, "/" + "x" * 499, None),
        ("/%7Ejean/caf%c3%a9", "/~jean/caf%C3%A9", "/~jean/caf%C3%A9", None),
        ("/café", "/caf%C3%A9", "/caf%C3%A9", None),
        ("/a\x07b%00", "/a%07b%00", "/a%07b%00", None),
        ("/a%FFb", "/a%EF%BF%BDb", "/a%EF%BF%BDb", None),
    ],
)
def test_the_page_of_a_request(target: str, page_url: str, path: str, theme: str | None) -> None:
    assert page_view(line(target), PARAMS) == PageView(page_url, path, theme, "")


@pytest.mark.parametrize(
    ("given_line", "why"),
    [
        (line(method="", target=""), Skip.NO_REQUEST),
        (line(method="POST"), Skip.METHOD),
        (line(method="HEAD"), Skip.METHOD),
        (line(method="CONNECT", target="example.org:443"), Skip.METHOD),
        (line(status=206), Skip.STATUS),
        (line(status=301), Skip.STATUS),
        (line(status=404), Skip.STATUS),
        (line(status=500), Skip.STATUS),
        (line("/favicon.ico"), Skip.ASSET),
        (line("/robots.txt"), Skip.ASSET),
        (line("/Logo.PNG"), Skip.ASSET),
        (line("/app.js?v=3"), Skip.ASSET),
        (line("http://example.org/app.css"), Skip.ASSET),
        (line("/feed"), Skip.FEED),
        (line("/blog/feed/"), Skip.FEED),
        (line("/blog/feed.xml"), Skip.FEED),
        (line("/news.rss"), Skip.FEED),
        (line("/?feed=rss2"), Skip.FEED),
        (line("/tags/python?page=2&flav=atom"), Skip.FEED),
        (line("/api/v1/analytics/realtime"), Skip.NOT_A_PAGE),
        (line("/static/start"), Skip.NOT_A_PAGE),
        (line("/.well-known/security"), Skip.NOT_A_PAGE),
        (line("/healthz"), Skip.NOT_A_PAGE),
        (line("/" + "x" * 500), Skip.LONG_PATH),
        (line("/" + "é" * 100), Skip.LONG_PATH),
    ],
)
def test_what_is_no_page_view_is_left_out_for_one_reason(given_line: Line, why: Skip) -> None:
    assert page_view(given_line, PARAMS) is why


def test_a_query_that_is_too_long_leaves_its_campaign_behind() -> None:
    view = page_view(line("/cv?theme=t&utm_campaign=" + "x" * 600), PARAMS)
    assert view == PageView("/cv?theme=t", "/cv", "t", "", "", ("", "", "x" * 200, "", ""))


def test_a_page_from_the_browsers_cache_is_a_page_view() -> None:
    assert page_view(line(status=304), PARAMS) == PageView("/cv", "/cv", None, "")


@pytest.mark.parametrize("extension", sorted(ASSET_EXTENSIONS))
def test_an_extension_of_the_list_makes_an_asset(extension: str) -> None:
    assert page_view(line(f"/files/a.{extension}"), PARAMS) is Skip.ASSET


@pytest.mark.parametrize(
    ("referrer", "kept"),
    [
        ("", ""),
        ("https://example.org/jobs?q=jean&utm_source=x#top", "https://example.org/jobs?utm_source=x"),
        ("https://user:pw@Example.org/", "https://example.org/"),
        ("android-app://org.example.reader", "android-app://org.example.reader"),
        ("/cv", "/cv"),
        ("javascript:alert(1)", ""),
        ("not a url", ""),
        ("http://[::1", ""),
        ("https://example.org/" + "x" * 500, ""),
        ("https://example.org/?utm_x=" + "x" * 500, "https://example.org/"),
    ],
)
def test_a_bad_referrer_is_dropped_and_the_line_kept(referrer: str, kept: str) -> None:
    view = page_view(line(referrer=referrer), PARAMS)
    assert isinstance(view, PageView)
    assert view.referrer == kept


@pytest.mark.parametrize(
    ("age", "why"),
    [
        (timedelta(0), None),
        (timedelta(days=90), None),
        (timedelta(days=90, seconds=1), Skip.TOO_OLD),
        (timedelta(minutes=-5), None),
        (timedelta(minutes=-5, seconds=-1), Skip.IN_FUTURE),
    ],
)
def test_what_is_out_of_time_is_left_out(age: timedelta, why: Skip | None) -> None:
    assert out_of_time(NOW - age, NOW, timedelta(days=90)) is why


def ids(lines: list[bytes], key: bytes = KEY, site_id: int = 1, window: int = 50_000) -> list[UUID]:
    ordinals = Ordinals(key, site_id, window)
    return [ordinals.event_id(raw) for raw in lines]


def test_the_id_of_a_line_is_the_same_in_every_run_and_for_every_line_end() -> None:
    lines = [COMBINED, log_line(), COMBINED]
    assert ids(lines) == ids([raw.rstrip(b"\n") + b"\r\n" for raw in lines])
    assert ids(lines)[0].version == 8
    assert ids(lines)[0].variant == RFC_4122


def test_the_id_of_a_line_depends_on_site_and_key() -> None:
    assert len({*ids([COMBINED]), *ids([COMBINED], site_id=2), *ids([COMBINED], key=line_key("another"))}) == 3


@given(st.lists(st.sampled_from([b"a", b"b", b"a\r\n", b"a0", b"a1", b""]), max_size=40))
def test_no_two_lines_of_an_input_share_an_id(lines: list[bytes]) -> None:
    assert len(set(ids(lines))) == len(lines)


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=40), st.integers(0, 40))
def test_the_beginning_of_an_input_has_the_ids_that_it_has_in_the_whole(lines: list[bytes], cut: int) -> None:
    assert ids(lines)[:cut] == ids(lines[:cut])


def test_a_repeat_from_far_away_counts_as_the_first_one_never_as_more() -> None:
    far = [b"first", *(b"%d" % n for n in range(20)), b"first"]
    assert ids(far, window=10)[0] == ids(far, window=10)[-1]
    near = [b"first", *(b"%d" % n for n in range(9)), b"first"]
    assert len(set(ids(near, window=10))) == len(near)


def test_the_memory_for_repeats_is_bounded() -> None:
    ordinals = Ordinals(KEY, 1, window=10)
    for n in range(1000):
        ordinals.event_id(b"%d" % n)
    assert len(ordinals._recent) + len(ordinals._older) <= 20


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"192.0.2.16 - - [oops\n", "(address) - - [oops"),
        (b"2001:db8::1f - - [08/Dec/2025:12:34:56 +0000]", "(address) - - [08/Dec/2025:12:34:56 +0000]"),
        (b"2001:db8:0:0:0:0:0:1f -", "(address) -"),
        (b"\x1b[31m red \x07 \xe9", "\\x1b[31m red \\x07 \\xe9"),
        (b"x" * 200, "x" * 69 + "..."),
    ],
)
def test_an_excerpt_shows_neither_addresses_nor_control_characters(raw: bytes, shown: str) -> None:
    assert excerpt(raw) == shown
