"""Who is a bot by its user agent, who by its referrer, and who is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.visits import BOTS
from maicivy.enrichment import bots, lists
from maicivy.enrichment.bots import reason_of_referrer, reason_of_user_agent

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        " ",
        "-",
        "Mozilla/5.0",
        "curl/8.5.0",
        "Wget/1.21.4",
        "python-requests/2.31.0",
        "Python/3.12 aiohttp/3.9.1",
        "Go-http-client/2.0",
        "Apache-HttpClient/4.5.14 (Java/17.0.9)",
        "okhttp/4.12.0",
        "axios/1.6.2",
        "node-fetch/1.0",
        "PostmanRuntime/7.36.0",
        "Java/17.0.1",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        f"Mozilla/5.0 {CHROME}; compatible; GPTBot/1.2; +https://openai.com/gptbot",
        f"Mozilla/5.0 {CHROME}; compatible; ClaudeBot/1.0; +claudebot@anthropic.com",
        f"Mozilla/5.0 {CHROME}; compatible; ChatGPT-User/1.0",
        "facebookexternalhit/1.1",
        "Twitterbot/1.0",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
        "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "kube-probe/1.28",
        "ELB-HealthChecker/2.0",
        "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
        "Mozilla/5.0 (compatible; Nmap Scripting Engine)",
        "sqlmap/1.7",
        "Mozilla/5.00 (Nikto/2.5.0)",
        "Feedly/1.0",
        "Some Link Checker 1.0",
        "somebody@example.org",
        "see www.example.org",
        f"Mozilla/5.0 (Linux; Android 6.0.1) {CHROME} Chrome/125.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)",
    ],
)
def test_programs_are_found_by_what_they_call_themselves(user_agent: str) -> None:
    assert reason_of_user_agent(user_agent) == "user_agent"


@pytest.mark.parametrize(
    "user_agent",
    [
        f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} HeadlessChrome/120.0.6099.71 Safari/537.36",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
        f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Chrome/120.0 Safari/537.36 Puppeteer",
        "Mozilla/5.0 (linux) AppleWebKit/537.36 (KHTML, like Gecko) jsdom/22.1.0",
        "Playwright/1.40.0 (x64; ubuntu 22.04) node/20.10",
        "Mozilla/5.0 (compatible; HeadlessBot/1.0)",
    ],
)
def test_headless_comes_before_the_names_of_programs(user_agent: str) -> None:
    assert reason_of_user_agent(user_agent) == "headless"


@pytest.mark.parametrize(
    "user_agent",
    [
        f"Mozilla/5.0 (Linux; Android 12; CUBOT KINGKONG 7) {CHROME} Chrome/100.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 9; KFMAWI) {CHROME} Silk/98.5 like Chrome/98.0 Safari/537.36",
        f"Mozilla/5.0 (X11; GNU/Linux) {CHROME} Chrome/79.0 Safari/537.36 Tesla/2023.44.30",
        f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Chrome/120.0 Safari/537.36 Avast/120.0",
        f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Chrome/114.0 Safari/537.36 SE 2.X MetaSr 1.0",
        "Lynx/2.9.0",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; .NET CLR 3.5.30729)",
        f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Slack/4.35.131 Chrome/120.0 Electron/28.1 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 12; Abbott Trusty) AppleWebKit/537.36 Mobile Safari/537.36",
    ],
)
def test_people_with_odd_browsers_stay_people(user_agent: str) -> None:
    assert reason_of_user_agent(user_agent) == ""


def test_a_word_counts_only_where_a_word_begins() -> None:
    assert reason_of_user_agent("Mozilla/5.0 ergo-http-client/1") == "user_agent"  # after a hyphen a word begins
    assert reason_of_user_agent("Mozilla/5.0 libcurl/1") == "user_agent"
    assert reason_of_user_agent("Mozilla/5.0 Recurl/1") == ""


def test_every_listed_word_is_found_in_any_case() -> None:
    words = lists.entries("bots")
    assert [word for word in sorted(words) if not reason_of_user_agent(f"Mozilla/5.0 ({word.upper()})")] == []


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("semalt.com", "referrer_spam"),
        ("semalt.semalt.com", "referrer_spam"),
        ("a.b.c.buttons-for-website.com", "referrer_spam"),
        ("notsemalt.com", ""),
        ("semalt.com.example.org", ""),
        ("com", ""),
        ("", ""),
        ("google.com", ""),
        ("x." * 200 + "semalt.com", "referrer_spam"),
    ],
)
def test_spam_is_told_by_domain(host: str, reason: str) -> None:
    assert reason_of_referrer(host) == reason


def test_the_reasons_are_those_that_visits_know() -> None:
    assert {bots.HEADLESS, bots.USER_AGENT, bots.REFERRER_SPAM} <= set(BOTS)


def test_the_lists_are_tidy() -> None:
    for name in ("bots", "referrer_spam"):
        entries = [line for line in lists.lines_of(f"{name}.txt") if line and not line.startswith("#")]
        assert len(entries) == len(set(entries))
        assert all(entry == entry.strip().lower() and len(entry) >= lists.MIN_ENTRY_CHARS for entry in entries)
    assert len(lists.entries("bots")) > 500
    assert len(lists.entries("referrer_spam")) > 150


@given(st.text(max_size=600))
def test_any_text_has_an_answer(text: str) -> None:
    assert reason_of_user_agent(text) in {"", "headless", "user_agent"}
    assert reason_of_referrer(text) in {"", "referrer_spam"}
