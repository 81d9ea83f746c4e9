"""One database per file: examples have sites of their own instead, which is a hundred times as quick."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, create_engine

from maicivy.config import sqlalchemy_url
from tests.conftest import _beside


@pytest.fixture(scope="module")
def engine(postgres_url: str, database_template: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """SQLAlchemy engine on a migrated database of this file's own."""
    name = f"oracle_{request.path.stem}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy")
        engine = create_engine(sqlalchemy_url(_beside(postgres_url, name)))
        yield engine
        engine.dispose()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
