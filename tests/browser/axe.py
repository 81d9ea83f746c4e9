"""axe-core, which finds what keeps people from using a page; from the npm registry, one pinned version of it."""

from __future__ import annotations

import json
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page

from maicivy.config import npm_registry
from maicivy.geo import package
from tests.browser.chromium import unavailable

NAME, VERSION = "axe-core", "4.14.1"
INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
KEPT = Path(__file__).parents[2] / ".venv" / f"{NAME}-{VERSION}.js"

_SERIOUS = ("serious", "critical")


def violations(page: Page, within: str | None = None) -> list[str]:
    """The serious and critical ones in a page, or in one element of it: a rule and its elements each."""
    page.evaluate(script())
    found = page.evaluate("(within) => axe.run(within || document, {resultTypes: ['violations']})", within)
    return [_told(one) for one in found["violations"] if one["impact"] in _SERIOUS]


@lru_cache
def script() -> str:
    """axe-core itself; kept in `.venv` once it was fetched."""
    if not KEPT.exists():
        try:
            body = _fetched(npm_registry())
        except (OSError, ValueError, KeyError) as error:  # of urllib, tarfile and json
            unavailable(f"{NAME} cannot be had: {error}")
        with tempfile.NamedTemporaryFile(dir=KEPT.parent, delete=False) as aside:
            aside.write(body)
        Path(aside.name).replace(KEPT)
    return KEPT.read_text()


def _fetched(registry: str) -> bytes:
    with package._opened(f"{registry.rstrip('/')}/{quote(NAME)}/{VERSION}") as response:
        told = json.load(response)
    with tempfile.TemporaryFile() as file:
        if package._download(package._tarball(told["dist"]["tarball"], registry), file) != package._sha512(INTEGRITY):
            raise ValueError("it is not what was pinned (SHA-512)")
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            found = archive.extractfile("package/axe.min.js")
            assert found is not None  # it is a file
            return found.read()


def _told(violation: dict[str, Any]) -> str:
    places = "\n    ".join(f"{node['target']} {node['html'][:200]}" for node in violation["nodes"])
    return f"{violation['impact']}: {violation['id']} ({violation['help']})\n    {places}\n"
