"""Hosts and words become names that people know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.enrichment.lists import lines_of
from maicivy.enrichment.sources import Source, source_of_host, source_of_word, table


@pytest.mark.parametrize(
    ("host", "name", "category"),
    [
        ("www.google.com", "Google", "search"),
        ("google.co.uk", "Google", "search"),
        ("www.google.com.br", "Google", "search"),
        ("com.google.android.googlequicksearchbox", "Google", "search"),
        ("mail.google.com", "Gmail", "email"),
        ("com.google.android.gm", "Gmail", "email"),
        ("gemini.google.com", "Gemini", "ai"),
        ("docs.google.com", "Google Docs", "other"),
        ("google.evil.com", "google.evil.com", ""),
        ("google.com.evil.example", "google.com.evil.example", ""),
        ("notgoogle.com", "notgoogle.com", ""),
        ("bing.com", "Bing", "search"),
        ("duckduckgo.com", "DuckDuckGo", "search"),
        ("yandex.ru", "Yandex", "search"),
        ("ya.ru", "Yandex", "search"),
        ("search.yahoo.co.jp", "Yahoo!", "search"),
        ("www.baidu.com", "Baidu", "search"),
        ("search.naver.com", "Naver", "search"),
        ("search.brave.com", "Brave", "search"),
        ("l.facebook.com", "Facebook", "social"),
        ("m.facebook.com", "Facebook", "social"),
        ("de-de.facebook.com", "Facebook", "social"),
        ("l.instagram.com", "Instagram", "social"),
        ("t.co", "X", "social"),
        ("x.com", "X", "social"),
        ("netflix.com", "Netflix", "video"),
        ("out.reddit.com", "Reddit", "social"),
        ("lnkd.in", "LinkedIn", "social"),
        ("news.ycombinator.com", "Hacker News", "social"),
        ("t.me", "Telegram", "social"),
        ("www.pinterest.de", "Pinterest", "social"),
        ("m.youtube.com", "YouTube", "video"),
        ("youtu.be", "YouTube", "video"),
        ("www.amazon.co.uk", "Amazon", "shopping"),
        ("chatgpt.com", "ChatGPT", "ai"),
        ("chat.openai.com", "ChatGPT", "ai"),
        ("claude.ai", "Claude", "ai"),
        ("www.perplexity.ai", "Perplexity", "ai"),
        ("copilot.microsoft.com", "Copilot", "ai"),
        ("chat.deepseek.com", "DeepSeek", "ai"),
        ("grok.com", "Grok", "ai"),
        ("chat.mistral.ai", "Le Chat", "ai"),
        ("you.com", "You.com", "ai"),
        ("www.phind.com", "Phind", "ai"),
        ("outlook.live.com", "Outlook", "email"),
        ("github.com", "GitHub", "other"),
        ("en.wikipedia.org", "Wikipedia", "other"),
        ("www.example.org", "example.org", ""),
        ("blog.example.org", "blog.example.org", ""),
        ("localhost", "localhost", ""),
        ("", "", ""),
    ],
)
def test_a_host_has_a_name(host: str, name: str, category: str) -> None:
    assert source_of_host(host) == Source(name, category)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("google", "Google"),
        ("Google", "Google"),
        (" GOOGLE ", "Google"),
        ("adwords", "Google"),
        ("fb", "Facebook"),
        ("ig", "Instagram"),
        ("yt", "YouTube"),
        ("tw", "X"),
        ("twitter", "X"),
        ("linkedin", "LinkedIn"),
        ("chatgpt.com", "ChatGPT"),
        ("www.facebook.com", "Facebook"),
        ("hackernews", "Hacker News"),
        ("Spring Newsletter", "Spring Newsletter"),
        ("example.org", "example.org"),
        ("", ""),
    ],
)
def test_a_word_in_utm_source_has_the_same_names(word: str, name: str) -> None:
    assert source_of_word(word).name == name


def test_the_table_says_everything_once() -> None:
    places: list[str] = []
    words: dict[str, str] = {}
    for line in lines_of("sources.txt"):
        if line and not line.startswith("#"):
            category, name, hosts, aliases = (part.strip() for part in line.split("|"))
            assert category in {"search", "ai", "social", "video", "audio", "shopping", "email", "other"}, line
            places += hosts.split()
            for word in (name.lower(), *aliases.split()):
                assert words.setdefault(word, name) == name, word
    assert len(places) == len(set(places))
    assert places == [place.lower() for place in places]
    assert len({source.name for source in table().words.values()}) > 400


@given(st.text(max_size=500) | st.lists(st.sampled_from(["google", "com", "a", ""]), max_size=300).map(".".join))
def test_any_text_has_a_name(text: str) -> None:
    assert source_of_host(text).name in {*(source.name for source in table().words.values()), text.removeprefix("www.")}
    assert len(source_of_word(text).name) <= max(20, len(text))
