"""The channels, each with the conditions that GA4 gives it, and in its order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.enrichment.channels import CHANNELS, RULES, Signs, channel_of

GOOGLE = {"source": "google", "category": "search"}
FACEBOOK = {"source": "facebook", "category": "social"}
YOUTUBE = {"source": "youtube", "category": "video"}
AMAZON = {"source": "amazon", "category": "shopping"}
CASES = [
    ("Cross-network", {"campaign": "cross-network"}),
    ("Cross-network", {**GOOGLE, "medium": "cpc", "campaign": "a cross-network b"}),
    ("Paid Shopping", {**AMAZON, "medium": "cpc"}),
    ("Paid Shopping", {**GOOGLE, "medium": "cpc", "campaign": "summer shopping"}),
    ("Paid Shopping", {**FACEBOOK, "medium": "paid", "campaign": "shop"}),
    ("Paid Search", {**GOOGLE, "medium": "cpc"}),
    ("Paid Search", {**GOOGLE, "medium": "ppc"}),
    ("Paid Search", {**GOOGLE, "medium": "cpm"}),
    ("Paid Search", {**GOOGLE, "medium": "retargeting", "campaign": "workshop"}),
    ("Paid Social", {**FACEBOOK, "medium": "paid_social"}),
    ("Paid Social", {**FACEBOOK, "medium": "cpc"}),
    ("Paid Video", {**YOUTUBE, "medium": "cpv-cpc"}),
    ("Paid Video", {**YOUTUBE, "medium": "paidvideo"}),
    ("Display", {"source": "somewhere", "medium": "display"}),
    ("Display", {"source": "somewhere", "medium": "cpm"}),
    ("Display", {**GOOGLE, "medium": "banner"}),
    ("Paid Other", {"source": "somewhere", "medium": "cpc"}),
    ("Paid Other", {"medium": "paid"}),
    ("Paid Other", {"source": "chatgpt", "category": "ai", "medium": "cpc"}),
    ("Organic Shopping", AMAZON),
    ("Organic Shopping", {"source": "newsletter", "medium": "email", "campaign": "winter-shop"}),
    ("Organic Social", FACEBOOK),
    ("Organic Social", {"source": "somewhere", "medium": "social-media"}),
    ("Organic Video", YOUTUBE),
    ("Organic Video", {"source": "somewhere", "medium": "my-video-ads"}),
    ("AI Assistants", {"source": "chatgpt", "category": "ai"}),
    ("AI Assistants", {"source": "somewhere", "medium": "ai-assistant"}),
    ("AI Assistants", {"source": "chatgpt", "category": "ai", "medium": "organic"}),
    ("Organic Search", GOOGLE),
    ("Organic Search", {"source": "somewhere", "medium": "organic"}),
    ("Email", {"source": "gmail", "category": "email"}),
    ("Email", {"source": "customers", "medium": "e-mail"}),
    ("Email", {"source": "email"}),
    ("Affiliates", {"source": "somewhere", "medium": "affiliate"}),
    ("Affiliates", {"medium": "affiliates"}),
    ("Audio", {"source": "spotify", "category": "audio"}),
    ("Audio", {"source": "somewhere", "medium": "audio"}),
    ("SMS", {"source": "sms"}),
    ("SMS", {"source": "customers", "medium": "sms"}),
    ("Mobile Push Notifications", {"source": "app", "medium": "web-push"}),
    ("Mobile Push Notifications", {"source": "firebase"}),
    ("Mobile Push Notifications", {"medium": "notification"}),
    ("Referral", {"source": "example.org"}),
    ("Referral", {"medium": "referral"}),
    ("Referral", {"source": "github", "category": "other", "medium": "something"}),
    ("Direct", {}),
    ("Direct", {"medium": "something"}),
]


@pytest.mark.parametrize(("channel", "signs"), CASES)
def test_signs_tell_the_channel(channel: str, signs: dict[str, str]) -> None:
    assert channel_of(Signs(**signs)) == channel


def test_every_channel_has_two_cases_and_the_order_of_the_list() -> None:
    counted = [channel for channel, _ in CASES]
    assert all(counted.count(channel) >= 2 for channel in CHANNELS)
    assert list(dict.fromkeys(counted)) == list(CHANNELS)
    assert len(CHANNELS) == 19


@pytest.mark.parametrize(
    ("earlier", "later", "signs"),
    [
        ("Cross-network", "Paid Shopping", {**AMAZON, "medium": "cpc", "campaign": "cross-network"}),
        ("Paid Shopping", "Paid Search", {**GOOGLE, "medium": "cpc", "campaign": "shop"}),
        ("Paid Search", "Display", {**GOOGLE, "medium": "cpm"}),
        ("Paid Social", "Organic Social", {**FACEBOOK, "medium": "cpc"}),
        ("Paid Video", "Paid Other", {**YOUTUBE, "medium": "cpc"}),
        ("Display", "Paid Other", {"medium": "cpm"}),
        ("Paid Other", "Organic Shopping", {"medium": "paid", "campaign": ""}),
        ("Organic Shopping", "Email", {"medium": "email", "campaign": "shop"}),
        ("Organic Social", "Organic Search", {**GOOGLE, "medium": "social"}),
        ("Organic Video", "AI Assistants", {"category": "ai", "medium": "video"}),
        ("AI Assistants", "Organic Search", {"category": "ai", "medium": "organic"}),
        ("Organic Search", "Email", {"source": "email", "medium": "organic"}),
        ("Email", "SMS", {"source": "sms", "medium": "email"}),
        ("Affiliates", "Referral", {"source": "x", "medium": "affiliate"}),
        ("SMS", "Mobile Push Notifications", {"source": "firebase", "medium": "sms"}),
        ("Mobile Push Notifications", "Referral", {"source": "firebase"}),
    ],
)
def test_of_two_channels_that_would_do_the_earlier_is_told(earlier: str, later: str, signs: dict[str, str]) -> None:
    assert CHANNELS.index(earlier) < CHANNELS.index(later)
    assert channel_of(Signs(**signs)) == earlier
    if earlier != "Paid Other":
        assert dict(RULES)[later](Signs(**signs))


@given(st.text(), st.text(), st.text(), st.text())
def test_there_is_always_a_channel(source: str, category: str, medium: str, campaign: str) -> None:
    assert channel_of(Signs(source, category, medium, campaign)) in CHANNELS
