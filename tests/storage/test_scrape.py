"""What a scrape reads is what the keys hold, and it gives up in time."""

import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
import redis

from maicivy.core.periods import Period
from maicivy.core.sites import Site
from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.storage.scrape import SITES_SHOWN, TOP_THEMES, Scraper, SiteFigures
from maicivy.storage.worker_metrics import Sample

TODAY = date(2025, 12, 31)
NOW = 1_767_182_400.0


@pytest.fixture
def silent_redis(tmp_path: Path) -> Iterator[str]:
    """URL of a server that takes connections and never says a word."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(16)
        yield f"unix://{path}"


def test_an_empty_redis_is_all_zeros(valkey_url: str, redis_client: redis.Redis) -> None:
    scraped = Scraper(valkey_url).scrape(TODAY, NOW)
    assert (scraped.totals, scraped.ledger, scraped.themes, scraped.relayed) == ({}, {}, [], [])
    assert scraped.inbox_events == scraped.inbox_bytes == scraped.inbox_oldest_s == scraped.websockets == 0
    assert scraped.current_visitors == scraped.unique_today == scraped.letters_today == scraped.cursor_seq == 0


def test_each_number_comes_from_its_key(valkey_url: str, redis_client: redis.Redis) -> None:
    client = redis_client
    client.hset(keys.totals(1), mapping={"visitors": 3, "events:page_view": 5, "path:/caf\u00e9": 2})
    client.hset(keys.LEDGER, mapping={"received": 9, "rejected:invalid_json": 4})
    client.hset(keys.INBOX_SIZE, mapping={"events": 2, "bytes": 345})
    client.xadd(keys.INBOX, {"n": 2}, id=f"{int(NOW * 1000) - 2500}-0")
    client.zadd(keys.presence(1), {"gone": NOW - 300, "there": NOW - 299, "now": NOW})
    client.pfadd(keys.unique_visitors(1, Period.DAY, TODAY), b"a" * 16, b"b" * 16)
    client.set(keys.stat(1, Period.DAY, TODAY, "letters_generated"), 1)
    client.zadd(keys.LIVE_CLIENTS, {"lapsed": NOW - 1, "open": NOW + 9})
    client.hset(keys.CURSOR, mapping={"seq": 12, "token": "t"})
    client.hset(keys.HEARTBEATS, mapping={"worker": int(NOW), "beat": int(NOW) - 60})
    client.hset(keys.WORKER_METRICS, '["maicivy_aggregates_drift","",{}]', "2.0")
    scraped = Scraper(valkey_url).scrape(TODAY, NOW)
    assert scraped.totals == {"visitors": 3, "events:page_view": 5, "path:/caf\u00e9": 2}
    assert scraped.ledger == {"received": 9, "rejected:invalid_json": 4}
    assert (scraped.inbox_events, scraped.inbox_bytes, scraped.inbox_oldest_s) == (2, 345, 2.5)
    assert (scraped.current_visitors, scraped.unique_today, scraped.letters_today) == (2, 2, 1)
    assert (scraped.websockets, scraped.cursor_seq) == (1, 12)
    assert scraped.last_seen == {"worker": NOW, "beat": NOW - 60}
    assert scraped.relayed == [Sample("maicivy_aggregates_drift", "", {}, 2.0)]


def test_each_site_has_its_figures_and_those_beyond_the_first_hundred_are_added_up(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    client = redis_client
    numbers = range(2, SITES_SHOWN + 4)
    client.set(keys.SITES, msgspec.json.encode([Site(number, f"{number}.example") for number in reversed(numbers)]))
    for number in numbers:
        client.hset(keys.totals(number), mapping={"total_events": number, "page_views": 2, "visitors": 1})
        client.zadd(keys.presence(number), {"gone": NOW - 300, "now": NOW})
    client.hset(keys.totals(1), "total_events", 7)
    sites = Scraper(valkey_url).scrape(TODAY, NOW).sites
    assert list(sites) == [*map(str, range(1, SITES_SHOWN + 1)), "other"]
    assert (sites["1"], sites["2"]) == (SiteFigures(7, 0, 0, 0), SiteFigures(2, 2, 1, 1))
    assert sites["other"] == SiteFigures(101 + 102 + 103, 6, 3, 3)


@pytest.mark.parametrize("known", [None, b"", b"[", b'[{"id": "x"}]'])
def test_without_a_list_of_sites_there_is_the_default_one(
    valkey_url: str, redis_client: redis.Redis, known: bytes | None
) -> None:
    if known is not None:
        redis_client.set(keys.SITES, known)
    assert Scraper(valkey_url).scrape(TODAY, NOW).sites == {"1": SiteFigures(0, 0, 0, 0)}


def test_only_the_most_viewed_themes_are_told(valkey_url: str, redis_client: redis.Redis) -> None:
    redis_client.zadd(keys.themes(1), {f"theme-{views}": views for views in range(1, TOP_THEMES + 10)})
    themes = Scraper(valkey_url).scrape(TODAY, NOW).themes
    assert len(themes) == TOP_THEMES
    assert themes[0] == (f"theme-{TOP_THEMES + 9}", TOP_THEMES + 9)


def test_signs_of_life_are_read_alone(valkey_url: str, redis_client: redis.Redis) -> None:
    redis_client.hset(keys.HEARTBEATS, "worker", "1767182400")
    assert Scraper(valkey_url).last_seen() == {"worker": 1_767_182_400.0}


def test_a_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    scraper = Scraper(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(Unavailable):
        scraper.scrape(TODAY, NOW)
    with pytest.raises(Unavailable):
        scraper.last_seen()


def test_a_server_that_hangs_is_given_up(silent_redis: str) -> None:
    with pytest.raises(Unavailable):
        Scraper(silent_redis).last_seen()


def test_an_account_without_info_is_enough(valkey_url: str, redis_client: redis.Redis) -> None:
    redis_client.execute_command("ACL", "SETUSER", "prober", "on", ">secret-of-a-test", "~*", "+@all", "-info")
    try:
        redis_client.hset(keys.HEARTBEATS, "beat", "7")
        assert Scraper(f"{valkey_url}?username=prober&password=secret-of-a-test").last_seen() == {"beat": 7.0}
    finally:
        redis_client.execute_command("ACL", "DELUSER", "prober")
