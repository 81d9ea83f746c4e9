"""Sites: which one a reference or a host means, and what may be said of one."""

from __future__ import annotations

from typing import Any

import pytest

from maicivy.core.sites import DEFAULT, Site, SiteBook, checked, host_name, time_zone
from maicivy.errors import Refusal

SHOP = Site(2, "shop.example", "MC-0123456789", "Europe/Paris", 30, False, ("*.shop.example", "cdn.example"))
BLOG = Site(3, "blog.shop.example", "MC-ABCDEFGHIJ", allowed_hosts=("*.example", "cdn.example"))
BOOK = SiteBook([BLOG, SHOP])


@pytest.mark.parametrize(
    ("reference", "site"),
    [
        (2, SHOP),
        ("2", SHOP),
        ("002", SHOP),
        (1, DEFAULT),
        ("1", DEFAULT),
        ("MC-0123456789", SHOP),
        ("mc-0123456789", SHOP),
        ("mc-abcdefGHIJ", BLOG),
        ("shop.example", SHOP),
        ("Shop.EXAMPLE", SHOP),
        ("www.shop.example", SHOP),
        ("blog.shop.example", BLOG),
        ("x.shop.example", None),
        ("", None),
        ("0", None),
        ("4", None),
        (4, None),
        (-2, None),
        (True, None),
        ("-2", None),
        ("٢", None),  # an Arabic-Indic two
        ("²", None),
        ("9" * 400, None),
        ("2; DROP TABLE sites", None),
        ("MC-0123456780", None),
        ("a" * 100_000, None),
        ("\ud800", None),
    ],
)
def test_a_reference_means_a_number_a_measurement_id_or_a_domain(reference: int | str, site: Site | None) -> None:
    assert BOOK.named(reference) == site


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("shop.example", SHOP),
        ("www.shop.example", SHOP),
        ("WWW.Shop.Example", SHOP),
        ("shop.example.", SHOP),
        ("shop.example:8080", SHOP),
        ("blog.shop.example", BLOG),
        ("a.b.shop.example", SHOP),
        ("other.example", BLOG),
        ("cdn.example", SHOP),  # both name it: the older one
        ("example", None),
        ("notshop.test", None),
        ("", None),
        ("[::1]:8080", None),
        ("[::1]", None),
    ],
)
def test_a_host_belongs_to_the_site_that_names_it_most_closely(host: str, site: Site | None) -> None:
    assert BOOK.of_host(host) == site


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("shop.example", True),
        ("www.shop.example", True),
        ("pay.shop.example", True),
        ("CDN.example:443", True),
        ("shop.example.evil", False),
        ("evilshop.example", False),
        ("", True),
    ],
)
def test_a_site_with_allowed_hosts_takes_pages_of_its_domain_and_of_those(host: str, allowed: bool) -> None:
    assert SHOP.allows(host) is allowed
    assert Site(9, "a.example").allows(host)


def test_the_default_site_is_always_known_and_may_have_a_domain() -> None:
    assert list(SiteBook()) == [DEFAULT]
    assert SiteBook().of_host("") is None
    assert SiteBook().named("") is None
    named = Site(1, "main.example", "MC-AAAAAAAAAA")
    assert SiteBook([named]).default == named
    assert SiteBook([named]).of_host("www.main.example") == named
    assert [site.id for site in BOOK] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("localhost", "localhost"),
        ("192.168.0.1", "192.168.0.1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_name_is_kept_in_lower_case_ascii(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        "-a.example",
        "a-.example",
        "a" * 64 + ".example",
        "a." * 127,
        "ä" * 253,
        "example.org:80",
        "https://example.org",
        "example.org/x",
        "user@example.org",
        "exa mple.org",
        "example.org\n",
        "a_b.example",
        "123",
        "1.2.3.400",
        "1.2.3.4.5",
        "01.2.3.4",
        "[::1]",
        "*",
        "*.example",
        "\0",
        "\ud800",
        "x'; DROP TABLE sites",
        "１２３",
        "a\u3002\u3002b",
        "%",
        "a\u2100b",
    ],
)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        host_name(text)


@pytest.mark.parametrize("name", ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "EST5EDT"])
def test_zones_of_the_tz_database_are_time_zones(name: str) -> None:
    assert str(time_zone(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "europe/paris/",
        "Mars/Olympus",
        "../etc/passwd",
        "/etc/localtime",
        "Europe/../UTC",
        "localtime",
        "posixrules",
        "Factory",
        "posix/UTC",
        "right/UTC",
        "UTC'; DROP TABLE sites; --",
        "UTC\0",
        "UTC\n",
        "U" * 9999,
        "Ｕ",
        "+01:00",
        "tzdata.zi",
        "zone.tab",
        "Europe/Pari\u0301s",
    ],
)
def test_anything_else_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        time_zone(name)


def test_what_is_said_of_a_site_is_kept_in_canonical_form() -> None:
    said = {
        "domain": "WWW.Münster.example",
        "timezone": "Europe/Berlin",
        "retention_days": 36_500,
        "is_public": False,
        "allowed_hosts": ["*.Example.org", "example.net", "EXAMPLE.net"],
    }
    assert checked(said) == {
        "domain": "xn--mnster-3ya.example",
        "timezone": "Europe/Berlin",
        "retention_days": 36_500,
        "is_public": False,
        "allowed_hosts": ("*.example.org", "example.net"),
    }
    assert checked({"timezone": None, "retention_days": None}) == {"timezone": None, "retention_days": None}
    assert checked({}) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("domain", value) for value in (None, "", 7, "example.org:443", ["a.example"])],
        *[("timezone", value) for value in (7, "", "Mars/Olympus", "UTC' --")],
        *[("retention_days", value) for value in (0, -1, 36_501, 1.5, True, "30", "٣٠", 10**30)],
        *[("is_public", value) for value in (None, 1, "true")],
        *[
            ("allowed_hosts", value)
            for value in (None, "example.org", ["*"], ["a.*.example"], [1], ["a.example"] * 101)
        ],
        ("allowed_hosts", ["https://example.org"]),
    ],
)
def test_what_cannot_be_is_refused_and_the_field_named(field: str, value: Any) -> None:
    with pytest.raises(Refusal) as refused:
        checked({field: value})
    assert (refused.value.code, refused.value.field) == ("invalid_site", field)


@pytest.mark.parametrize("name", ["id", "measurement_id", "x" * 1000, "\ud800", ""])
def test_what_sites_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked({name: 1})
    assert refused.value.code == "unknown_field"
    refused.value.message.encode()


@pytest.mark.parametrize(
    ("sites", "days"),
    [
        ([], 90),
        ([Site(2, retention_days=7)], 90),
        ([Site(2, retention_days=365)], 365),
        ([Site(1, retention_days=30), Site(2, retention_days=7)], 30),
        ([Site(1, retention_days=30), Site(2)], 90),
    ],
)
def test_the_longest_retention_is_that_of_the_installation_where_a_site_has_none(sites: list[Site], days: int) -> None:
    assert SiteBook(sites).longest_retention(90) == days
