"""`maicivy site`: the sites that are measured; add one, look at them, change or remove one. Speaks to Postgres."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from maicivy.errors import Refusal

if TYPE_CHECKING:
    from maicivy.bootstrap import Maicivy
    from maicivy.core.sites import Site

_DEFAULT: Final = "default"
_HEAD: Final = ("id", "domain", "measurement id", "time zone", "days kept", "read by", "allowed hosts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands; without one, the sites are listed."""
    parser.set_defaults(action="list", as_json=False)
    parser.epilog = "SITE is a number, a measurement id or a domain. docs/sites.md tells more."
    actions = parser.add_subparsers(metavar="ACTION")
    add = _action(actions, "add", "measure one more site")
    add.add_argument("domain", help="host name of its pages, such as example.org")
    _members(add)
    _action(actions, "list", "print all sites")
    change = _action(actions, "set", "change a site; what is not named stays as it is")
    change.add_argument("site", metavar="SITE")
    change.add_argument("--domain", help="another host name")
    _members(change)
    remove = _action(actions, "remove", "take no more events of a site, and delete what it had")
    remove.add_argument("site", metavar="SITE")


def run(arguments: argparse.Namespace) -> int:
    """Do it, and print the sites that it was about.

    Raises:
        Refusal: there is no such site, or it cannot be like that.
    """
    from maicivy.bootstrap import build  # drivers take a third of a second to import
    from maicivy.config import Settings

    parts = build(Settings.from_env())
    try:
        print(_done(parts, arguments))
    finally:
        parts.close()
    return 0


def _done(parts: Maicivy, given: argparse.Namespace) -> str:
    if given.action == "list":
        sites = parts.sites.all()
        return _json(sites) if given.as_json else _table(sites, parts)
    if given.action == "add":
        site = parts.sites.add(_said(given))
        heading = f"site {site.id} is measured from now on; its pages say {site.measurement_id}"
    else:
        site = _named(parts, given.site)
        if given.action == "set":
            site = parts.sites.set(site.id, _said(given))
            heading = f"site {site.id} is now"
        else:
            parts.sites.remove(site.id)
            heading = f"site {site.id} takes no more events; what it had will be deleted by the hourly upkeep"
    return _json(site) if given.as_json else f"{heading}\n{_table([site], parts)}"


def _named(parts: Maicivy, reference: str) -> Site:
    from maicivy.core.sites import SiteBook

    site = SiteBook(parts.sites.all()).named(reference)
    if site is None:
        raise Refusal("unknown_site", f"there is no site {reference[:100]!r}")
    return site


def _action(actions: Any, name: str, purpose: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=purpose, description=purpose)
    parser.set_defaults(action=name)
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    return parser


def _members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timezone", help="whose days are counted, such as Europe/Paris; default: the installation's")
    parser.add_argument("--retention-days", help="how long raw events are kept; default: as long as the installation")
    reading = parser.add_mutually_exclusive_group()
    reading.add_argument("--public", action="store_true", default=None, help="anybody may read it")
    reading.add_argument("--private", action="store_false", dest="public", help="reading takes MAICIVY_ADMIN_TOKEN")
    hosts = parser.add_mutually_exclusive_group()
    hosts.add_argument("--allow", action="append", metavar="HOST", help="its pages may be on HOST; may be repeated")
    hosts.add_argument("--allow-any", action="store_const", const=[], dest="allow", help="its pages may be anywhere")


def _said(given: argparse.Namespace) -> dict[str, Any]:
    """What the options say of a site, as `core.sites.checked` wants it."""
    said = {
        "domain": given.domain,
        "timezone": given.timezone,
        "retention_days": _number(given.retention_days),
        "is_public": given.public,
        "allowed_hosts": given.allow,
    }
    return {name: None if value == _DEFAULT else value for name, value in said.items() if value is not None}


def _number(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else text


def _json(value: Site | list[Site]) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _table(sites: list[Site], parts: Maicivy) -> str:
    rows = [_HEAD, *(_row(site, parts) for site in sites)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(site: Site, parts: Maicivy) -> tuple[str, ...]:
    return (
        str(site.id),
        site.domain or "-",
        site.measurement_id,
        site.timezone or f"{parts.settings.timezone} (default)",
        str(site.retention_days or f"{parts.settings.retention_days} (default)"),
        "anybody" if site.is_public else "admin",
        ", ".join(site.allowed_hosts) or "any",
    )
