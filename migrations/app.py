"""The Flask application that Flask-Migrate asks for: nothing but the schema and a database.

`maicivy db upgrade` and `flask --app migrations.app db upgrade` are the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from sqlalchemy import Engine, MetaData, NullPool, create_engine

from maicivy.config import Settings, sqlalchemy_url
from maicivy.storage.schema import metadata


@dataclass(frozen=True, slots=True)
class Database:
    """What Flask-Migrate needs to know of a database; Flask-SQLAlchemy would be one such object."""

    metadata: MetaData
    engine: Engine


def create_app(database_url: str | None = None) -> Flask:
    """An application whose only commands are those of Flask-Migrate. Connects to nothing yet."""
    url = sqlalchemy_url(database_url) if database_url else Settings.from_env().database_url
    app = Flask("migrations")
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
    Migrate(app, Database(metadata, engine), directory=str(Path(__file__).parent), render_as_batch=False)
    return app
