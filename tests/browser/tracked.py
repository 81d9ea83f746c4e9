"""A site with the tracker on its pages, and what maicivy knows of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from maicivy.core.sites import Site
from tests.browser.serving import Pages, Row, Service
from tests.standalone.processes import wait_until

HOST = "shop.test"
ICON = "<link rel=icon href=data:,>"
FILLER = "<div style='height:3000px'></div>"


class Tracked:
    """Pages at http://shop.test that are measured as `site`, from another origin than theirs."""

    def __init__(self, server: Service, pages: Pages) -> None:
        self.server = server
        self.pages = pages
        self.site: Site = server.site()
        self.page: Page | None = None
        """One whose requests a test answers itself, which it does only while it asks the page something."""

    def script(self, **attributes: str) -> str:
        """The element that people paste; `consent="required"` is an attribute more, `_404=""` is `data-404`."""
        said = {"site": self.site.measurement_id} | {name.strip("_"): value for name, value in attributes.items()}
        told = " ".join(f'data-{name.replace("_", "-")}="{value}"' for name, value in said.items())
        return f'<script defer src="{self.server.url}/js/maicivy.js" {told}></script>'

    def put(self, path: str, html: str = "", **attributes: str) -> str:
        """Make a page with the tracker; its URL."""
        self.pages[path] = f"<!doctype html><title>{path}</title>{ICON}<body>{self.script(**attributes)}{html}"
        return self.url(path)

    def url(self, path: str) -> str:
        return self.pages.url(path, HOST)

    def events(self, number: int, *kinds: str) -> list[Row]:
        """The events of the site, of the given types, in their order, once there are so many of them; never more."""

        def found() -> list[Row]:
            if self.page is not None:
                self.page.evaluate("0")
            return [row for row in self.server.events(self.site) if not kinds or row.event_type in kinds]

        wait_until(lambda: len(found()) >= number, 20, f"{number} events {kinds}")
        rows = sorted(found(), key=lambda row: (row.created_at, row.id.int % 2**63))  # as visits order them
        assert len(rows) == number, [(row.event_type, row.page_url, row.event_data) for row in rows]
        return rows

    def paths(self, number: int) -> list[str]:
        """The pages that were viewed."""
        return [self.path(row.page_url) for row in self.events(number, "page_view")]

    def path(self, url: str) -> str:
        return url.removeprefix(self.url(""))

    def figures(self, *metrics: str, **members: Any) -> list[Any]:
        """Of all visits today."""
        (row,) = self.server.ask(self.site, list(metrics), **members)
        values: list[Any] = row["metrics"]
        return values
