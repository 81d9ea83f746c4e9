"""Clients of Redis and Postgres, and the one conversion of their errors.

Two Redis clients, for redis-py 8 by default waits 5 s and retries ten times (4.3 s per call against a dead server,
measured): a fast one for requests, and one that may block for streams and pub/sub.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import redis
import sqlalchemy as sa
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from maicivy.errors import RejectedByDatabase, Unavailable

REQUEST_TIMEOUT_S = 1.0
POOL_TIMEOUT_S = 3
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000


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


def postgres_engine(url: str, pool_size: int, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> sa.Engine:
    """An engine whose statements end on the server too: a greenlet that is killed leaves its query running."""
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "maicivy",
            "options": f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC",
        },
    )


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns what redis-py raises when the server is away, too slow or out of memory into `Unavailable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError) as error:
        raise Unavailable("redis", f"{type(error).__name__}: {error}") from error


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turns driver errors into `RejectedByDatabase` (the data's fault) or `Unavailable` (the server's state).

    Programming errors (a missing table, wrong SQL) pass through: they are loud on purpose.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.DataError | psycopg.IntegrityError):
            raise RejectedByDatabase(_reason(error.orig)) from error
        if isinstance(error.orig, psycopg.OperationalError | psycopg.InternalError):
            raise Unavailable("postgres", _reason(error.orig)) from error
        raise
    except sa.exc.TimeoutError as error:
        raise Unavailable("postgres", "no free connection in the pool") from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise RejectedByDatabase(_reason(error)) from error
    except (psycopg.OperationalError, psycopg.InternalError) as error:
        raise Unavailable("postgres", _reason(error)) from error


def _reason(error: BaseException) -> str:
    """First line of the driver's message and its SQLSTATE; never the row that it quotes."""
    state = getattr(error, "sqlstate", None)
    first = str(error).partition("\n")[0][:200]
    return f"{state}: {first}" if state else first
