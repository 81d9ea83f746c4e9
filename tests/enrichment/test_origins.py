"""Referrer, UTM and click id together say what brought somebody here; where they disagree, the strongest does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.dimensions import CLICK_IDS, MAX_CHARS, Origin
from maicivy.core.events import Event, Traits
from maicivy.enrichment import origin_of
from maicivy.enrichment.channels import CHANNELS
from maicivy.enrichment.origins import CLICKS, judged_origin
from maicivy.enrichment.sources import table
from tests.events import event
from tests.naughty import STRINGS

PAGE = "https://example.org/a"
NO_HOSTS: frozenset[str] = frozenset()


def came(referrer: str = "", page: str = PAGE, utm: tuple[str, ...] = (), click_id: str = "") -> Event:
    fields = (*utm, *[""] * (5 - len(utm)))
    traits = Traits(utm=(fields[0], fields[1], fields[2], fields[3], fields[4]) if utm else None, click_id=click_id)
    return msgspec.structs.replace(event(page_url=page), referrer=referrer, traits=traits)


@pytest.mark.parametrize(
    ("one", "source", "channel"),
    [
        (came(), "", "Direct"),
        (came("https://www.google.com/search"), "Google", "Organic Search"),
        (came("https://www.google.com/"), "Google", "Organic Search"),
        (came("https://www.google.com./"), "Google", "Organic Search"),
        (came("https://example.org./"), "", "Direct"),
        (came("https://example.org/", "https://example.org.:8080/a"), "", "Direct"),
        (came("https://blog.example.net/post"), "blog.example.net", "Referral"),
        (came("https://www.example.net/post"), "example.net", "Referral"),
        (came("https://chatgpt.com/"), "ChatGPT", "AI Assistants"),
        (came("android-app://com.google.android.gm/"), "Gmail", "Email"),
        (came("https://l.facebook.com/"), "Facebook", "Organic Social"),
        (came("https://m.youtube.com/"), "YouTube", "Organic Video"),
        (came(page=f"{PAGE}?utm_source=fb&utm_medium=cpc"), "Facebook", "Paid Social"),
        (came(page=f"{PAGE}?utm_source=Spring%20News&utm_medium=email"), "Spring News", "Email"),
        (came(page=f"{PAGE}?utm_medium=email"), "", "Email"),
        (came(page=f"{PAGE}?utm_source=chatgpt.com"), "ChatGPT", "AI Assistants"),
        (came("https://t.co/x", f"{PAGE}?utm_source=newsletter"), "newsletter", "Email"),
        (came("https://t.co/x", f"{PAGE}?utm_campaign=spring"), "X", "Organic Social"),
        (came(page=f"{PAGE}?ref=producthunt"), "Product Hunt", "Organic Social"),
        (came(page=f"{PAGE}?source=hn&ref="), "Hacker News", "Organic Social"),
        (came(page=f"{PAGE}?ref=hn&utm_source=google&utm_medium=organic"), "Google", "Organic Search"),
        (came(page="/a?utm_source=google&utm_medium=cpc"), "Google", "Paid Search"),
        (came(utm=("tiktok", "paid")), "TikTok", "Paid Social"),
        (came("https://www.google.com/", click_id="gclid"), "Google", "Paid Search"),
        (came(click_id="gbraid"), "Google", "Paid Search"),
        (came("https://ads.example.net/", click_id="wbraid"), "Google", "Paid Search"),
        (came(click_id="dclid"), "Google", "Display"),
        (came(click_id="msclkid"), "Bing", "Paid Search"),
        (came(click_id="fbclid"), "Facebook", "Organic Social"),
        (came("https://l.instagram.com/", click_id="fbclid"), "Instagram", "Organic Social"),
        (came(click_id="ttclid"), "TikTok", "Paid Social"),
        (came(click_id="twclid"), "X", "Paid Social"),
        (came(click_id="li_fat_id"), "LinkedIn", "Paid Social"),
        (came(click_id="yclid"), "Yandex", "Paid Search"),
        (came(click_id="ScCid"), "Snapchat", "Paid Social"),
        (came(click_id="epik"), "Pinterest", "Organic Social"),
        (came(click_id="irclickid"), "Impact", "Affiliates"),
        (came(click_id="mc_eid"), "Mailchimp", "Email"),
        (
            came("https://www.bing.com/", f"{PAGE}?utm_source=google&utm_medium=organic", click_id="gclid"),
            "Google",
            "Organic Search",
        ),
        (came("https://www.bing.com/", f"{PAGE}?utm_source=partner", click_id="gclid"), "partner", "Paid Other"),
        (came("https://semalt.com/x"), "semalt.com", "Referral"),
    ],
)
def test_an_origin_has_a_source_and_a_channel(one: Event, source: str, channel: str) -> None:
    origin = origin_of(one, NO_HOSTS)
    assert (origin.source, origin.channel) == (source, channel)


@pytest.mark.parametrize(
    ("referrer", "kept"),
    [
        ("https://www.example.net/a/b?q=secret#top", "example.net/a/b"),
        ("https://user:word@example.net:8080/a", "example.net/a"),
        ("https://example.net", "example.net"),
        ("https://example.net/", "example.net"),
        ("https://EXAMPLE.net/Path", "example.net/Path"),
        ("https://bücher.example/ä", "bücher.example/ä"),
        ("/a/path", ""),
        ("example.net", ""),
        ("https://", ""),
        ("://", ""),
        ("not a URL at all", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
    ],
)
def test_of_a_referrer_host_and_path_are_kept(referrer: str, kept: str) -> None:
    assert origin_of(came(referrer), NO_HOSTS).referrer == kept


@pytest.mark.parametrize(
    ("referrer", "page", "own_hosts", "is_own"),
    [
        ("https://example.org/b", PAGE, set(), True),
        ("https://www.example.org/b", PAGE, set(), True),
        ("https://example.org/b", "https://www.example.org/a", set(), True),
        ("https://example.org:8080/b", PAGE, set(), True),
        ("https://shop.example.org/b", PAGE, set(), False),
        ("https://shop.example.org/b", PAGE, {"shop.example.org"}, True),
        ("https://www.shop.example.org/b", PAGE, {"shop.example.org"}, True),
        ("https://shop.example.org/b", PAGE, {"www.shop.example.org"}, True),
        ("https://example.org/b", "/a", {"example.org"}, True),
        ("https://example.org/b", "/a", set(), False),
        ("https://notexample.org/b", PAGE, {"example.org"}, False),
        ("https://a.b.shop.test/b", PAGE, {"*.shop.test"}, True),
        ("https://shop.test/b", PAGE, {"*.shop.test"}, False),
        ("https://workshop.test/b", PAGE, {"*.shop.test"}, False),
    ],
)
def test_coming_from_the_site_itself_is_coming_from_nowhere(
    referrer: str, page: str, own_hosts: set[str], is_own: bool
) -> None:
    origin = origin_of(came(referrer, page), frozenset(own_hosts))
    assert (origin == Origin(channel="Direct")) == is_own
    assert bool(origin.referrer) != is_own


def test_the_five_of_utm_are_decoded_and_the_senders_own_win() -> None:
    page = f"{PAGE}?utm_source=a%20b+c&utm_medium=m&utm_campaign=%C3%A9&utm_term=%ff&utm_content=x&utm_content=y"
    origin = origin_of(came(page=page, utm=("", "M", "", "T")), NO_HOSTS)
    utm = (origin.utm_source, origin.utm_medium, origin.utm_campaign, origin.utm_term, origin.utm_content)
    assert utm == ("a b c", "M", "é", "T", "x")


@pytest.mark.parametrize(("referrer", "bot"), [("https://x.semalt.com/", "referrer_spam"), ("https://x.com/", "")])
def test_spam_is_a_bots(referrer: str, bot: str) -> None:
    assert origin_of(came(referrer), NO_HOSTS).bot == bot


def test_every_click_id_of_the_gate_is_known_and_those_that_were_paid_for_come_first() -> None:
    assert set(CLICKS) == set(CLICK_IDS)
    assert {click.source for click in CLICKS.values()} <= set(table().words)
    paid = [name for name in CLICK_IDS if CLICKS[name].medium in {"cpc", "display"}]
    assert CLICK_IDS.index("fbclid") > max(CLICK_IDS.index(name) for name in paid)


urls = (
    st.text(max_size=600)
    | st.sampled_from([*STRINGS.values()])
    | st.text(max_size=600).map(lambda text: f"https://{text}")
)


@given(
    referrer=urls,
    page=urls | st.text(max_size=500).map(lambda text: f"/a?utm_source={text}"),
    utm=st.none() | st.tuples(*[st.text(max_size=600)] * 5),
    click_id=st.sampled_from(["", *CLICK_IDS]) | st.text(max_size=600),
)
def test_whatever_comes_becomes_an_origin_that_can_be_stored(
    referrer: str, page: str, utm: tuple[str, str, str, str, str] | None, click_id: str
) -> None:
    one = msgspec.structs.replace(event(page_url=page), referrer=referrer, traits=Traits(utm=utm, click_id=click_id))
    origin = origin_of(one, frozenset({"example.org"}))
    for field in Origin.__struct_fields__:
        text = getattr(origin, field)
        assert len(text) <= MAX_CHARS
        assert "\x00" not in text
        text.encode()
    assert origin.channel in CHANNELS
    five = (origin.utm_source, origin.utm_medium, origin.utm_campaign, origin.utm_term, origin.utm_content)
    assert judged_origin(origin.referrer, five, origin.click_id) == origin
