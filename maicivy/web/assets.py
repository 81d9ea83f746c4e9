"""The static files of the pages: minified, compressed once, and under a URL that changes whenever any of them does.

    /assets/VERSION/dashboard/main.js

VERSION is a hash of all the files, so that what a file names relatively, an imported module or a picture of a style
sheet, has it too. Such a URL may be kept for ever. Under any other VERSION, one of a page that was loaded before an
upgrade, stands the file as it is now, to be asked for each time.

Nothing is read before it is wanted; after that a file is as it was when this process first read it.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from flask import Blueprint, Response, abort, request

from maicivy.web import minified

FOR_EVER: Final = "public, max-age=31536000, immutable"
EACH_TIME: Final = "no-cache"

_DIRECTORY: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_INCOMPRESSIBLE: Final = frozenset({".png", ".ico"})

blueprint = Blueprint("assets", __name__)


class Asset(msgspec.Struct, frozen=True):
    """A file as it is served. `gzipped` is empty where it would gain nothing."""

    body: bytes
    gzipped: bytes
    content_type: str
    etag: str


@blueprint.app_template_global("asset")
def asset(name: str) -> str:
    """The path of the file `name` of the directory `static`, for a page.

    Raises:
        LookupError: there is no such file.
    """
    _path(name)
    return f"/assets/{version()}/{name}"


@blueprint.get("/assets/<wanted>/<path:name>")
def file(wanted: str, name: str) -> Response:
    """A static file."""
    try:
        found = read(name)
    except LookupError:
        abort(404)
    return respond(found, FOR_EVER if wanted == version() else EACH_TIME)


def respond(found: Asset, cache_control: str) -> Response:
    """The response with a file, or a 304."""
    response = Response(found.body, content_type=found.content_type)
    if found.gzipped:
        response.headers["Vary"] = "Accept-Encoding"
        if request.accept_encodings.quality("gzip"):
            response.set_data(found.gzipped)
            response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = cache_control
    response.set_etag(found.etag, weak=True)  # the same for both codings
    response.make_conditional(request)
    return response


@lru_cache
def version() -> str:
    """The VERSION of the files as they are."""
    digest = hashlib.blake2b(digest_size=8)
    for name, path in sorted(_files().items()):
        body = path.read_bytes()
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    return digest.hexdigest()


@lru_cache
def read(name: str) -> Asset:
    """The file `name`, ready to be served.

    Raises:
        LookupError: there is no such file.
    """
    path = _path(name)
    body = path.read_bytes()
    if path.suffix == ".js":
        body = minified.script(body.decode()).encode()
    elif path.suffix == ".css":
        body = minified.style(body.decode()).encode()
    gzipped = b"" if path.suffix in _INCOMPRESSIBLE else gzip.compress(body, 9, mtime=0)
    etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return Asset(body, gzipped if len(gzipped) < len(body) else b"", _TYPES[path.suffix], etag)


def _path(name: str) -> Path:
    return _files()[name]


@lru_cache
def _files() -> dict[str, Path]:
    """Every static file by its name, which is all that a request can choose from."""
    return {
        path.relative_to(_DIRECTORY).as_posix(): path
        for path in _DIRECTORY.rglob("*")
        if path.suffix in _TYPES and path.is_file()
    }
