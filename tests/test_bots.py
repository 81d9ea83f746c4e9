"""Judging anew: dictionary, visits, marked hours and numbers of the ledger after the lists have changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from maicivy import bots, cli
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.core.visits import BOTS
from maicivy.enrichment import lists
from maicivy.storage.bucket_zones import forget
from maicivy.storage.judgements import Judgements
from tests.events import NOON, event, visitor_id

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
NEW = f"{BROWSER} Newcomer/1.0"
LATE = datetime(2025, 12, 8, 23, 50, tzinfo=UTC)
_receipts = count(1)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    lists.adopt(settings.data_dir)
    yield parts
    parts.close()
    lists.adopt(Path("/nonexistent"))


@pytest.fixture
def judgements(parts: Maicivy) -> Judgements:
    return Judgements(parts.engine, parts.store.partitions)


def save(parts: Maicivy, *events: Event) -> None:
    parts.store.store([Parcel(f"{next(_receipts)}-0", len(events), list(events), [])])


def seen(
    visitor: int, user_agent: str = BROWSER, referrer: str = "", *, at: datetime = NOON, bot: bool = False
) -> Event:
    one = event(at=at, page_url="https://example.org/")
    traits = Traits(user_agent, bot=bot)
    return msgspec.structs.replace(one, visitor_id=visitor_id(visitor), referrer=referrer, traits=traits)


def list_them(settings: Settings, **entries: str) -> None:
    """Have the operator's lists say this, as they do for a process that starts now."""
    directory = settings.data_dir / "lists"
    directory.mkdir(exist_ok=True)
    for name, text in entries.items():
        (directory / f"{name}.txt").write_text(text)
    lists.adopt(settings.data_dir)


def all_of(parts: Maicivy, query: str) -> list[Any]:
    with parts.engine.connect() as connection:
        return list(connection.execute(sa.text(query)))


def fill(parts: Maicivy) -> None:
    save(
        parts,
        seen(1),
        seen(2, NEW),
        seen(3, NEW, at=LATE),
        seen(3, NEW, at=LATE + timedelta(minutes=20)),
        seen(4, "curl/8.5.0"),
        seen(5, referrer="https://www.newspam.example/"),
        seen(6, NEW, bot=True),
    )


def reasons(parts: Maicivy) -> list[str]:
    return [BOTS[row.bot] for row in all_of(parts, "SELECT bot FROM visits ORDER BY visitor_id")]


