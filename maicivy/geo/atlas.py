"""The atlas: an address in, names of places out. Nothing is remembered of an address, not even for a moment.

Databases are mmdb files with a country, or with region and city too, in any of the layouts in use. They are looked at
again once a minute, so a newer one needs no restart, and one that cannot be read changes nothing.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import maxminddb

from maicivy.core.dimensions import Place
from maicivy.core.event_data import storable

CHECK_S: Final = 60.0
MAX_NAME_CHARS: Final = 100
_NO_COUNTRIES: Final = frozenset({"XX", "ZZ"})  # how CDNs and registries write that they do not know
_MAPPED: Final = "::ffff:"

log = logging.getLogger(__name__)


NOWHERE: Final = Place()


class _Shelf(NamedTuple):
    """The open databases: which one knows IPv4 addresses, and which one IPv6."""

    four: maxminddb.Reader | None
    six: maxminddb.Reader | None


class Atlas:
    """Answers from the mmdb file at `path`, or from the newest ones in a directory. Safe for threads.

    Opening copies the files within the disk, which takes some milliseconds per 10 MB once, in whichever call notices.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._seen: tuple[object, ...] = ()
        self._shelf: _Shelf | None = None
        self._complained = False

    def locate(self, address: str) -> Place:
        """Where `address` is, in a microsecond or two; `NOWHERE` for what is no address."""
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= CHECK_S:
            self._looked_at = now
            self._look()
        shelf = self._shelf
        if shelf is None:
            return NOWHERE
        if ":" in address:
            address = address.partition("%")[0]
            if address[: len(_MAPPED)].lower() == _MAPPED and "." in address:
                address = address[len(_MAPPED) :]
        reader = shelf.six if ":" in address else shelf.four
        if reader is None:
            return NOWHERE
        try:
            return place_of(reader.get(address))
        except (ValueError, TypeError):  # not an address
            return NOWHERE
        except (maxminddb.InvalidDatabaseError, OSError) as error:  # damaged somewhere behind what opening looked at
            if not self._complained:
                self._complained = True
                log.warning("geo_database_damaged", extra={"reason": str(error)})
            return NOWHERE

    def databases(self) -> list[maxminddb.reader.Metadata]:
        """What the open databases say of themselves, as of now."""
        self._looked_at = self._monotonic()
        self._look()
        shelf = self._shelf or _Shelf(None, None)
        return [reader.metadata() for reader in dict.fromkeys(shelf) if reader is not None]

    def _look(self) -> None:
        """Open what is new. Of a change that cannot be opened nothing is taken over; it is logged once."""
        try:
            files = _files(self.path)
            seen = tuple((str(path), *_identity(path)) for path in files)
        except OSError as error:  # it is being replaced, or may not be read
            if self._seen != (str(error),):
                self._seen = (str(error),)
                log.warning("geo_database_unreadable", extra={"reason": str(error)})
            return
        if seen == self._seen:
            return
        self._seen = seen
        opened = [(path, reader) for path in files if (reader := _opened(path)) is not None]
        if files and not opened:
            return
        self._complained = False
        self._shelf = _shelf(opened) if opened else None


def place_of(record: object) -> Place:
    """What a record says, in the layout of MaxMind and DB-IP (nested, with names per language) or a flat one."""
    if not isinstance(record, dict):
        return NOWHERE
    country = country_code(record.get("country_code")) or _iso_code(record.get("country"))
    if not country:
        return NOWHERE
    if len(record) == 1:
        return Place(country)
    divisions = record.get("subdivisions")
    region = _name(divisions[0]) if isinstance(divisions, list) and divisions else ""
    for key in ("state1", "region", "region_name", "stateprov", "state"):
        region = region or _name(record.get(key))
    return Place(country, region, _name(record.get("city")) or _name(record.get("city_name")))


def country_code(value: object) -> str:
    """A country's two letters in capitals; `""` for anything else."""
    if type(value) is not str or len(value) != 2 or not (value.isascii() and value.isalpha()):
        return ""
    code = value.upper()
    return "" if code in _NO_COUNTRIES else code


def _iso_code(value: object) -> str:
    return country_code(value.get("iso_code") if isinstance(value, dict) else value)


def _name(value: Any) -> str:
    if isinstance(value, dict):
        names = value.get("names")
        value = names.get("en") if isinstance(names, dict) else value.get("name")
    return storable(value[:MAX_NAME_CHARS]) if isinstance(value, str) else ""


def _files(path: Path) -> list[Path]:
    """The databases at `path`, the newest first."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return sorted(path.glob("*.mmdb"), key=lambda file: (-file.stat().st_mtime_ns, file.name))


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _opened(path: Path) -> maxminddb.Reader | None:
    try:
        reader = open_copy(path)
        reader.metadata()  # raises where opening did not look
    except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
        log.warning("geo_database_unreadable", extra={"reason": str(error)})
        return None
    return reader


def open_copy(path: Path) -> maxminddb.Reader:
    """A reader of a copy that has no name, so that nobody else can write to it.

    The reader maps the file into memory: one that somebody cut short while it was read, by copying a newer one over
    it, would kill the process with SIGBUS.

    Raises:
        OSError: it cannot be read or copied.
        InvalidDatabaseError, ValueError: it is no database.
    """
    with path.open("rb") as source, _nameless(path.parent) as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        return maxminddb.open_database(f"/dev/fd/{copy.fileno()}", maxminddb.MODE_AUTO)


def _nameless(directory: Path) -> Any:
    try:
        return tempfile.TemporaryFile(dir=directory)
    except OSError:  # mounted read-only
        return tempfile.TemporaryFile()


def _shelf(opened: Sequence[tuple[Path, maxminddb.Reader]]) -> _Shelf:
    """Packages split by version say so in the file's name; any other database of IPv6 knows IPv4 too."""
    four = [reader for path, reader in opened if "ipv6" not in path.name.lower()]
    six = [reader for _, reader in opened if reader.metadata().ip_version == 6]
    return _Shelf(four[0] if four else None, six[0] if six else None)
