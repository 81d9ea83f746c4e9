"""URLs for keeping: what goes, what stays, and that no input makes it slow. More inputs are in tests/naughty.py."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.urls import clean_url, path_of, shortened

PARAMS = frozenset({"theme", "ref", "source"})

WORDS = """/ // \\ http https HTTPS android-app javascript : :// @ ? # & = [ ] ; % %2F ::1 . .. :80 example.org Ex.ORG
    utm_source utm_ theme theme= ?theme=a &ref=b x é \u0130 \u017f \ufffd \u200f ' " < \x7f"""
pieces = st.lists(st.sampled_from([*WORDS.split(), " ", "\n"]) | st.characters(exclude_categories=()), max_size=10)
starts = st.sampled_from(["", "/", "http://", "https://a", "https://example.org/", "http://u:p@h", "Android-App://x"])
urls = st.tuples(starts, pieces.map("".join)).map("".join)
names = st.sampled_from([*sorted(PARAMS), "utm_source", "utm_", "utm", "email", "Theme", "", "%74heme", "xutm_a"])
queries = st.lists(st.tuples(names, st.text("ab=%/?:;+é", max_size=5)), max_size=6)
hosts = st.sampled_from(["example.org", "Example.Org:8080", "[2001:DB8::1]", "[::1]:80", "192.0.2.7", "bücher.example"])


@given(urls)
def test_cleaning_is_done_once_and_for_all(url: str) -> None:
    with suppress(ValueError):
        clean = clean_url(url, PARAMS)
        assert clean_url(clean, PARAMS) == clean


@given(urls)
def test_what_is_kept_has_no_user_no_fragment_and_only_listed_parameters(url: str) -> None:
    """Judged by the standard library's idea of a URL, which is not the one that cleans."""
    with suppress(ValueError):
        clean = clean_url(url, PARAMS)
        assert "#" not in clean
        parts = urlsplit(clean)
        assert (parts.scheme, bool(parts.hostname)) in (
            ("", False),
            *((scheme, True) for scheme in ("http", "https", "android-app", "ios-app")),
        )
        assert parts.username is None
        assert parts.password is None
        for name, _ in parse_qsl(parts.query, keep_blank_values=True):
            assert name in PARAMS or name.startswith("utm_")


@given(
    st.sampled_from(["http", "https", "HTTP"]),
    st.text("ab:@%", max_size=5),
    hosts,
    st.text("ab/.@:%", max_size=6),
    queries,
    st.text("a#?/@&=", max_size=5),
)
def test_a_url_is_taken_apart_as_everybody_does(
    scheme: str, user: str, host: str, path: str, query: list[tuple[str, str]], fragment: str
) -> None:
    url = f"{scheme}://{user}{'@' if user else ''}{host}/{path}?{'&'.join(map('='.join, query))}#{fragment}"
    kept = "&".join(f"{name}={value}" for name, value in query if name in PARAMS or name.startswith("utm_"))
    end = f"/{path}{'?' if kept else ''}{kept}"
    assert clean_url(url, PARAMS) == f"{scheme.lower()}://{host.lower()}{end}"
    assert path_of(clean_url(url, PARAMS)) == f"/{path}"
    if not path.startswith("/"):
        assert clean_url(url.partition(host)[2], PARAMS) == end


@pytest.mark.parametrize(
    "url",
    [
        "http://" + "@" * 60_000,
        "http://" + "a@" * 30_000 + "<",
        "http://" + "a" * 60_000 + "<",
        "http://" + ":1" * 30_000,
        "http://[" + ":" * 60_000,
        "http://a" + "\u0315" * 15_000 + "\u0316" * 15_000 + "/",
        "http" * 15_000,
        "/?" + "a&" * 30_000,
        "/?" + "utm_" * 15_000,
        "/" + "?" * 60_000,
        "/" + "#" * 60_000,
    ],
)
def test_nothing_of_60_kb_is_slow(url: str) -> None:
    """No clock here: quadratic time would be half a minute for twenty of them, and whoever waits will look."""
    for _ in range(20):
        with suppress(ValueError):
            clean_url(url, PARAMS)


@pytest.mark.parametrize(
    ("page_url", "path"),
    [
        ("", "/"),
        ("/", "/"),
        ("/cv", "/cv"),
        ("/cv/", "/cv/"),
        ("/cv?theme=a/b", "/cv"),
        ("/a//b", "/a//b"),
        ("https://example.org", "/"),
        ("https://example.org/", "/"),
        ("https://example.org//x", "//x"),
        ("https://example.org/cv?theme=a", "/cv"),
        ("https://example.org/?utm_a=/b", "/"),
        ("https://example.org?utm_a=/b", "/"),
        ("https://[::1]:80/a:b", "/a:b"),
        ("https://example.org/go/http://a.example/b", "/go/http://a.example/b"),
        ("https://example.org/go?theme=http://a.example/b", "/go"),
        ("android-app://org.example/http/x", "/http/x"),
    ],
)
def test_the_path_of_a_stored_url(page_url: str, path: str) -> None:
    assert path_of(page_url) == path


@pytest.mark.parametrize(
    ("url", "most", "kept"),
    [
        ("", 0, ""),
        ("/a?utm_a=1", 10, "/a?utm_a=1"),
        ("/a?utm_a=1", 9, "/a"),
        ("/a?utm_a=1", 1, "/a"),
        ("/a?utm_a=1&ref=2", 15, "/a?utm_a=1"),
        ("/a?utm_a=12345678&ref=2&theme=3", 16, "/a?ref=2&theme=3"),
        ("/a?utm_a=12345678&ref=2&theme=3", 15, "/a?ref=2"),
        ("/a?utm_a=1?&=&ref=x", 12, "/a?utm_a=1?"),
        ("https://example.org/?utm_a=1", 27, "https://example.org/"),
        ("/" + "a" * 20, 20, "/" + "a" * 20),
    ],
)
def test_parameters_that_do_not_fit_go_as_a_whole(url: str, most: int, kept: str) -> None:
    assert shortened(url, most) == kept


@given(
    urls | st.tuples(starts, queries.map(lambda query: "?" + "&".join(map("=".join, query)))).map("".join),
    st.integers(0, 40),
)
def test_what_was_shortened_is_clean_and_short_and_the_same_page(url: str, most: int) -> None:
    with suppress(ValueError):
        clean = clean_url(url, PARAMS)
        short = shortened(clean, most)
        assert clean_url(short, PARAMS) == shortened(short, most) == short
        assert path_of(short) == path_of(clean)
        assert len(short) <= most or "?" not in short


@given(urls)
def test_a_path_has_neither_host_nor_query(url: str) -> None:
    with suppress(ValueError):
        clean = clean_url(url, PARAMS)
        path = path_of(clean)
        assert path == (clean.partition("?")[0] if clean.startswith("/") else urlsplit(clean).path or "/")
