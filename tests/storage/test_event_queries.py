"""Reads of stored events, over rows in real partitions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from maicivy.core.events import Event
from maicivy.core.ports import EventQueries
from maicivy.errors import Unavailable
from maicivy.storage import connections
from maicivy.storage.event_queries import _COLUMNS, _KEYS, MAX_POSITION, PostgresEventQueries, _heatmap, _timeline
from maicivy.storage.schema import day_partition
from tests.events import NOON, event, event_id

TODAY = NOON.date()
UTC_ZONE = ZoneInfo("UTC")
CLICK = "button_click"


@pytest.fixture
def queries(engine: sa.Engine) -> EventQueries:
    with engine.begin() as connection:
        for back in range(12):
            day = TODAY - timedelta(days=back)
            connection.execute(
                sa.text(
                    f"CREATE TABLE {day_partition('analytics_events', day)} PARTITION OF analytics_events"
                    f" FOR VALUES FROM ('{day}T00:00Z') TO ('{day + timedelta(days=1)}T00:00Z')"
                )
            )
    return PostgresEventQueries(engine)


def insert(engine: sa.Engine, *events: Event) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO analytics_events (id, visitor_id, created_at, site_id, session_duration, event_type,"
                " page_url, referrer, event_data) VALUES (:id, :visitor_id, :created_at, :site_id, :session_duration,"
                " :event_type, :page_url, :referrer, CAST(:event_data AS jsonb))"
            ),
            [
                {
                    name: json.dumps(event.event_data) if name == "event_data" else getattr(event, name)
                    for name in Event.__struct_fields__
                }
                for event in events
            ],
        )


def click(x: object, y: object, *, ago: timedelta = timedelta(minutes=1), page_url: str = "/cv") -> Event:
    return event(CLICK, {"x": x, "y": y}, at=NOON - ago, page_url=page_url)


def spots(queries: EventQueries, page: str | None = None, hours: int = 24, limit: int = 1000) -> list[tuple[int, ...]]:
    return list(queries.heatmap(1, page, NOON - timedelta(hours=hours), NOON, limit))


def test_an_empty_store_has_no_timeline_no_clicks_and_no_themes(queries: EventQueries) -> None:
    assert queries.timeline(1, 50, 0, None, NOON) == []
    assert spots(queries) == []
    assert queries.themes(1, TODAY, TODAY + timedelta(days=1), UTC_ZONE, 10) == []


def test_the_timeline_gives_every_field_as_stored(queries: EventQueries, engine: sa.Engine) -> None:
    stored = Event(
        event_id(),
        1,
        event().visitor_id,
        None,
        CLICK,
        {"x": 1, "é": [None, "ü"]},
        "/cv?theme=a",
        "https://a.b/",
        31,
        NOON,
    )
    insert(engine, stored)

    (row,) = queries.timeline(1, 50, 0, None, NOON)

    assert json.loads(row.event_data) == stored.event_data
    for name in ("id", "visitor_id", "event_type", "page_url", "referrer", "session_duration", "created_at"):
        assert getattr(row, name) == getattr(stored, name)
    assert row.created_at.utcoffset() == timedelta(0)


def test_the_timeline_is_ordered_by_time_and_then_by_id_whatever_the_paging(
    queries: EventQueries, engine: sa.Engine
) -> None:
    events = [event(at=NOON - timedelta(hours=number // 3)) for number in range(40)]  # three share each moment
    insert(engine, *events)
    expected = [e.id for e in sorted(events, key=lambda e: (e.created_at, e.id), reverse=True)]

    by_offset: list[UUID] = []
    for offset in range(0, 40, 7):
        by_offset += [row.id for row in queries.timeline(1, 7, offset, None, NOON)]
    by_key: list[UUID] = []
    before = None
    while page := queries.timeline(1, 7, 0, before, NOON):
        by_key += [row.id for row in page]
        before = (page[-1].created_at, page[-1].id)

    assert by_offset == expected
    assert by_key == expected


def test_an_event_that_arrives_does_not_move_the_next_keyset_page(queries: EventQueries, engine: sa.Engine) -> None:
    insert(engine, *(event(at=NOON - timedelta(minutes=number)) for number in range(1, 6)))
    first = queries.timeline(1, 2, 0, None, NOON)
    before = (first[-1].created_at, first[-1].id)
    expected = queries.timeline(1, 2, 2, None, NOON)

    insert(engine, event(at=NOON))

    assert queries.timeline(1, 2, 0, before, NOON) == expected
    assert queries.timeline(1, 2, 2, None, NOON) != expected


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(hours=30), timedelta(days=11)])
def test_the_timeline_reaches_as_far_back_as_there_are_events(
    queries: EventQueries, engine: sa.Engine, ago: timedelta
) -> None:
    insert(engine, event(at=NOON - ago))
    assert len(queries.timeline(1, 50, 0, None, NOON)) == 1


@pytest.mark.parametrize(
    "moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
)
def test_a_cursor_from_any_century_is_answered(queries: EventQueries, engine: sa.Engine, moment: datetime) -> None:
    insert(engine, event())
    assert len(queries.timeline(1, 5, 0, (moment, UUID(int=0)), NOON)) == (moment > NOON)


def test_sites_do_not_mix(queries: EventQueries, engine: sa.Engine) -> None:
    insert(engine, event(site_id=2), event(CLICK, {"x": 1, "y": 1}, site_id=2), event(data={"theme": "a"}, site_id=2))
    assert queries.timeline(1, 50, 0, None, NOON) == []
    assert spots(queries) == []
    assert queries.themes(1, TODAY, TODAY + timedelta(days=1), UTC_ZONE, 10) == []


def test_a_number_too_big_for_json_libraries_is_handed_on_as_text(queries: EventQueries, engine: sa.Engine) -> None:
    insert(engine, event(CLICK, {"x": 1e300}))
    (row,) = queries.timeline(1, 50, 0, None, NOON)
    assert row.event_data == '{"x": 1' + "0" * 300 + "}"


def test_the_heatmap_adds_up_equal_positions_most_frequent_first(queries: EventQueries, engine: sa.Engine) -> None:
    insert(engine, *(click(450, 200) for _ in range(3)), click(7, 7), *(click(7, 5) for _ in range(2)), click(3, 9))
    assert spots(queries) == [(450, 200, 3), (7, 5, 2), (3, 9, 1), (7, 7, 1)]
    assert spots(queries, limit=2) == [(450, 200, 3), (7, 5, 2)]


def test_positions_are_rounded_to_whole_numbers(queries: EventQueries, engine: sa.Engine) -> None:
    insert(engine, click(450, 200), click(449.5, 200.4), click(450.49, 199.5), click(-0.2, 1e-300), click(-3, 0))
    assert spots(queries) == [(450, 200, 3), (-3, 0, 1), (0, 0, 1)]


@pytest.mark.parametrize(
    "position",
    [
        (1e300, 1),
        (1, -1e300),
        (2**64 - 1, 1),
        (MAX_POSITION + 1, 0),
        ("450", 200),
        (450, None),
        (True, 1),
        ([450], 200),
        ({"x": 1}, 2),
        ("NaN", "Infinity"),
    ],
)
def test_what_is_no_position_is_left_out(
    queries: EventQueries, engine: sa.Engine, position: tuple[object, object]
) -> None:
    insert(engine, click(*position), click(MAX_POSITION, -MAX_POSITION), event(CLICK, {"x": 1}), event())
    assert spots(queries) == [(MAX_POSITION, -MAX_POSITION, 1)]


def test_the_heatmap_looks_at_its_hours_only(queries: EventQueries, engine: sa.Engine) -> None:
    day = timedelta(hours=24)
    insert(engine, click(1, 1, ago=day), click(2, 2, ago=day + timedelta(microseconds=1)), click(3, 3, ago=timedelta()))
    assert spots(queries) == [(1, 1, 1)]
    assert spots(queries, hours=25) == [(1, 1, 1), (2, 2, 1)]


@pytest.mark.parametrize(
    ("page", "count"),
    [
        (None, 6),
        ("/cv", 4),
        ("/cv?theme=a", 2),
        ("/cv?theme=c", 0),
        ("https://example.org/cv", 2),
        ("https://example.org/cv?theme=a", 1),
        ("https://elsewhere.org/cv", 0),
        ("/", 1),
        ("/c", 0),
        ("/cv/", 0),
        ("/c%", 0),
        ("/été", 1),
        ("", 1),
    ],
)
def test_a_page_matches_whatever_host_and_query_it_does_not_name(
    queries: EventQueries, engine: sa.Engine, page: str | None, count: int
) -> None:
    for number, page_url in enumerate(
        (
            "/cv",
            "/cv?theme=a",
            "https://example.org/cv",
            "https://example.org/cv?theme=a",
            "https://example.org",
            "/été?utm_source=x",
        )
    ):
        insert(engine, click(number, 0, page_url=page_url))
    assert len(spots(queries, page)) == count


def test_themes_are_added_up_from_rows_and_from_rollups_of_dropped_rows(
    queries: EventQueries, engine: sa.Engine
) -> None:
    insert(
        engine,
        *(event(data={"theme": "backend"}) for _ in range(2)),
        event(CLICK, {"theme": "devops"}),
        event(data={"theme": "devops"}, at=NOON - timedelta(days=9)),
        event(data={"theme": ""}),
        event(data={"theme": 7}),
    )
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO rollups_daily VALUES (1, :today, 'theme:data', 5), (1, :today, 'path:/cv', 9)"),
            {"today": TODAY},
        )
    tomorrow = TODAY + timedelta(days=1)
    assert queries.themes(1, TODAY, tomorrow, UTC_ZONE, 10) == [("data", 5), ("backend", 2), ("devops", 1)]
    assert queries.themes(1, TODAY - timedelta(days=9), tomorrow, UTC_ZONE, 2) == [("data", 5), ("backend", 2)]


def test_a_day_of_themes_is_one_of_the_zone(queries: EventQueries, engine: sa.Engine) -> None:
    late = datetime(2025, 12, 7, 23, 30, tzinfo=UTC)  # half past midnight of the 8th in Paris
    insert(engine, event(data={"theme": "a"}, at=late))
    for zone, day in (("Europe/Paris", date(2025, 12, 8)), ("UTC", date(2025, 12, 7))):
        assert queries.themes(1, day, day + timedelta(days=1), ZoneInfo(zone), 10) == [("a", 1)]


def _plan(engine: sa.Engine, statement: sa.TextClause, values: dict[str, object]) -> str:
    with engine.connect() as connection:
        return "\n".join(connection.execute(sa.text(f"EXPLAIN {statement.text}"), values).scalars())


@pytest.fixture
def many(queries: EventQueries, engine: sa.Engine) -> EventQueries:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO analytics_events (id, visitor_id, created_at, site_id, event_type, page_url, event_data)"
                " SELECT gen_random_uuid(), gen_random_uuid(), CAST(:noon AS timestamptz) - n * interval '30 seconds',"
                " 1, 'page_view', '/cv', CASE WHEN n % 10 = 0 THEN jsonb_build_object('x', n % 1000, 'y', n % 700)"
                " ELSE '{}' END FROM generate_series(0, 29999) AS n"
            ),
            {"noon": NOON},
        )
        connection.execute(sa.text("ANALYZE analytics_events"))
    return queries


def test_the_heatmap_reads_the_index_of_positions_and_the_days_it_needs(many: EventQueries, engine: sa.Engine) -> None:
    values: dict[str, object] = {
        "site_id": 1,
        "since": NOON - timedelta(hours=6),
        "until": NOON,
        "limit": 1000,
        "path": "/cv",
    }
    for statement in (_heatmap(False, False, False), _heatmap(True, False, False)):
        plan = _plan(engine, statement, values)
        assert f"{day_partition('analytics_events', TODAY)}_site_id_case_idx" in plan
        assert day_partition("analytics_events", TODAY - timedelta(days=1)) not in plan
        assert "Seq Scan" not in plan


def test_a_deep_offset_skips_exactly_what_it_says(many: EventQueries) -> None:
    everything = [row.id for start in range(0, 6000, 500) for row in many.timeline(1, 500, start, None, NOON)]
    assert len(set(everything)) == 6000
    for offset in (999, 1000, 1001, 2881, 5990):
        assert [row.id for row in many.timeline(1, 10, offset, None, NOON)] == everything[offset : offset + 10]
    assert many.timeline(1, 10, 30_000, None, NOON) == []
    assert len(many.timeline(1, 10, 29_995, None, NOON)) == 5


def test_the_timeline_reads_an_index_backwards_in_the_days_it_needs(many: EventQueries, engine: sa.Engine) -> None:
    yesterday = NOON - timedelta(days=1)
    values: dict[str, object] = {
        "site_id": 1,
        "limit": 50,
        "offset": 0,
        "since": yesterday,
        "at": yesterday,
        "id": UUID(int=0),
    }
    latest = _plan(engine, _timeline(_COLUMNS, True, False), values)
    older = _plan(engine, _timeline(_COLUMNS, False, True), values)
    skipping = _plan(engine, _timeline(_KEYS, True, False), values)
    for plan in (latest, older, skipping):
        assert "Index Scan Backward" in plan
        assert "Presorted Key: (date_bin" in plan  # so no more than the events of one second are sorted at a time
        assert "Seq Scan" not in plan
    assert day_partition("analytics_events", TODAY - timedelta(days=2)) not in latest + skipping
    assert day_partition("analytics_events", TODAY) not in older


def test_events_of_one_second_come_by_time_and_then_by_id(queries: EventQueries, engine: sa.Engine) -> None:
    at = NOON - timedelta(minutes=1)
    moments = [at + timedelta(microseconds=micro) for micro in (0, 1, 1, 1, 999_999, 1_000_000)]
    insert(engine, *[event(at=moment) for moment in moments])
    rows = queries.timeline(1, 10, 0, None, NOON)
    assert [row.created_at for row in rows] == moments[::-1]
    assert [(row.created_at, row.id) for row in rows] == sorted(((r.created_at, r.id) for r in rows), reverse=True)
    for place, row in enumerate(rows):
        assert queries.timeline(1, 10, 0, (row.created_at, row.id), NOON) == rows[place + 1 :]
        assert queries.timeline(1, 10, place + 1, None, NOON) == rows[place + 1 :]


def test_connections_that_broke_cost_one_answer(
    queries: EventQueries, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REST_S", 60.0)  # so that none is tried before it is used
    pooled = connections.postgres_engine(engine.url.render_as_string(hide_password=False), 3)
    with pooled.connect() as one, pooled.connect() as other:
        died = [int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()) for connection in (one, other)]
    with engine.connect() as killer:
        for pid in died:
            killer.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    pooled_queries = PostgresEventQueries(pooled)
    with pytest.raises(Unavailable):
        pooled_queries.timeline(1, 50, 0, None, NOON)
    for _ in died:
        assert pooled_queries.timeline(1, 50, 0, None, NOON) == []
    pooled.dispose()


def test_a_database_that_is_away_is_unavailable(tmp_path: object) -> None:
    engine = sa.create_engine(f"postgresql+psycopg://maicivy@/maicivy?host={tmp_path}")
    with pytest.raises(Unavailable) as failure:
        PostgresEventQueries(engine).timeline(1, 50, 0, None, NOON)
    assert failure.value.part == "postgres"
