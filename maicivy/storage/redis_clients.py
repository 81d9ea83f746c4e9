"""Clients of Redis, and the one conversion of their errors.

Two clients, for redis-py 8 by default waits 5 s and retries ten times (4.3 s per call against a dead server,
measured): a fast one for requests, and one that may block for streams and pub/sub.

Apart from `connections.py`, so that the hook in other people's sites needs neither SQLAlchemy nor psycopg.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from maicivy.errors import Unavailable

REQUEST_TIMEOUT_S = 1.0

# Links that have gone silent are noticed after eleven seconds, as those to Postgres. macOS has other names for these.
KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}

# Answers that tell of the server's state; any other error reply is a mistake of ours and passes through, loudly.
# redis-py cuts the code off the errors that it has classes for, so their first words stand here too.
_STATES = (
    "MISCONF",
    "OOM",
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "NOREPLICAS",
    "BUSY",
    "UNKILLABLE",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "You can't write against a read only",
    "command not allowed when used memory",
    "Redis is loading",
)


def fast_redis(url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> redis.Redis:
    """A client for use within requests: answers or raises within about `timeout_s`.

    A connection that broke is made anew and the command sent once more; a server that does not answer in time is not
    asked again, for whoever waits had better be told.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1, supported_errors=(redis.ConnectionError,)),
        health_check_interval=0,
        max_connections=100,
    )


def blocking_redis(url: str) -> redis.Redis:
    """A client for blocking reads and pub/sub: no read timeout, one retry, connections checked every 15 s."""
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive_options": KEEPALIVE}
    return redis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=2.0,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.02), 1),
        health_check_interval=15,
        **options,
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises when the server is away, too slow, read-only or full into `Unavailable`."""
    try:
        yield
    except redis.ResponseError as error:
        if not str(error).startswith(_STATES):
            raise
        raise Unavailable("redis", f"{type(error).__name__}: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise Unavailable("redis", f"{type(error).__name__}: {error}") from error
