"""How often somebody may guess."""

from __future__ import annotations

import pytest
import redis

from maicivy.errors import RateLimited, Unavailable
from maicivy.storage import keys
from maicivy.storage.guesses import MAX_GUESSES, WINDOW_S, Guesses
from maicivy.storage.redis_clients import fast_redis


def test_a_client_may_guess_a_few_times_until_one_is_right_or_time_has_passed(redis_client: redis.Redis) -> None:
    guesses = Guesses(redis_client)
    for _ in range(MAX_GUESSES):
        guesses.note(b"somebody")
    with pytest.raises(RateLimited) as limit:
        guesses.note(b"somebody")
    assert 0 < limit.value.retry_after_s <= WINDOW_S
    guesses.note(b"somebody else")
    assert 0 < redis_client.ttl(keys.guesses(b"somebody")) <= WINDOW_S
    guesses.forget(b"somebody")
    guesses.note(b"somebody")


def test_where_nobody_counts_nobody_guesses() -> None:
    with pytest.raises(Unavailable):
        Guesses(fast_redis("unix:///nonexistent")).note(b"x")
