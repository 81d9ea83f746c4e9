"""Which events of visits a filter is true for, found out before any visit is read.

Most filters on events are true for few actions, or few stored events, or for all but a few: those few are named, and a
visit's share of them is counted, or taken off what all of it adds up to. No visit has to be taken apart for that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias

import msgspec
import sqlalchemy as sa

from maicivy.core.query import EVENT_DIMENSIONS, PROPERTY, VISIT_DIMENSIONS, And, Filter, Match
from maicivy.storage.schema import HAS_PROPERTIES_SQL
from maicivy.storage.visit_filters import Conditions, Values, names
from maicivy.storage.visit_happenings import STORED

MOST_ACTIONS: Final = 5_000
MOST_EVENTS: Final = 50_000
"""More are not named: what would have to be sent and searched costs more than it spares."""

FEW: Final = 32
"""Of so many actions an array of those of a visit is searched for any; of more that would take longer than to look at
each of a visit's in a table of them."""

_OPPOSITES: Final = {"is_not": "is", "contains_not": "contains"}
_ARRAYS: Final = "CAST(array_agg({}) AS text)"


class NamedActions(msgspec.Struct, frozen=True):
    """Ids of the actions that a filter is true for, or (`are_others`) of all that it is not true for; `views` are those
    of them that are page views."""

    ids: tuple[int, ...]
    views: tuple[int, ...]
    are_others: bool


class NamedEvents(msgspec.Struct, frozen=True):
    """The same of stored events: whose, when, and whether they are page views; arrays as Postgres writes them."""

    visitors: str
    times: str
    views: str
    are_others: bool


Named: TypeAlias = NamedActions | NamedEvents


def named_actions(connection: sa.Connection, site_id: int, condition: Filter) -> NamedActions | None:
    """Actions of a site that tell which events the filter is true for.

    None when there are too many, or when it is about more than an event's action.
    """
    if not names(condition) <= set(EVENT_DIMENSIONS):
        return None
    values = Values()
    site = values.bind(site_id, "integer")
    wanted = Conditions(values, site, raw=False).of_action(condition)
    statement = f"""/* visit_queries.named_actions */
        WITH judged AS MATERIALIZED (
            SELECT id, name = 'page_view' AS is_view, {wanted} AS is_wanted FROM actions WHERE site_id = {site}
        ), most AS MATERIALIZED (
            SELECT coalesce(2 * count(*) FILTER (WHERE is_wanted) > count(*), false) AS are FROM judged
        )
        SELECT are, count(id) AS size, coalesce(array_agg(id) FILTER (WHERE id IS NOT NULL), '{{}}') AS ids,
               coalesce(array_agg(id) FILTER (WHERE is_view), '{{}}') AS views
        FROM most LEFT JOIN judged ON is_wanted <> are GROUP BY are"""
    found = connection.execute(sa.text(statement), values.bound).one()
    if found.size > MOST_ACTIONS:
        return None
    return NamedActions(tuple(found.ids), tuple(found.views), found.are)


def named_events(
    connection: sa.Connection, site_id: int, condition: Filter, start: datetime, end: datetime
) -> NamedEvents | None:
    """Stored events from `start` until `end` that tell which events the filter is true for; None when there are too
    many, when the filter says nothing of a property that an event has to have, or must not have, or when it is about
    visits too."""
    parts = condition.filters if isinstance(condition, And) else (condition,)
    are_others = len(parts) == 1 and isinstance(parts[0], Match) and parts[0].operator in _OPPOSITES
    if are_others:
        assert isinstance(parts[0], Match)
        condition = msgspec.structs.replace(parts[0], operator=_OPPOSITES[parts[0].operator])
    if not needs_property(condition) or not names(condition).isdisjoint(VISIT_DIMENSIONS):
        return None
    values = Values()
    site = values.bind(site_id, "integer")
    since, until = values.bind(start, "timestamptz"), values.bind(end, "timestamptz")
    wanted = Conditions(values, site, raw=True).of(condition)
    shown = ", ".join(_ARRAYS.format(name) for name in ("visitor_id", "at", "is_view"))
    statement = f"""/* visit_queries.named_events */
        SELECT count(*) AS size, {shown} FROM (
            SELECT h.visitor_id, h.at, h.name = 'page_view' AS is_view FROM (
                {STORED} WHERE r.site_id = {site} AND r.created_at >= {since} AND r.created_at < {until}
                         AND {HAS_PROPERTIES_SQL}
            ) AS h WHERE {wanted} LIMIT {MOST_EVENTS + 1}
        ) AS e"""
    size, *arrays = connection.execute(sa.text(statement), values.bound).one()
    if size > MOST_EVENTS:
        return None
    visitors, times, views = (array or "{}" for array in arrays)
    return NamedEvents(visitors, times, views, are_others)


def needs_property(condition: Filter) -> bool:
    """Whether the filter is true for no event that has none of the properties that it names."""
    if isinstance(condition, And):
        return any(needs_property(each) for each in condition.filters)
    if not isinstance(condition, Match) or not condition.dimension.startswith(PROPERTY):
        return False
    return condition.operator in ("is", "contains") and "" not in condition.values


