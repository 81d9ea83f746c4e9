"""Clients of Redis, and the one conversion of their errors.

Two clients, for redis-py 8 by default waits 5 s and retries ten times (4.3 s per call against a dead server,
measured): a fast one for requests, and one that may block for streams and pub/sub.

Apart from `connections.py`, so that the hook in other people's sites needs neither SQLAlchemy nor psycopg.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from maicivy.errors import Unavailable

REQUEST_TIMEOUT_S = 1.0


def fast_redis(url: str) -> redis.Redis:
    """A client for use within requests: answers or raises within about two seconds."""
    return redis.Redis.from_url(
        url,
        socket_timeout=REQUEST_TIMEOUT_S,
        socket_connect_timeout=REQUEST_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 2),
        health_check_interval=0,
        max_connections=100,
    )


def blocking_redis(url: str) -> redis.Redis:
    """A client for blocking reads and pub/sub: no read timeout, one retry, connections checked every 15 s."""
    return redis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=2.0,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1),
        health_check_interval=15,
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises when the server is away, too slow or out of memory into `Unavailable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError) as error:
        raise Unavailable("redis", f"{type(error).__name__}: {error}") from error
