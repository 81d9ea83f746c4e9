"""Whether Postgres, Redis and the broker answer at all: asked once, before anything else is started."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from maicivy.errors import Unavailable

TIMEOUT_S = 3
_BROKER_PORTS = {"amqp": 5672, "amqps": 5671}


def reach_postgres(url: str) -> None:
    """Connect once, and hang up.

    Raises:
        Unavailable: no answer within 3 s, or a refusal; with the driver's reason, which never holds a password.
    """
    try:
        psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://", 1), connect_timeout=TIMEOUT_S).close()
    except psycopg.Error as error:
        raise Unavailable("postgres", f"DATABASE_URL cannot be used: {_one_line(error)}") from error


def reach_redis(url: str) -> None:
    """Ping once, and hang up.

    Raises:
        Unavailable: no answer within 3 s, or a refusal.
    """
    try:
        with redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise Unavailable("redis", f"REDIS_URL cannot be used: {_one_line(error)}") from error


def reach_broker(url: str) -> None:
    """Open one TCP connection to the broker, and hang up. Brokers on a unix socket are taken as they are.

    Raises:
        Unavailable: nobody listens there, or not within 3 s.
    """
    parts = urlsplit(url)
    if parts.hostname is None:
        return
    try:
        port = parts.port or _BROKER_PORTS.get(parts.scheme, 6379)
        socket.create_connection((parts.hostname, port), TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise Unavailable("broker", f"CELERY_BROKER_URL cannot be used: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