def hits(named: Named, visits: str, values: Values, bucket_of: Callable[[str], str]) -> str:
    """A FROM of `visits`, a SELECT of visits that lie within one bucket each, as `v`: those with events that the filter
    is true for.

    There are `n` of them, of which `views` are page views. `bucket_of` tells where the bucket of a moment begins.
    """
    if isinstance(named, NamedActions):
        given = _of_actions(named, visits, values)
    else:
        given = _of_events(named, visits, values, bucket_of)
    n, views = ("v.events - x.n", "v.pageviews - x.views") if named.are_others else ("x.n", "x.views")
    return f"(SELECT v.*, {n} AS n, {views} AS views FROM {given} WHERE {n} > 0) AS v"


def happenings(named: NamedEvents, visits: str, values: Values) -> str:
    """A FROM of `visits`, a SELECT of few, as `v`, each with the events that the filter is true for as `h`.

    The others are told by elements, to the quarter of an hour, from which named events are taken off.
    """
    join, elements, sign = "JOIN", "", ""
    if named.are_others:
        join, sign = "LEFT JOIN", "-"
        elements = """SELECT date_bin('15 minutes', v.started, '1970-01-01 00:00+00')
                   + coalesce(e.slot, 0) * interval '15 minutes' AS at, a.name, coalesce(e.n, 1) AS n
            FROM (SELECT unnest(v.actions) AS action, unnest(v.counts) AS n, unnest(v.slots) AS slot) AS e
            JOIN actions AS a ON a.id = e.action UNION ALL """
    # Both are put aside, for Postgres takes them for fewer than they are and would work them out for each other's rows.
    of_them = _by_visitor(named, values, "e.visitor_id IN (SELECT visitor_id FROM few)")
    return f"""(WITH few AS MATERIALIZED ({visits}), m AS MATERIALIZED ({of_them})
            SELECT few.*, m.times AS named_times, m.views AS named_views
            FROM few {join} m ON m.visitor_id = few.visitor_id) AS v
        CROSS JOIN LATERAL (SELECT x.at, x.name, x.n, 0 AS engaged_ms, -1 AS scroll FROM ({elements}
            SELECT e.at, CASE WHEN e.is_view THEN 'page_view' ELSE '' END AS name, {sign}1 AS n
            FROM (SELECT unnest(v.named_times) AS at, unnest(v.named_views) AS is_view) AS e
            WHERE e.at >= v.started AND e.at <= v.ended) AS x) AS h"""


def _of_actions(named: NamedActions, visits: str, values: Values) -> str:
    if not named.ids:
        return f"({visits}) AS v CROSS JOIN (SELECT 0 AS n, 0 AS views) AS x"
    ids, views = values.bind(list(named.ids), "integer[]"), values.bind(list(named.views), "integer[]")
    is_one = "cardinality(v.actions) = 1"
    has = f"(CASE WHEN {is_one} THEN v.entry_id = ANY ({ids}) ELSE "
    has += f"v.actions && {ids} END)" if len(named.ids) <= FEW else "true END)"
    # Subqueries in a CASE and not as tables: those would be worked out for visits that have no need of them.
    counted = """(SELECT coalesce(sum(coalesce(e.n, 1)), 0)
        FROM (SELECT unnest(v.actions) AS action, unnest(v.counts) AS n) AS e WHERE e.action = ANY ({ids}))"""
    n = f"CASE WHEN NOT v.has THEN 0 WHEN v.is_one THEN v.events ELSE {counted.format(ids=ids)} END"
    viewed = f"CASE WHEN NOT v.has THEN 0 WHEN v.is_one THEN v.pageviews ELSE {counted.format(ids=views)} END"
    some = "" if named.are_others else f" WHERE {has}"
    return f"""(SELECT v.*, {is_one} AS is_one, {has} AS has FROM ({visits}) AS v{some}) AS v
        CROSS JOIN LATERAL (SELECT {n} AS n, {viewed} AS views) AS x"""


def _of_events(named: NamedEvents, visits: str, values: Values, bucket_of: Callable[[str], str]) -> str:
    by_visitor = f"""SELECT *, {bucket_of("b.first")} AS since FROM ({_by_visitor(named, values)}) AS b"""
    join = "LEFT JOIN" if named.are_others else "JOIN"
    counted = """CASE WHEN m.visitor_id IS NULL THEN 0 ELSE (
        SELECT count(*) FROM (SELECT unnest(m.times) AS at, unnest(m.views) AS is_view) AS e
        WHERE {which} AND e.at >= v.started AND e.at <= v.ended) END"""
    # Between `since` and `last` began what has named events: it keeps partitions out.
    return f"""({visits}) AS v {join} ({by_visitor}) AS m
            ON m.visitor_id = v.visitor_id AND v.started >= m.since AND v.started <= m.last
        CROSS JOIN LATERAL (
            SELECT {counted.format(which="true")} AS n, {counted.format(which="e.is_view")} AS views
        ) AS x"""


def _by_visitor(named: NamedEvents, values: Values, condition: str = "true") -> str:
    arrays = ", ".join(
        values.bind(array, f"{kind}[]")
        for array, kind in ((named.visitors, "uuid"), (named.times, "timestamptz"), (named.views, "boolean"))
    )
    return f"""SELECT e.visitor_id, array_agg(e.at) AS times, array_agg(e.is_view) AS views, min(e.at) AS first,
        max(e.at) AS last FROM unnest({arrays}) AS e (visitor_id, at, is_view)
        WHERE {condition} GROUP BY 1"""
