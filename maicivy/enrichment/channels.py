"""Channels: the kind of way that brought a visit, by one ordered list of rules; the first that holds decides.

The conditions are those that Google Analytics 4 publishes for its default channel group (support.google.com/analytics/
answer/9756891), with AI assistants before searching. Where that leaves a visit unassigned, it is a Referral when it has
a source, else Direct. A click id stands in for a medium that nobody gave (see origins.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

CROSS_NETWORK: Final = "Cross-network"
PAID_SHOPPING: Final = "Paid Shopping"
PAID_SEARCH: Final = "Paid Search"
PAID_SOCIAL: Final = "Paid Social"
PAID_VIDEO: Final = "Paid Video"
DISPLAY: Final = "Display"
PAID_OTHER: Final = "Paid Other"
ORGANIC_SHOPPING: Final = "Organic Shopping"
ORGANIC_SOCIAL: Final = "Organic Social"
ORGANIC_VIDEO: Final = "Organic Video"
AI_ASSISTANTS: Final = "AI Assistants"
ORGANIC_SEARCH: Final = "Organic Search"
EMAIL: Final = "Email"
AFFILIATES: Final = "Affiliates"
AUDIO: Final = "Audio"
SMS: Final = "SMS"
PUSH: Final = "Mobile Push Notifications"
REFERRAL: Final = "Referral"
DIRECT: Final = "Direct"

_PAID: Final = re.compile(r".*cp.*|ppc|retargeting|paid.*", re.DOTALL)
_SHOP: Final = re.compile(r"(?:[^a-df-z]|^)shop|shopping")
_DISPLAY: Final = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL: Final = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_EMAIL: Final = frozenset({"email", "e-mail", "e_mail", "e mail", "newsletter"})
_AI: Final = frozenset({"ai", "ai-assistant", "ai_assistant", "ai assistant", "llm"})


class Signs(NamedTuple):
    """What a channel is told by, all in lower case: the source's name and category (search, ai, social, video, audio,
    shopping, email, other, or empty), medium, campaign."""

    source: str = ""
    category: str = ""
    medium: str = ""
    campaign: str = ""

    @property
    def is_paid(self) -> bool:
        """Whether the medium is one that is paid for: `cpc`, `ppc`, `paid_social`, `retargeting`."""
        return _PAID.fullmatch(self.medium) is not None

    @property
    def is_shopping(self) -> bool:
        """Whether a shop sent the visit, or a campaign for one did. `workshop` is none, by the rule of GA4."""
        return self.category == "shopping" or _SHOP.search(self.campaign) is not None


RULES: Final[tuple[tuple[str, Callable[[Signs], bool]], ...]] = (
    (CROSS_NETWORK, lambda s: "cross-network" in s.campaign),
    (PAID_SHOPPING, lambda s: s.is_paid and s.is_shopping),
    (PAID_SEARCH, lambda s: s.is_paid and s.category == "search"),
    (PAID_SOCIAL, lambda s: s.is_paid and s.category == "social"),
    (PAID_VIDEO, lambda s: s.is_paid and s.category == "video"),
    (DISPLAY, lambda s: s.medium in _DISPLAY),
    (PAID_OTHER, lambda s: s.is_paid),
    (ORGANIC_SHOPPING, lambda s: s.is_shopping),
    (ORGANIC_SOCIAL, lambda s: s.category == "social" or s.medium in _SOCIAL),
    (ORGANIC_VIDEO, lambda s: s.category == "video" or "video" in s.medium),
    (AI_ASSISTANTS, lambda s: s.category == "ai" or s.medium in _AI),
    (ORGANIC_SEARCH, lambda s: s.category == "search" or s.medium == "organic"),
    (EMAIL, lambda s: s.category == "email" or s.source in _EMAIL or s.medium in _EMAIL),
    (AFFILIATES, lambda s: s.medium in {"affiliate", "affiliates"}),
    (AUDIO, lambda s: s.category == "audio" or s.medium == "audio"),
    (SMS, lambda s: "sms" in {s.source, s.medium}),
    (
        PUSH,
        lambda s: (
            s.medium.endswith("push") or "mobile" in s.medium or "notification" in s.medium or s.source == "firebase"
        ),
    ),
    (REFERRAL, lambda s: bool(s.source) or s.medium in {"referral", "app", "link"}),
    (DIRECT, lambda _: True),
)
CHANNELS: Final = tuple(channel for channel, _ in RULES)


def channel_of(signs: Signs) -> str:
    """The channel; one of `CHANNELS`."""
    return next(channel for channel, holds in RULES if holds(signs))
