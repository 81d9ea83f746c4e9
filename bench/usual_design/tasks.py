"""The Celery side: one task per event, one INSERT per task, counters after the commit.

The settings are those that Celery's documentation recommends for work that should not be lost.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import redis
import sqlalchemy as sa
from celery import Celery
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert
from sqlalchemy.exc import OperationalError

from maicivy.config import celery_broker_url, sqlalchemy_url

TOTAL = "events:total"
VISIBILITY_S = int(os.environ.get("USUAL_VISIBILITY_S", "60"))
"""After so long a message that a lost worker had taken is given to another one. A task takes milliseconds."""

metadata = sa.MetaData()
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", UUID(as_uuid=False), primary_key=True),
    sa.Column("visitor_id", UUID(as_uuid=False), nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("event_data", JSONB, nullable=False),
    sa.Column("page_url", sa.Text, nullable=False),
    sa.Column("referrer", sa.Text, nullable=False),
    sa.Column("session_duration", sa.Integer, nullable=False),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, index=True),
)

app = Celery("usual_design", broker=celery_broker_url(os.environ.get("REDIS_URL", "redis://localhost")))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    task_default_queue="events",
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_S},
)


@lru_cache(maxsize=1)
def engine() -> sa.Engine:
    """This process's connections to Postgres, checked before use."""
    return sa.create_engine(sqlalchemy_url(os.environ["DATABASE_URL"]), pool_pre_ping=True, pool_size=2)


@lru_cache(maxsize=1)
def counters() -> redis.Redis:
    """This process's connections to Redis."""
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def prepare() -> None:
    """Make the table where it is missing."""
    metadata.create_all(engine())
    engine().dispose()


@app.task(
    autoretry_for=(OperationalError, redis.ConnectionError, redis.TimeoutError),
    retry_backoff=True,
    retry_kwargs={"max_retries": 5},
)
def persist(event: dict[str, Any]) -> None:
    """Store the event once, then count it if it was new."""
    with engine().begin() as connection:
        new = connection.execute(insert(events).values(event).on_conflict_do_nothing().returning(events.c.id)).first()
    if new is None:
        return
    day = event["created_at"][:10]
    with counters().pipeline(transaction=False) as pipe:
        pipe.incr(TOTAL)
        pipe.incr(f"events:day:{day}")
        pipe.incr(f"events:type:{event['event_type']}")
        pipe.pfadd(f"visitors:day:{day}", event["visitor_id"])
        pipe.execute()


if __name__ == "__main__":
    prepare()
