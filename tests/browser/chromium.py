"""A real Chromium, of which nothing gets out of this machine, and that says when anything went wrong in a page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Playwright, Request, WebError

BIN = Path(__file__).parents[2] / "bin"
REQUIRED = "MAICIVY_BROWSER_REQUIRED"
"""Set by `.ci/run`: tests that need what is not there fail, instead of being skipped."""

# What headless Chromium says of itself, but for the word that would make every visit one of a bot.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

# Names under .test are this machine, as localhost and loopback addresses are; there are no others.
_ARGUMENTS = (
    "--no-sandbox",
    f"--user-agent={USER_AGENT}",  # a context's own would not be that of what is sent when a page is left
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_NONE = "there is no Chromium; bin/browser installs one where it can"
_OURS = re.compile(r"127\.0\.0\.1|localhost|[a-z0-9.-]+\.test")
_WITHIN_THE_BROWSER = frozenset({"about", "blob", "chrome", "chrome-error", "chrome-extension", "data"})


def unavailable(reason: str) -> None:
    """Skip the test, or fail it where that is not allowed."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@lru_cache
def chromium() -> str:
    """The path of one, or nothing."""
    found = subprocess.run([BIN / "browser", "--installed"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


@contextmanager
def launched(playwright: Playwright, *arguments: str, without: tuple[str, ...] = ()) -> Iterator[Browser]:
    """A browser with more `arguments`, and `without` some of those that Playwright gives it."""
    path = chromium()
    if not path:
        unavailable(_NONE)
    browser = playwright.chromium.launch(
        executable_path=path, args=[*_ARGUMENTS, *arguments], ignore_default_args=list(without)
    )
    yield browser
    browser.close()


@contextmanager
def alone(url: str, directory: Path) -> Iterator[None]:
    """A browser at `url` that nobody drives: prerendering, for one, is off where somebody does."""
    path = chromium()
    if not path:
        unavailable(_NONE)
    options = ("--headless=new", f"--user-data-dir={directory}", "--no-first-run", "--disable-background-networking")
    process = subprocess.Popen(
        [path, *_ARGUMENTS, *options, url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Complaints:
    """What must not happen in a context: console errors (violations of a policy are such), exceptions that nobody
    caught, requests to hosts that are not this machine."""

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        self.requests: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)

    def expect(self, pattern: str) -> None:
        """Let what the pattern is found in happen."""
        self._expected.append(re.compile(pattern))

    def check(self) -> None:
        """Fail for what was not expected."""
        left = [one for one in self.found if not any(pattern.search(one) for pattern in self._expected)]
        assert not left, "in the page:\n" + "\n".join(left)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self.found.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self.found.append(f"exception: {error.error.message}\n{error.error.stack or ''}")

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        url = urlsplit(request.url)
        if url.scheme not in _WITHIN_THE_BROWSER and not _OURS.fullmatch(url.hostname or ""):
            self.found.append(f"request to another host: {request.url}")


@contextmanager
def watched(browser: Browser, **options: object) -> Iterator[tuple[BrowserContext, Complaints]]:
    """A context of its own, whose complaints fail the test in the end."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    complaints = Complaints(context)
    try:
        yield context, complaints
        for page in context.pages:
            try:
                page.evaluate("0")  # what was said before has come by then
            except Error:  # it is being closed
                continue
    finally:
        context.close()
    complaints.check()
