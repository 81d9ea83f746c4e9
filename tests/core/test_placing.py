"""Which site an event belongs to, among all that there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.gate import Draft
from maicivy.core.placing import check_age, host_of, site_of
from maicivy.core.sites import Site, SiteBook
from maicivy.errors import Refusal
from tests.events import NOON

SHOP = Site(2, "shop.example", "MC-ABCDEFGHIJ", allowed_hosts=("pay.example", "*.shop.example"))
BLOG = Site(3, "blog.example", "MC-JIHGFEDCBA")
HOME = Site(1, "home.example", "MC-1111111111")

references = st.sampled_from([1, 2, 3, 4, "1", "3", "shop.example", "MC-JIHGFEDCBA", "x"])
fields = st.sampled_from(["site_id", "domain"])
pages = st.sampled_from(["", "/a", "https://shop.example/", "https://blog.example", "https://x.example/", "app://x"])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("", ""),
        ("/a?b=://c", ""),
        ("/://a.example/", ""),
        ("https://a.example", "a.example"),
        ("https://a.example:80/b", "a.example:80"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_a_host_is_that_of_an_absolute_url(url: str, host: str) -> None:
    assert host_of(url) == host


@given(st.lists(st.tuples(fields, references), max_size=3), pages, st.booleans())
def test_an_event_has_one_site_that_has_its_page_or_none(
    sites: list[tuple[str, int | str]], page_url: str, is_named: bool
) -> None:
    book = SiteBook([HOME, SHOP, BLOG] if is_named else [SHOP, BLOG])
    meant = {found.id if (found := book.named(reference)) else None for _, reference in sites}
    draft = Draft("a", {}, page_url, sites=tuple(sites))
    host = host_of(page_url)
    try:
        site: Site | str = site_of(book, draft)
    except Refusal as refusal:
        site = refusal.code
    if isinstance(site, Site):
        assert meant <= {site.id}
        assert site.allows(host)
        assert sites or site == (book.of_host(host) or book.default)
    elif site == "invalid_site":
        assert len(meant) > 1
    elif site == "host_not_allowed":
        [number] = meant
        assert not book.by_id(number or 0).allows(host)  # type: ignore[union-attr]
    else:
        assert site == "unknown_site"
        assert None in meant or (not sites and is_named and book.of_host(host) is None)


@pytest.mark.parametrize(("own_days", "days"), [(None, 90), (7, 7), (365, 365)])
def test_an_event_may_be_as_old_as_its_site_keeps_events(own_days: int | None, days: int) -> None:
    site = Site(2, retention_days=own_days)
    check_age(site, Draft("x", {}), NOON, 90)
    check_age(site, Draft("x", {}, timestamp=NOON - timedelta(days=days)), NOON, 90)
    older = Draft("x", {}, timestamp=NOON - timedelta(days=days, microseconds=1))
    with pytest.raises(Refusal, check=lambda refusal: refusal.code == "timestamp_too_old"):
        check_age(site, older, NOON, 90)
