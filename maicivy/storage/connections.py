"""The engine on Postgres, and the one conversion of its errors; `redis_clients.py` does the same for Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from maicivy.errors import RejectedByDatabase, Unavailable

POOL_TIMEOUT_S = 3
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000
REST_S = 1.0

# A link that has gone silent (a machine without power, a firewall that forgot) tells nobody. TCP asks after five
# seconds, and after eleven it is over; by default it would ask after two hours. Unix sockets ignore this.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}

_RESTING = "maicivy_resting_since"


def postgres_engine(url: str, pool_size: int, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> sa.Engine:
    """An engine whose statements end on the server too: a greenlet that is killed leaves its query running.

    A connection that has rested is tried before it is handed out. One that is in use all the time is not: that cost a
    quarter of the processor time of a timeline (measured), and tells nothing new.
    """
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "maicivy",
            **_KEEPALIVE,
            "options": f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC",
        },
    )
    sa.event.listen(engine, "checkin", _note_rest)
    sa.event.listen(engine, "checkout", partial(_try_rested, engine))
    return engine


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


def be_patient(connection: sa.Connection) -> None:
    """Let statements of this transaction take five minutes: upkeep reads whole days."""
    connection.execute(sa.text("SET LOCAL statement_timeout = '5min'"))


def driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    """The driver's connection, in the same transaction: for COPY, and for bytes as they come."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _reason(error: BaseException) -> str:
    """First line of the driver's message and its SQLSTATE; never the row that it quotes."""
    state = getattr(error, "sqlstate", None)
    first = str(error).partition("\n")[0][:200]
    return f"{state}: {first}" if state else first


def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_RESTING] = time.monotonic()


def _try_rested(engine: sa.Engine, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """What `pool_pre_ping` does, for connections that have rested for longer than `REST_S`."""
    if time.monotonic() - record.info.get(_RESTING, float("inf")) > REST_S:
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise sa.exc.InvalidatePoolError from error  # it and all others are made anew
