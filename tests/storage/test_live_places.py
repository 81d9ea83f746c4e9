"""The places of live viewers on a real Valkey: how many may watch, and what becomes of those of the dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from maicivy.storage import keys
from maicivy.storage.live_places import LEASE_S, LivePlaces, Taking
from maicivy.storage.redis_clients import fast_redis


@pytest.fixture
def places(valkey_url: str, redis_client: redis.Redis) -> Iterator[LivePlaces]:
    with fast_redis(valkey_url) as client:
        yield LivePlaces(client)


def test_places_are_taken_up_to_the_limit_and_given_back(places: LivePlaces) -> None:
    assert places.taken() == 0
    assert [places.take(name, 2) for name in "abc"] == [Taking.TAKEN, Taking.TAKEN, Taking.FULL]
    assert places.taken() == 2
    places.leave("a")
    places.leave("a")
    assert places.take("c", 2)
    assert places.taken() == 2


def test_with_a_limit_of_zero_there_is_no_place(places: LivePlaces) -> None:
    assert not places.take("a", 0)


def test_kin_take_no_more_places_than_their_own_limit(places: LivePlaces) -> None:
    assert [places.take(f"a:{n}", 10, 2) for n in range(3)] == [Taking.TAKEN, Taking.TAKEN, Taking.ENOUGH_OF_KIN]
    assert places.take("ab:0", 10, 2) == Taking.TAKEN
    assert places.take("a", 10, 1) == Taking.TAKEN
    assert places.take("aa", 10, 1) == Taking.TAKEN
    assert places.take("a:2", 10) == Taking.TAKEN
    assert places.taken() == 6
    assert places.take("b:0", 6, 2) == Taking.FULL
    places.leave("a:0", "a:1")
    assert places.take("a:3", 10, 2) == Taking.TAKEN


def test_many_at_once_get_exactly_the_places_that_there_are(places: LivePlaces) -> None:
    barrier = threading.Barrier(30)
    taken: list[int] = []

    def run(number: int) -> None:
        barrier.wait()
        taken.append(places.take(f"place-{number}", 7))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 7
    assert places.taken() == 7


def test_a_lease_that_has_ended_frees_its_place(places: LivePlaces, redis_client: redis.Redis) -> None:
    assert places.take("dead", 1)
    assert not places.take("new", 1)
    redis_client.zincrby(keys.LIVE_CLIENTS, -LEASE_S - 1, "dead")
    assert places.taken() == 0
    assert places.take("new", 1)


def test_renewing_prolongs_a_lease_and_brings_back_a_forgotten_one(
    places: LivePlaces, redis_client: redis.Redis
) -> None:
    places.take("a", 5)
    before = redis_client.zscore(keys.LIVE_CLIENTS, "a")
    places.renew(["a", "b"])
    after = redis_client.zscore(keys.LIVE_CLIENTS, "a")
    assert before is not None
    assert after is not None
    assert after > before
    assert places.taken() == 2
    redis_client.delete(keys.LIVE_CLIENTS)
    places.renew(["a", "b"])
    assert places.taken() == 2
    places.renew([])


def test_the_places_have_a_lifetime(places: LivePlaces, redis_client: redis.Redis) -> None:
    places.take("a", 5)
    assert 0 < redis_client.ttl(keys.LIVE_CLIENTS) <= LEASE_S