def test_visits_follow_what_the_lists_say_now(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    fill(parts)
    assert reasons(parts) == ["", "", "", "user_agent", "", "declared"]
    list_them(settings, bots="newcomer/\n-curl/", referrer_spam="newspam.example")
    report = bots.reclassify(judgements)
    assert reasons(parts) == ["", "user_agent", "user_agent", "", "referrer_spam", "declared"]
    assert (report.clients, report.origins, report.visits) == (2, 1, 4)
    counted = {"": (4, 5), "declared": (1, 1), "headless": (0, 0), "user_agent": (1, 1), "referrer_spam": (0, 0)}
    assert report.before == counted
    assert (report.after[""], report.after["user_agent"], report.after["referrer_spam"]) == ((2, 2), (2, 3), (1, 1))


def test_new_events_are_judged_as_the_dictionary_says_from_then_on(
    parts: Maicivy, judgements: Judgements, settings: Settings
) -> None:
    fill(parts)
    save(parts, seen(7, NEW))  # the store remembers the client by now
    list_them(settings, bots="newcomer/")
    bots.reclassify(judgements)
    save(parts, seen(8, NEW))
    assert reasons(parts)[-1] == "user_agent"


def test_the_hours_of_all_visits_that_changed_are_marked_with_a_number_of_their_own(
    parts: Maicivy, judgements: Judgements, settings: Settings
) -> None:
    fill(parts)
    before = all_of(parts, "SELECT seq, token, stored FROM ledger")[0]
    with parts.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE dirty_hours"))
    list_them(settings, bots="newcomer/")
    bots.reclassify(judgements)
    hours = all_of(parts, "SELECT hour, seq FROM dirty_hours ORDER BY hour")
    assert [row.hour.astimezone(UTC) for row in hours] == [NOON, NOON.replace(hour=23), NOON + timedelta(hours=12)]
    after = all_of(parts, "SELECT seq, token, stored FROM ledger")[0]
    assert all(before.seq < row.seq <= after.seq for row in hours)
    assert after.stored == before.stored
    chain = parts.store.outbox_after(0, 100)
    assert [row.previous for row in chain] == ["origin", *(row.token for row in chain[:-1])]
    assert (chain[-1].seq, chain[-1].token) == (after.seq, after.token)
    assert chain[-1].tally.sites[1].changed_days == ["2025-12-08", "2025-12-09"]


def test_rollups_follow(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    def rolled_up() -> list[Any]:
        while parts.buckets.refresh(NOON + timedelta(days=3)):
            pass
        return all_of(parts, 'SELECT grain, dimension, start, bot, "values", visits FROM buckets ORDER BY 1, 2, 3, 4')

    fill(parts)
    before = rolled_up()
    list_them(settings, bots="newcomer/", referrer_spam="newspam.example")
    bots.reclassify(judgements)
    after = rolled_up()
    assert after != before
    with parts.engine.begin() as connection:
        forget(connection, 1)
    assert rolled_up() == after


def test_counters_stay_as_they_are(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    fill(parts)
    parts.aggregation.catch_up()
    before = all_of(parts, "SELECT stored, duplicate, quarantined FROM ledger")
    list_them(settings, bots="newcomer/")
    bots.reclassify(judgements)
    parts.aggregation.catch_up()
    assert all_of(parts, "SELECT stored, duplicate, quarantined FROM ledger") == before


def test_a_repeat_changes_nothing(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    fill(parts)
    list_them(settings, bots="newcomer/")
    first = bots.reclassify(judgements)
    ledger = all_of(parts, "SELECT seq, dictionary_version FROM ledger")
    again = bots.reclassify(judgements)
    assert (again.clients, again.origins, again.visits) == (0, 0, 0)
    assert again.before == again.after == first.after
    assert all_of(parts, "SELECT seq, dictionary_version FROM ledger") == ledger


def test_a_dry_run_foresees_and_changes_nothing(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    fill(parts)
    list_them(settings, bots="newcomer/\n-curl/", referrer_spam="newspam.example")
    everything = "SELECT (SELECT array_agg(v) FROM visits v)::text, (SELECT l FROM ledger l)::text"
    before = all_of(parts, everything)
    foreseen = bots.reclassify(judgements, dry_run=True)
    assert all_of(parts, everything) == before
    done = bots.reclassify(judgements)
    assert (foreseen.before, foreseen.after) == (done.before, done.after)
    assert (foreseen.clients, foreseen.origins, foreseen.visits) == (done.clients, done.origins, 0)


def test_what_was_interrupted_is_finished_by_a_repeat(
    parts: Maicivy, judgements: Judgements, settings: Settings
) -> None:
    fill(parts)
    list_them(settings, bots="newcomer/")
    clients = bots._revisions(judgements, "clients")
    judgements.revise(clients, {})
    assert reasons(parts)[1] == ""
    report = bots.reclassify(judgements)
    assert (report.clients, report.visits) == (0, 2)
    assert reasons(parts)[1] == "user_agent"


def test_whatever_else_follows_is_worked_out_too(parts: Maicivy, judgements: Judgements) -> None:
    fill(parts)
    with parts.engine.begin() as connection:
        connection.execute(sa.text("UPDATE clients SET browser = 'Mosaic', device = ''"))
        connection.execute(sa.text("UPDATE origins SET source = '', channel = 'Affiliates'"))
        connection.execute(sa.text("TRUNCATE dirty_hours"))
    report = bots.reclassify(judgements)
    assert report.visits == 0
    assert all_of(parts, "SELECT count(*) FROM clients WHERE browser = 'Mosaic' OR device = ''")[0][0] == 0
    assert {row.channel for row in all_of(parts, "SELECT channel FROM origins")} == {"Direct", "Referral"}
    assert len(all_of(parts, "SELECT hour FROM dirty_hours")) == 3


def test_storing_goes_on_beside_it(parts: Maicivy, judgements: Judgements, settings: Settings) -> None:
    fill(parts)
    list_them(settings, bots="newcomer/")

    def flood() -> None:
        for n in range(30):
            save(parts, *(seen(100 + n, NEW, at=NOON + timedelta(hours=hour)) for hour in (0, 20)))

    writer = threading.Thread(target=flood)
    writer.start()
    for _ in range(5):
        bots.reclassify(judgements)
    writer.join()
    bots.reclassify(judgements)
    assert set(reasons(parts)[6:]) == {"user_agent"}


def test_a_day_that_retention_dropped_meanwhile_is_passed_over(judgements: Judgements) -> None:
    assert judgements.rejudge(datetime(2001, 1, 1, tzinfo=UTC).date()) == 0


def test_rows_are_read_page_by_page(
    parts: Maicivy, judgements: Judgements, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maicivy.storage.judgements.PAGE", 2)
    save(parts, *(seen(n, f"{NEW} {n}") for n in range(1, 6)))
    list_them(settings, bots="newcomer/")
    assert bots.reclassify(judgements, dry_run=True).clients == 5


def test_the_command_lists_reclassifies_and_foresees(
    parts: Maicivy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "from_env", lambda: settings)
    fill(parts)
    list_them(settings, bots="newcomer/")
    assert cli.main(["bots", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "people                    4 visits            5 events",
        "declared                  1 visits            1 events",
    ]
    assert cli.main(["bots", "reclassify", "--dry-run"]) == 0
    assert "would change 1 clients, 0 origins in" in capsys.readouterr().out
    assert cli.main(["bots", "reclassify"]) == 0
    said = capsys.readouterr().out
    assert "changed 1 clients, 0 origins and 2 visits in" in said
    assert "people                    2 visits            2 events (before: 4 and 5)" in said


@pytest.mark.parametrize("arguments", [["bots"], ["bots", "dance"], ["bots", "list", "--dry-run"]])
def test_what_the_command_does_not_understand_it_refuses(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: maicivy bots" in capsys.readouterr().err
