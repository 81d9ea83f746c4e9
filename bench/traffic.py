"""Millions of events of 90 days, copied into an installation as if they had been collected and stored one by one.

    python -m bench.traffic --events 10000000 --keep DIR     # makes them; DIR holds Postgres's data afterwards
    python -m bench.traffic --open DIR                       # starts its servers, says where they are, until Ctrl-C
    python -m bench.traffic --check [--events 5000]          # the same through the real store: are visits the same?

One site has nine tenths of the events, nine small ones the rest. Rows are made by two processes and copied in
Postgres's binary format; 10,000,000 take some minutes on two cores. The tables are those that the store fills:
events, visitors, visits, crossings, dictionaries, hours to be rolled up. Ids of events (`event_ids`) are left out: they
are for telling repeats, and no question reads them. A repeat with the same seed and the same end makes the same rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from bench.days import Span, stays
from bench.packing import CROSSINGS, EVENTS, VISITORS, VISITS, Rows
from bench.population import Population, population
from bench.store import Installation, installation
from bench.vocabulary import CUSTOM
from maicivy.core.events import ENGAGEMENT, PAGE_VIEW
from maicivy.storage.schema import metadata

IN_HASTE: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "4GB", "maintenance_work_mem": "512MB"}
"""Of Postgres while it is being filled: after a crash one would begin anew."""

DICTIONARIES: Final = ("clients", "places", "origins", "actions")
FILLED: Final = ("analytics_events", "visitors", "visits", "crossings", "dirty_hours", *DICTIONARIES)
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"


def fill(installed: Installation, span: Span, population: Population, processes: int = 2) -> int:
    """Make the events of `span`; returns how many. The tables have to be empty."""
    visits = span.visits(population)
    days = span.days()
    installed.parts.store.partitions.ensure([*days, span.last + timedelta(days=1)], days)
    url = installed.settings.database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        _sites(connection, population)
        _dictionaries(connection, population)
    # The longest days first, so that no process is left with one at the end.
    order = sorted(days, key=lambda day: -sum(visits[day]))
    if processes == 1:
        made = sum(_copy_day(url, population, span, day, visits[day]) for day in order)
    else:
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, _start, (url, span)) as pool:
            made = sum(pool.imap_unordered(_one_day, [(day, visits[day]) for day in order]))
    with psycopg.connect(url, autocommit=True) as connection:
        _finish(connection, population, days, made)
    return made


_given: list[tuple[str, Population, Span]] = []  # to a process of the pool: where to, what of, which days


def _start(url: str, span: Span) -> None:
    _given.append((url, population(span.seed), span))


def _one_day(work: tuple[date, list[int]]) -> int:
    url, population, span = _given[0]
    return _copy_day(url, population, span, *work)


def _copy_day(url: str, population: Population, span: Span, day: date, visits: list[int]) -> int:
    rows = Rows(population)
    for stay in stays(population, span, day, visits):
        rows.add(stay)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        _copy(cursor, "visitors", VISITORS, sorted(rows.visitors.values()))
        _copy(cursor, "analytics_events", EVENTS, rows.events)
        _copy(cursor, "visits", VISITS, rows.visits)
        _copy(cursor, "crossings", CROSSINGS, rows.crossings)
    return len(rows.events)


def _copy(cursor: psycopg.Cursor[Any], table: str, columns: str, rows: Iterable[tuple[int, bytes]]) -> None:
    """COPY rows in the order of what stands before them."""
    with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        data = [_HEADER]
        for _, row in sorted(rows):
            data.append(row)
            if len(data) == 2000:
                copy.write(b"".join(data))
                data.clear()
        data.append(_TRAILER)
        copy.write(b"".join(data))


def _sites(connection: psycopg.Connection[Any], population: Population) -> None:
    connection.execute("UPDATE sites SET domain = %s WHERE id = 1", (population.sites[0].domain,))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO sites (id, domain, measurement_id) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s)",
            [(site.id, site.domain, f"MC-BENCHSIT{site.id:02}") for site in population.sites[1:]],
        )
    connection.execute("SELECT setval(pg_get_serial_sequence('sites', 'id'), (SELECT max(id) FROM sites))")


def _dictionaries(connection: psycopg.Connection[Any], population: Population) -> None:
    values: dict[str, Sequence[Any]] = {
        "clients": population.clients,
        "places": population.places,
        "origins": population.origins,
        "actions": population.actions,
    }
    ids = {
        "clients": population.client_ids,
        "places": population.place_ids,
        "origins": population.origin_ids,
        "actions": population.action_ids,
    }
    with connection.cursor() as cursor:
        for table in DICTIONARIES:
            fields = values[table][0].__struct_fields__
            with cursor.copy(f"COPY {table} (id, digest, {', '.join(fields)}) FROM STDIN") as copy:
                for number, (value, id_) in enumerate(zip(values[table], ids[table], strict=True), 1):
                    if number == id_:
                        copy.write_row((number, value.digest, *(getattr(value, field) for field in fields)))
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


def _finish(connection: psycopg.Connection[Any], population: Population, days: list[date], made: int) -> None:
    """What is counted under its own name, the ledger, the hours to roll up; then what autovacuum would do in time."""
    names = [(1, "event", name) for name in (PAGE_VIEW, ENGAGEMENT, *CUSTOM)]
    names += [(site.id, "path", path) for site in population.sites for path in site.paths[:100]]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO labels VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", names)
    connection.execute("UPDATE ledger SET stored = stored + %s, seq = greatest(seq, 1)", (made,))
    connection.execute(
        "INSERT INTO dirty_hours (site_id, hour, seq) SELECT s.id, h, (SELECT seq FROM ledger) FROM sites s,"
        " generate_series(%s::timestamptz, least(date_trunc('hour', now()), %s::timestamptz), '1 hour') AS h",
        (f"{days[0]} 00:00+00", f"{days[-1] + timedelta(days=1)} 00:00+00"),
    )
    connection.execute(f"VACUUM ANALYZE {', '.join(table for table in FILLED if table in metadata.tables)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--open", type=Path, metavar="DIR")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.open is not None:
        with installation(arguments.open) as installed:
            print(
                f"DATABASE_URL={installed.settings.database_url}\nREDIS_URL={installed.settings.redis_url}", flush=True
            )
            over = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: over.set())
            over.wait()
        return 0
    if arguments.check:
        from bench.traffic_check import differences

        found = differences(arguments.events or 5_000, arguments.seed)
        print("\n".join(found[:20]) or "the same")
        return 1 if found else 0
    began = time.perf_counter()
    with installation(arguments.keep, IN_HASTE) as installed:
        span = Span.until(installed.parts.now(), arguments.events or 10_000_000, arguments.seed)
        made = fill(installed, span, population(arguments.seed), arguments.processes)
        print(f"{made:,} events, {time.perf_counter() - began:.0f} s")
        with installed.parts.engine.connect() as connection:
            for table in FILLED:
                print(f"{table:<20}{_size(connection, table) / made:8.1f} bytes per event")
    return 0


def _size(connection: sa.Connection, table: str) -> int:
    return int(
        connection.execute(
            sa.text(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace AND relname ~ ('^' || :table || '(_[0-9]+)?$')"
            ),
            {"table": table},
        ).scalar_one()
    )


if __name__ == "__main__":
    sys.exit(main())
