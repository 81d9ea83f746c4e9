"""Which site an event belongs to: the one that it names, else the one that its page is on, else the default site."""

from __future__ import annotations

from datetime import datetime, timedelta

from maicivy.core.gate import Draft
from maicivy.core.sites import Site, SiteBook
from maicivy.errors import Refusal


def site_of(book: SiteBook, draft: Draft) -> Site:
    """The site of an event, among those of `book`.

    Raises:
        Refusal: `unknown_site`; `invalid_site`, it names two; `host_not_allowed`, the site has no pages on that host.
    """
    if draft.sites:
        return _named(book, draft)
    page_url, default = draft.page_url, book.default
    if not page_url or page_url[0] == "/":
        return default
    host = host_of(page_url)
    site = book.of_host(host)
    if site is None and (default.domain or default.allowed_hosts):
        raise Refusal("unknown_site", f"no site has pages on {host}", "page_url")
    return site or default


def check_age(site: Site, draft: Draft, now: datetime, default_days: int) -> None:
    """Refuse an event that its site would delete at once; `default_days` are those of a site that does not say.

    Raises:
        Refusal: `timestamp_too_old`.
    """
    if draft.timestamp is None:
        return
    days = site.retention_days or default_days
    if draft.timestamp < now - timedelta(days=days):
        raise Refusal("timestamp_too_old", f"timestamp is older than {days} days", "timestamp")


def host_of(page_url: str) -> str:
    """The host of a stored URL, with its port; `""` of a path."""
    return "" if page_url.startswith("/") else page_url.partition("://")[2].partition("/")[0]


def _named(book: SiteBook, draft: Draft) -> Site:
    found: Site | None = None
    for field, reference in draft.sites:
        site = book.named(reference)
        if site is None:
            raise Refusal("unknown_site", "there is no such site", field)
        if found is not None and site.id != found.id:
            raise Refusal("invalid_site", "the references to a site mean different ones", field)
        found = site
    assert found is not None
    host = host_of(draft.page_url)
    if host and not found.allows(host):
        raise Refusal("host_not_allowed", f"the site has no pages on {host}", "page_url")
    return found
