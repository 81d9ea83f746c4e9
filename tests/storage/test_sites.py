"""Sites in Postgres, and what web processes know of them while one server or both are away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, create_engine

from maicivy.bootstrap import build
from maicivy.config import Settings, sqlalchemy_url
from maicivy.core.sites import Site
from maicivy.errors import Refusal
from maicivy.storage import bucket_zones, keys
from maicivy.storage.redis_clients import fast_redis
from maicivy.storage.sites import PostgresSites, SiteDirectory

NOON = datetime(2025, 12, 8, 12, 0, tzinfo=UTC)
SOON = timedelta(seconds=2)


@pytest.fixture
def sites(engine: Engine, redis_client: redis.Redis) -> PostgresSites:
    return PostgresSites(engine, redis_client)


def directory(client: redis.Redis, sites: PostgresSites, now: datetime = NOON) -> SiteDirectory:
    return SiteDirectory(client, sites, lambda: now)


@pytest.fixture
def no_redis(tmp_path: Any) -> redis.Redis:
    return fast_redis(f"unix://{tmp_path}/nobody.sock")


@pytest.fixture
def no_postgres(tmp_path: Any) -> Engine:
    return create_engine(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}")


def refused(code: str, field: str | None) -> Any:
    return pytest.raises(Refusal, check=lambda error: (error.code, error.field) == (code, field))


def test_the_default_site_is_there_from_the_start(sites: PostgresSites) -> None:
    [default] = sites.all()
    assert default == Site(1, "", default.measurement_id)
    assert re.fullmatch("MC-[A-Z0-9]{10}", default.measurement_id)


def test_a_site_is_made_of_what_is_said_of_it(sites: PostgresSites) -> None:
    plain = sites.add({"domain": "www.Plain.example"})
    assert plain == Site(plain.id, "plain.example", plain.measurement_id)
    said = {"timezone": "Asia/Tokyo", "retention_days": 7, "is_public": False, "allowed_hosts": ["*.shop.example"]}
    shop = sites.add({"domain": "shop.example", **said})
    assert shop == Site(plain.id + 1, "shop.example", shop.measurement_id, "Asia/Tokyo", 7, False, ("*.shop.example",))
    assert plain.measurement_id != shop.measurement_id
    assert sites.all()[1:] == [plain, shop]


def test_a_change_leaves_what_it_does_not_name(sites: PostgresSites) -> None:
    site = sites.add({"domain": "a.example", "timezone": "Asia/Tokyo", "allowed_hosts": ["b.example"]})
    changed = sites.set(site.id, {"retention_days": 3, "allowed_hosts": []})
    assert changed == Site(site.id, "a.example", site.measurement_id, "Asia/Tokyo", 3)
    assert sites.set(site.id, {}) == changed
    assert sites.set(site.id, {"timezone": None}).timezone is None


def test_another_time_zone_has_the_rollups_made_anew(sites: PostgresSites, monkeypatch: pytest.MonkeyPatch) -> None:
    site = sites.add({"domain": "a.example", "timezone": "Asia/Tokyo"})
    forgotten: list[int] = []
    monkeypatch.setattr(bucket_zones, "forget", lambda _, number: forgotten.append(number))
    sites.set(site.id, {"timezone": "Asia/Tokyo", "is_public": False})
    assert forgotten == []
    sites.set(site.id, {"timezone": None})
    sites.set(site.id, {"timezone": "Europe/Paris"})
    assert forgotten == [site.id, site.id]


def test_a_time_zone_is_changed_where_there_is_nothing_to_make_anew(sites: PostgresSites) -> None:
    site = sites.add({"domain": "a.example"})
    assert sites.set(site.id, {"timezone": "Asia/Tokyo"}).timezone == "Asia/Tokyo"


def test_two_living_sites_never_have_one_domain(sites: PostgresSites) -> None:
    site = sites.add({"domain": "a.example"})
    other = sites.add({"domain": "b.example"})
    with refused("domain_taken", "domain"):
        sites.add({"domain": "www.A.example"})
    with refused("domain_taken", "domain"):
        sites.set(other.id, {"domain": "a.example"})
    sites.remove(site.id)
    assert sites.add({"domain": "a.example"}).id != site.id


def test_what_is_not_there_cannot_be_changed(sites: PostgresSites) -> None:
    site = sites.add({"domain": "a.example"})
    sites.remove(site.id)
    for number in (site.id, 99):
        with refused("not_found", "id"):
            sites.set(number, {"is_public": False})
        with refused("not_found", "id"):
            sites.remove(number)
    with refused("default_site", "id"):
        sites.remove(1)
    with refused("invalid_site", "domain"):
        sites.add({"is_public": True})
    assert len(sites.all()) == 1


def test_every_change_is_known_to_web_processes_soon(sites: PostgresSites, redis_client: redis.Redis) -> None:
    known = directory(redis_client, sites)
    assert known.book(NOON).named("a.example") is None
    site = sites.add({"domain": "a.example"})
    assert known.book(NOON).named("a.example") is None
    assert known.book(NOON + SOON).named("a.example") == site
    sites.remove(site.id)
    assert known.book(NOON + 2 * SOON).named("a.example") is None


def test_an_unknown_site_is_looked_for_at_most_once_a_second(sites: PostgresSites, redis_client: redis.Redis) -> None:
    times = iter([NOON + timedelta(seconds=s) for s in (0.9, 1.0, 1.9)])
    known = SiteDirectory(redis_client, sites, lambda: next(times))
    known.book(NOON)
    site = sites.add({"domain": "a.example"})
    assert known.refresh().named("a.example") is None
    assert known.refresh().named("a.example") == site
    other = sites.add({"domain": "b.example"})
    assert known.refresh().by_id(other.id) is None


def test_without_postgres_the_copy_answers(
    sites: PostgresSites, redis_client: redis.Redis, no_postgres: Engine
) -> None:
    site = sites.add({"domain": "a.example"})
    alone = directory(redis_client, PostgresSites(no_postgres, redis_client))
    assert alone.book(NOON).named("a.example") == site


@pytest.mark.parametrize("text", [None, b"", b"[{]", b'[{"id": "x"}]'])
def test_a_copy_that_is_lost_or_broken_is_made_again(
    sites: PostgresSites, redis_client: redis.Redis, text: bytes | None
) -> None:
    site = sites.add({"domain": "a.example"})
    redis_client.flushall() if text is None else redis_client.set(keys.SITES, text)
    assert directory(redis_client, sites).book(NOON).named("a.example") == site
    copied = redis_client.get(keys.SITES)
    sites.copy()
    assert redis_client.get(keys.SITES) == copied


def test_a_request_that_looks_at_the_book_has_time_left_for_the_inbox(settings: Settings) -> None:
    parts = build(settings)
    looking = parts.site_directory._client.get_connection_kwargs()
    appending = parts.redis.get_connection_kwargs()
    assert looking["path"] == appending["path"]
    assert looking["socket_timeout"] <= appending["socket_timeout"] / 4
    parts.close()


def test_without_redis_postgres_answers_and_changes_are_made(
    sites: PostgresSites, engine: Engine, redis_client: redis.Redis, no_redis: redis.Redis
) -> None:
    site = PostgresSites(engine, no_redis).add({"domain": "a.example"})
    assert sites.all()[1] == site
    assert directory(no_redis, sites).book(NOON).named("a.example") == site
    sites.copy()
    assert directory(redis_client, sites).book(NOON).named("a.example") == site


def test_what_was_known_last_is_known_while_both_are_away(
    sites: PostgresSites, redis_client: redis.Redis, no_postgres: Engine, no_redis: redis.Redis
) -> None:
    site = sites.add({"domain": "a.example"})
    known = directory(redis_client, PostgresSites(no_postgres, redis_client))
    assert known.book(NOON).named("a.example") == site
    redis_client.flushall()
    assert known.book(NOON + SOON).named("a.example") == site
    nothing = directory(no_redis, PostgresSites(no_postgres, no_redis)).book(NOON)
    assert [site.id for site in nothing] == [1]


def test_without_tables_the_default_site_is_known(redis_client: redis.Redis, postgres_url: str) -> None:
    empty = create_engine(sqlalchemy_url(postgres_url))
    assert [site.id for site in directory(redis_client, PostgresSites(empty, redis_client)).book(NOON)] == [1]
    empty.dispose()
