"""The engine on Postgres, and the one conversion of its errors; `redis_clients.py` does the same for Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from maicivy.errors import RejectedByDatabase, Unavailable

POOL_TIMEOUT_S = 3
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000


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
