"""`maicivy db`: the database schema brought to where this code needs it, through Flask-Migrate.

Safe to repeat and to run on several machines at once: one migrates, the others wait and find nothing to do.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    upgrade = actions.add_parser("upgrade", help="migrate to the newest revision")
    upgrade.add_argument("revision", nargs="?", default="head")
    upgrade.add_argument("--sql", action="store_true", help="print the SQL instead of running it")
    downgrade = actions.add_parser("downgrade", help="go back one revision, or to the one given")
    downgrade.add_argument("revision", nargs="?", default="-1")
    actions.add_parser(
        "prepare", help="upgrade, after a check that Redis and the broker answer too; what `maicivy up` does first"
    )
    actions.add_parser("current", help="print the revision of the database")
    actions.add_parser("history", help="print all revisions")
    actions.add_parser("check", help="fail when the schema in the code differs from that of the migrations")
    revision = actions.add_parser("revision", help="write a new migration file from what changed in storage/schema.py")
    revision.add_argument("-m", "--message", required=True)
    revision.add_argument("--empty", action="store_true", help="without comparing")


def run(arguments: argparse.Namespace) -> None:
    """Do what `arguments` ask for.

    Raises:
        Unavailable: the database, or for `prepare` Redis or the broker, does not answer within 3 s.
        DatabaseTooNew: a later version of maicivy migrated it.
    """
    import flask_migrate  # with Alembic and SQLAlchemy 0.5 s and 30 MB, which only this command needs

    from maicivy.config import Settings
    from maicivy.storage.reach import reach_broker, reach_postgres, reach_redis

    settings = Settings.from_env()
    url = settings.database_url
    if not getattr(arguments, "sql", False) and arguments.action != "history":
        reach_postgres(url)
    if arguments.action == "prepare":
        reach_redis(settings.redis_url)
        reach_broker(settings.broker_url)
    with _migrations(url):
        match arguments.action:
            case "upgrade":
                flask_migrate.upgrade(revision=arguments.revision, sql=arguments.sql)
            case "prepare":
                flask_migrate.upgrade()
            case "downgrade":
                flask_migrate.downgrade(revision=arguments.revision)
            case "current":
                flask_migrate.current()
            case "history":
                flask_migrate.history()
            case "check":
                flask_migrate.check()
            case "revision":
                flask_migrate.revision(message=arguments.message, autogenerate=not arguments.empty)


def upgrade(database_url: str) -> None:
    """Migrate the database at `database_url` to the newest revision. Safe to repeat.

    Raises:
        DatabaseTooNew: a later version of maicivy migrated it.
    """
    import flask_migrate  # see `run`

    with _migrations(database_url):
        flask_migrate.upgrade()


@contextlib.contextmanager
def _migrations(database_url: str) -> Iterator[None]:
    # Flask-Migrate finds its database through the current Flask application; this one is nothing else.
    app = importlib.import_module("migrations.app").create_app(database_url)
    with app.app_context():
        yield
