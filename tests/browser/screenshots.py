"""Takes the pictures that README shows, of a demo that is started for it and gone afterwards. `bin/screenshots --help`.

The same Chromium as in the tests, with motion reduced; whatever a page complains of ends it, as in a test.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from playwright.sync_api import Browser, sync_playwright

from maicivy.demo.history import DAYS
from tests.browser.chromium import launched, watched
from tests.e2e.running import free_port
from tests.standalone.processes import wait_until

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "docs" / "images"
MAX_BYTES: Final = 300_000
"""Of a picture: whoever clones the repository gets every version of each."""

SETTLED_S: Final = 2
READY_S: Final = 120
TOLD_S: Final = 90


class Picture(NamedTuple):
    """What to take: a path in a window of a size, or an `element` of it, as soon as `awaits` is there."""

    name: str
    path: str
    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    element: str = ""
    scale: float = 1
    awaits: str = ""


PICTURES: Final = (
    Picture("dashboard", "/dashboard/1", 1440, 1418),
    Picture("dashboard-dark", "/dashboard/1", 1440, 1418, "dark"),
    Picture("phone", "/dashboard/1", 390, 844, scale=2),
    Picture("live", "/live/1", 1600, 900, "dark", awaits="[data-ticker] > li:nth-child(6)"),
    Picture("heatmap", "/dashboard/1", 1440, 1000, element="#heatmap"),
)


def main(arguments: list[str] | None = None) -> int:
    """Take them all, or those that are named; the exit code."""
    parser = argparse.ArgumentParser(prog="bin/screenshots", description="Take the pictures that README shows.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(each.name for each in PICTURES)}")
    parser.add_argument("--into", type=Path, default=IMAGES, metavar="DIRECTORY", help="default: docs/images")
    parser.add_argument("--url", help="of a demo that runs already; it is left running")
    given = parser.parse_args(arguments)
    unknown = set(given.names) - {each.name for each in PICTURES}
    if unknown:
        parser.error(f"there is no picture {min(unknown)}")
    wanted = [each for each in PICTURES if not given.names or each.name in given.names]
    given.into.mkdir(parents=True, exist_ok=True)
    if given.url:
        return _take(given.url.rstrip("/"), wanted, given.into)
    with demo() as url:
        return _take(url, wanted, given.into)


@contextmanager
def demo() -> Iterator[str]:
    """A demo at a free port, in a directory that is gone afterwards, with all of its past told."""
    home = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))  # its sockets want a short path
    port = free_port()
    log = home / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "maicivy", "up", "--demo"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "MAICIVY_DATA_DIR": str(home / "data"), "PORT": str(port)},
            stdout=out,
            stderr=out,
        )
    try:
        wait_until(lambda: b"maicivy is ready" in log.read_bytes() or process.poll() is not None, READY_S, "the demo")
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        wait_until(Settled(port), TOLD_S, "the past of the demo")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


class Settled:
    """Whether a demo has all of its past, whose first days are told last: each day of it, and for two seconds no more
    of the first one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._before: list[int] = []
        self._since = 0.0

    def __call__(self) -> bool:
        visitors = self._visitors()
        if len(visitors) < DAYS or visitors[0] != (self._before or [0])[0]:
            self._since = time.monotonic()
        self._before = visitors
        return time.monotonic() - self._since > SETTLED_S

    def _visitors(self) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        question: dict[str, Any] = {
            "site_id": 1,
            "metrics": ["visitors"],
            "date_range": f"{DAYS}d",
            "dimensions": ["time:day"],
        }
        connection.request("POST", "/api/v2/query", json.dumps(question))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return [result["metrics"][0] for result in answer["results"]]


def _take(url: str, pictures: list[Picture], into: Path) -> int:
    too_large = 0
    with sync_playwright() as playwright, launched(playwright) as browser:
        for picture in pictures:
            file = into / f"{picture.name}.png"
            _photograph(browser, url, picture, file)
            size = file.stat().st_size
            print(f"{file}: {size / 1000:.0f} kB{'' if size <= MAX_BYTES else ', which is too much'}")
            too_large += size > MAX_BYTES
    return 1 if too_large else 0


def _photograph(browser: Browser, url: str, picture: Picture, file: Path) -> None:
    options: dict[str, Any] = {
        "viewport": {"width": picture.width, "height": picture.height},
        "color_scheme": picture.scheme,
        "device_scale_factor": picture.scale,
        "reduced_motion": "reduce",
        "locale": "en-GB",
        "timezone_id": "UTC",
    }
    with watched(browser, **options) as (context, _):
        page = context.new_page()
        page.goto(url + picture.path)
        # Live: the state is told, and so are those who came since the page was drawn.
        page.wait_for_selector('[data-live-state="on"]', state="attached")
        if picture.awaits:
            page.wait_for_selector(picture.awaits, timeout=60_000)
        if picture.element:
            page.locator(picture.element).screenshot(path=file)
        else:
            page.screenshot(path=file)


if __name__ == "__main__":
    sys.exit(main())
