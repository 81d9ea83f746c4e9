"""The names that invented traffic is made of: user agents, countries, referrers, campaigns, event types.

Facts, and what nobody could mistake for one: hosts that nobody owns end in `.example`.
"""

from __future__ import annotations

import itertools
from typing import Final


def _words(text: str, separator: str | None = None) -> list[str]:
    return [word.strip() for word in text.split(separator)]


CUSTOM: Final = (
    *("signup", "purchase", "download", "outbound_link", "search", "newsletter", "video_play", "contact"),
    *("filter_used", "file_copied", "scroll_mark", "banner_shown"),
)
"""Event types beside page views and engagement; the last two do not count as interaction."""
PASSIVE: Final = frozenset({"scroll_mark", "banner_shown"})
DATA: Final[dict[str, tuple[str, ...]]] = {
    "signup": tuple(f'{{"plan":"{plan}"}}' for plan in ("free", "free", "free", "team", "business")),
    "purchase": tuple(
        f'{{"plan":"{plan}","price":{price}}}'
        for plan, price in (("team", 19), ("team", 19), ("team", 190), ("business", 49), ("business", 490))
    ),
    "download": tuple(f'{{"file":"guide-{n}.pdf"}}' for n in range(12)),
    "outbound_link": tuple(f'{{"to":"https://partner-{n}.example/"}}' for n in range(30)),
    "search": tuple(f'{{"words":{n % 4 + 1},"results":{n * 7 % 50}}}' for n in range(40)),
    **dict.fromkeys(PASSIVE, ('{"interactive":false}',)),
    "video_play": tuple(f'{{"video":"tour-{n}","second":{n * 10}}}' for n in range(8)),
}

COUNTRIES: Final = _words("""
    US DE GB FR IN CA BR NL ES IT PL AU JP SE CH AT BE MX PT CZ DK NO FI RO UA TR KR ID VN TH PH MY SG HK TW ZA NG
    KE EG MA AR CL CO PE VE UY EC IE GR HU BG RS HR SI SK LT LV EE IS LU MT CY IL AE SA QA KW JO LB IQ PK BD LK NP
    MM KH KZ UZ GE AM AZ BY MD BA MK AL ME CR PA GT DO CU PR JM TT BO PY HN SV NI GH CI SN CM UG TZ ZM ZW ET AO MZ
    MG TN DZ LY SD NZ FJ CN RU
""")
LANGUAGES: Final = _words("""
    en de fr es pt it nl pl ja zh ru tr sv da cs ko id uk fi hu
""")
DESKTOP: Final = _words("""
    1920x1080 1536x864 1366x768 1440x900 2560x1440 1280x720 1600x900 1680x1050 3840x2160 1728x1117
""")
PHONE: Final = _words("""
    390x844 393x852 360x800 412x915 414x896 375x812 430x932 384x832 360x780 375x667
""")
TABLET: Final = _words("""
    820x1180 768x1024 810x1080 1024x1366 800x1280
""")
MODELS: Final = _words(
    """
    SM-S911B|SM-S921U|SM-A546E|SM-A155F|SM-G991B|SM-A528B|SM-S901B|SM-A336B|SM-M336B|SM-G780G|SM-N986B|SM-A125F|
    Pixel 6|Pixel 7|Pixel 7a|Pixel 8|Pixel 8 Pro|Pixel 9|M2101K6G|2201117TG|22101316G|23021RAA2Y|CPH2477|CPH2531|
    RMX3630|RMX3710|V2206|LE2113|DN2103|XQ-DC54|moto g52|moto g84 5G|Nokia G21|ONEPLUS A6013|Redmi Note 8 Pro|
    POCO F4
""",
    "|",
)
BOT_AGENTS: Final = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
    "python-requests/2.32.3",
    "curl/8.7.1",
    "Go-http-client/2.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
)
SEARCH: Final = _words("""
    www.google.com www.google.com www.google.com www.google.de www.google.co.uk www.google.fr www.google.co.in
    www.bing.com duckduckgo.com search.yahoo.com www.ecosia.org www.baidu.com yandex.ru www.startpage.com
    search.brave.com www.qwant.com search.naver.com
""")
SOCIAL: Final = _words("""
    www.facebook.com l.facebook.com m.facebook.com t.co www.reddit.com out.reddit.com www.linkedin.com lnkd.in
    www.instagram.com l.instagram.com www.youtube.com news.ycombinator.com lobste.rs mastodon.social bsky.app
    www.pinterest.com www.tiktok.com vk.com www.quora.com medium.com dev.to
""")
OTHERS: Final = _words("""
    chatgpt.com www.perplexity.ai claude.ai gemini.google.com copilot.microsoft.com mail.google.com outlook.live.com
    mail.yahoo.com github.com stackoverflow.com en.wikipedia.org de.wikipedia.org www.producthunt.com slack.com
    semalt.com buttons-for-website.com free-share-buttons.com
""")
CAMPAIGNS: Final = tuple(
    f"?utm_source={source}&utm_medium={medium}&utm_campaign={campaign}{extra}"
    for (source, medium, extra), campaign in itertools.product(
        (
            ("google", "cpc", "&utm_term=web+statistics"),
            ("google", "cpc", "&utm_term=visitor+counter&utm_content=b"),
            ("bing", "cpc", ""),
            ("facebook", "paid_social", "&utm_content=carousel"),
            ("facebook", "social", ""),
            ("linkedin", "paid_social", ""),
            ("newsletter", "email", ""),
            ("newsletter", "email", "&utm_content=footer"),
            ("twitter", "social", ""),
            ("partner", "affiliate", ""),
            ("adnetwork", "display", ""),
            ("youtube", "video", ""),
        ),
        ("launch", "spring-2026", "summer-2026", "autumn-2026", "black-friday", "brand", "retargeting", "webinar"),
    )
)


