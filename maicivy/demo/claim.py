"""Whose installation it is: simulated people never mix with the visitors of somebody's real site.

An installation that nothing has ever come to may be claimed for the demo, before it takes its first event. A file in
its data directory says so from then on. To any other, the demo sends nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import DEFAULT_SITE
from maicivy.core.gate import Gate
from maicivy.demo import history, places

FILE: Final = "demo"
PLACES: Final = "maicivy-demo.mmdb"
DOMAIN: Final = "maia-civy.example"
OWN_HOSTS: Final = ("localhost", "127.0.0.1")
"""Links from these are no sources: the demo and the dashboard link to each other."""

_FRESH: Final = "visitors of this installation are made up; their history is still to be written\n"
_TOLD: Final = "visitors of this installation are made up\n"


def claim(settings: Settings) -> None:
    """Claim the installation if it is empty; done when it is claimed. It gets a database of places, if it has none.

    Raises:
        Unavailable: a server is away.
    """
    file = settings.data_dir / FILE
    if file.exists():
        return
    maicivy = build(settings)
    try:
        if _is_empty(maicivy):
            maicivy.sites.set(DEFAULT_SITE, {"domain": DOMAIN, "allowed_hosts": list(OWN_HOSTS)})
            if settings.geo_db == settings.data_dir / "geo" and not any(settings.geo_db.glob("*.mmdb")):
                places.write(settings.geo_db / PLACES)
            _write(file, _FRESH)
    finally:
        maicivy.close()


def is_claimed(data_dir: Path) -> bool:
    """Whether the visitors of this installation are made up."""
    return (data_dir / FILE).exists()


def tell_history(settings: Settings, dice: random.Random, origin: str, ended: Callable[[], bool]) -> int:
    """Write the history of a claimed installation, unless that was begun before; the number of its events.

    `origin` is the demo's own, `ended` is asked now and then whether to stop.

    Raises:
        InboxFull: and `Unavailable`; what is missing then stays missing.
    """
    file = settings.data_dir / FILE
    if file.read_text() != _FRESH:
        return 0
    _write(file, _TOLD)
    maicivy = build(settings)
    try:
        now = maicivy.now()
        gate = Gate(now, timedelta(days=settings.retention_days), settings.query_params)
        days = min(history.DAYS, settings.retention_days)
        events = history.events(dice, now, days, origin, gate, maicivy.salts.current(now))
        return history.hand_in(events, maicivy.inbox.append, maicivy.doorbell.ring, ended)
    finally:
        maicivy.close()


def _is_empty(maicivy: Maicivy) -> bool:
    sites = maicivy.sites.all()
    return (
        [site.id for site in sites] == [DEFAULT_SITE]
        and not sites[0].domain
        and not sites[0].allowed_hosts
        and not maicivy.inbox.status().events
        and not maicivy.reports.timeline(DEFAULT_SITE, 1, 0, None, maicivy.now()).data
    )


def _write(file: Path, text: str) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.replace(file)