def agents() -> list[tuple[str, str, float]]:
    """User agent, `d`, `p` or `t` (desktop, phone, tablet) and weight: about 1,600."""
    made: list[tuple[str, str, float]] = []
    webkit, gecko = "AppleWebKit/537.36 (KHTML, like Gecko)", "Gecko/20100101"
    systems = (
        ("Windows NT 10.0; Win64; x64", 60.0),
        ("Macintosh; Intel Mac OS X 10_15_7", 25.0),
        ("X11; Linux x86_64", 7.0),
        ("X11; CrOS x86_64 14541.0.0", 2.0),
    )
    for version in range(96, 143):
        recent = 0.72 ** (142 - version) + 0.0005
        for system, weight in systems:
            made.append((f"Mozilla/5.0 ({system}) {webkit} Chrome/{version}.0.0.0 Safari/537.36", "d", weight * recent))
        for system, weight in systems[:2]:
            chrome = f"Mozilla/5.0 ({system}) {webkit} Chrome/{version}.0.0.0 Safari/537.36"
            made.append((f"{chrome} Edg/{version}.0.0.0", "d", weight * recent * 0.2))
            made.append((f"{chrome} OPR/{version - 15}.0.0.0", "d", weight * recent * 0.04))
        android = f"Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/{version}.0.0.0 Mobile Safari/537.36"
        made.append((android, "p", 55 * recent))
    for version in range(91, 146):
        recent = 0.7 ** (145 - version) + 0.0005
        for system, weight in systems[:3]:
            name = system.replace("10_15_7", "10.15")
            made.append(
                (f"Mozilla/5.0 ({name}; rv:{version}.0) {gecko} Firefox/{version}.0", "d", weight * recent * 0.12)
            )
    safari = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
    for major, minor in itertools.product(range(13, 19), range(7)):
        recent = 0.5 ** (18 - major) * 0.8 ** (6 - minor)
        shown = f"Version/{major}.{minor}"
        made.append(
            (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {safari} {shown} Safari/605.1.15", "d", 8 * recent)
        )
        for device, kind, weight in (("iPhone; CPU iPhone OS", "p", 40), ("iPad; CPU OS", "t", 4)):
            system = f"{device} {major}_{minor} like Mac OS X"
            made.append((f"Mozilla/5.0 ({system}) {safari} {shown} Mobile/15E148 Safari/604.1", kind, weight * recent))
    for model, release, version in itertools.product(MODELS, (12, 13, 14, 15), (110, 120, 126, 131, 137)):
        phone = f"Mozilla/5.0 (Linux; Android {release}; {model}) {webkit}"
        made.append((f"{phone} Chrome/{version}.0.0.0 Mobile Safari/537.36", "p", 0.03))
        if model.startswith("SM-"):
            samsung = f"{phone} SamsungBrowser/{version // 5}.0 Chrome/{version - 10}.0.0.0 Mobile Safari/537.36"
            made.append((samsung, "p", 0.05))
    others = (
        (f"SMART-TV; LINUX; Tizen 7.0) {webkit} Version/7.0 TV Safari/537.36", 0.3),
        (f"Web0S; Linux/SmartTV) {webkit} Chrome/94.0.4606.128 Safari/537.36", 0.2),
        (f"PlayStation; PlayStation 5/6.50) {safari} Version/15.4 Safari/605.1.15", 0.1),
    )
    return [*made, *((f"Mozilla/5.0 ({agent}", "d", weight) for agent, weight in others)]
