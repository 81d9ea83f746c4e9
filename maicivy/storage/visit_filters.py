"""What dimensions and filters of questions are in SQL: which column of which dictionary, and which condition on it.

Names of columns and tables come from the two tables below and from nowhere else; whatever a client sent is bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from maicivy.core.query import EVENT_DIMENSIONS, PROPERTY, And, Filter, Match, Not, Or
from maicivy.storage.schema import PATH_SQL

_HOST_SQL: Final = (
    "CASE WHEN page_url LIKE '%://%' THEN"
    " lower(regexp_replace(split_part(split_part(split_part(page_url, '://', 2), '/', 1), '?', 1), ':[0-9]*$', ''))"
    " ELSE '' END"
)

# dimension -> column of visits, dictionary table, column there
OF_VISITS: Final = {
    "visit:source": ("origin_id", "origins", "source"),
    "visit:channel": ("origin_id", "origins", "channel"),
    "visit:referrer": ("origin_id", "origins", "referrer"),
    "visit:utm_source": ("origin_id", "origins", "utm_source"),
    "visit:utm_medium": ("origin_id", "origins", "utm_medium"),
    "visit:utm_campaign": ("origin_id", "origins", "utm_campaign"),
    "visit:utm_term": ("origin_id", "origins", "utm_term"),
    "visit:utm_content": ("origin_id", "origins", "utm_content"),
    "visit:country": ("place_id", "places", "country"),
    "visit:region": ("place_id", "places", "region"),
    "visit:city": ("place_id", "places", "city"),
    "visit:device": ("client_id", "clients", "device"),
    "visit:browser": ("client_id", "clients", "browser"),
    "visit:browser_version": ("client_id", "clients", "browser_version"),
    "visit:os": ("client_id", "clients", "os"),
    "visit:os_version": ("client_id", "clients", "os_version"),
    "visit:screen": ("client_id", "clients", "screen"),
    "visit:resolution": ("client_id", "clients", "resolution"),
    "visit:language": ("client_id", "clients", "language"),
    "visit:entry_page": ("entry_id", "actions", "page"),
    "visit:exit_page": ("exit_id", "actions", "page"),
}
# dimension -> column of actions, and the same of a stored event
OF_EVENTS: Final = {
    "event:page": ("page", f"({PATH_SQL})"),
    "event:name": ("name", "CASE WHEN event_type = 'engagement' THEN 'page_view' ELSE event_type::text END"),
    "event:hostname": ("hostname", f"({_HOST_SQL})"),
}


_MANY: Final = 100
"""Texts in an array, of which more are bound in one piece."""


class Values:
    """The values of a statement, bound by the name that they are given here."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}
        self._types: dict[str, str] = {}

    def bind(self, value: Any, type_name: str) -> str:
        """The value's place in the statement."""
        # As one text: the driver converts each of a list, which may be of thousands.
        if type_name == "timestamptz[]" and not isinstance(value, str):
            value = f"{{{','.join(moment.isoformat() for moment in value)}}}"
        elif type_name == "text[]" and not isinstance(value, str) and len(value) > _MANY and None not in value:
            value = f"{{{','.join(map(_quoted, value))}}}"
        same = (name for name, known in self.bound.items() if type(known) is type(value) and known == value)
        name = next((name for name in same if self._types[name] == type_name), f"p{len(self.bound)}")
        self.bound[name], self._types[name] = value, type_name
        return f"CAST(:{name} AS {type_name})"


def _quoted(text: str) -> str:
    """An element of an array as Postgres reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Conditions:
    """Filters of a question about one site, as conditions on visits `v` and on what happened in them, `h`; with `raw`
    that is stored events. `site` is the place of the site's id."""

    def __init__(self, values: Values, site: str, *, raw: bool) -> None:
        self._values = values
        self._site = site
        self._raw = raw

    def of(self, condition: Filter) -> str:
        """The filter."""
        if isinstance(condition, Match):
            return self._match(condition)
        if isinstance(condition, Not):
            return f"NOT {self.of(condition.filter)}"
        joined = " AND " if isinstance(condition, And) else " OR "
        return f"({joined.join(self.of(each) for each in condition.filters)})"

    def of_entry(self, condition: Filter) -> str:
        """The filter, which names nothing but pages, on the page that a visit entered with."""
        if isinstance(condition, Match):
            return self._listed("entry_id", "actions", "page", condition)
        if isinstance(condition, Not):
            return f"NOT {self.of_entry(condition.filter)}"
        joined = " AND " if isinstance(condition, And) else " OR "
        return f"({joined.join(self.of_entry(each) for each in condition.filters)})"

    def of_action(self, condition: Filter) -> str:
        """The filter, which names nothing but dimensions of actions, on a row of them."""
        if isinstance(condition, Match):
            return matching(OF_EVENTS[condition.dimension][0], condition, self._values)
        if isinstance(condition, Not):
            return f"NOT {self.of_action(condition.filter)}"
        joined = " AND " if isinstance(condition, And) else " OR "
        return f"({joined.join(self.of_action(each) for each in condition.filters)})"

    def happening(self, name: str) -> str:
        """The value of a dimension of events."""
        if name.startswith(PROPERTY):
            return f"coalesce(h.event_data ->> {self._values.bind(name.removeprefix(PROPERTY), 'text')}, '')"
        return f"h.{OF_EVENTS[name][0]}"

    def _match(self, match: Match) -> str:
        name = match.dimension
        if name in OF_VISITS:
            return self._listed(*OF_VISITS[name], match)
        if name in EVENT_DIMENSIONS and not self._raw:
            return self._listed("action", "actions", OF_EVENTS[name][0], match, "h")
        return f"({matching(self.happening(name), match, self._values)})"

    def _listed(self, column: str, table: str, text: str, match: Match, alias: str = "v") -> str:
        """The match decided once for each row of a dictionary table, not for each visit."""
        of_site = f" AND site_id = {self._site}" if table == "actions" else ""
        ids = f"SELECT id FROM {table} WHERE {matching(text, match, self._values)}{of_site}"
        if column == "exit_id":  # 0 where no page was viewed
            ids += f" UNION ALL SELECT 0 WHERE {matching(_NOTHING, match, self._values)}"
        return f"{alias}.{column} IN ({ids})"


def event_dimensions(dimensions: Sequence[str], condition: Filter | None) -> set[str]:
    """Those of a query that concern single events."""
    named = set(dimensions) | (names(condition) if condition is not None else set())
    return {name for name in named if name.startswith("event:")}


def split(condition: Filter | None) -> tuple[Filter | None, Filter | None]:
    """The part of a filter that visits alone decide, and the rest, which is decided event by event."""
    if condition is None:
        return None, None
    parts = condition.filters if isinstance(condition, And) else (condition,)
    of_visits = tuple(part for part in parts if not event_dimensions((), part))
    rest = tuple(part for part in parts if event_dimensions((), part))
    return And(of_visits) if of_visits else None, And(rest) if rest else None


def names(condition: Filter) -> set[str]:
    """The dimensions that a filter names."""
    if isinstance(condition, Match):
        return {condition.dimension}
    if isinstance(condition, Not):
        return names(condition.filter)
    return set().union(*(names(each) for each in condition.filters))


def pages_of(condition: Filter | None) -> Filter | None:
    """What of a filter says something of `event:page`: what entry pages have to be like. None: nothing does.

    Of an `and` those parts that do, of an `or` only if all do, of a `not` only if it is about nothing else.
    """
    if condition is None:
        return None
    if isinstance(condition, Match):
        return condition if condition.dimension == "event:page" else None
    if isinstance(condition, Not):
        return condition if names(condition) == {"event:page"} else None
    some = [pages for each in condition.filters if (pages := pages_of(each)) is not None]
    if not some or (isinstance(condition, Or) and len(some) < len(condition.filters)):
        return None
    return type(condition)(tuple(some))


def is_one_value(condition: Filter | None) -> bool:
    """Whether a filter is true for one value of its dimension at the most."""
    return (
        isinstance(condition, Match)
        and condition.operator == "is"
        and len(condition.values) == 1
        and condition.case_sensitive
    )


def matching(text: str, match: Match, values: Values) -> str:
    """The condition that `text`, an SQL expression, satisfies a match."""
    wanted, given = list(match.values), text
    operator = match.operator.removesuffix("_not").removesuffix("_is") if match.operator != "is_not" else "is"
    if operator == "matches":
        condition = f"{given} {'~' if match.case_sensitive else '~*'} ANY ({values.bind(wanted, 'text[]')})"
    elif operator == "contains":
        patterns = [f"%{_literal(value)}%" for value in wanted]
        condition = f"{given} {'LIKE' if match.case_sensitive else 'ILIKE'} ANY ({values.bind(patterns, 'text[]')})"
    elif match.case_sensitive:
        condition = f"{given} = ANY ({values.bind(wanted, 'text[]')})"
    else:
        condition = f"{given} ILIKE ANY ({values.bind([_literal(value) for value in wanted], 'text[]')})"
    return f"NOT ({condition})" if match.operator.endswith("_not") else f"({condition})"


_NOTHING: Final = "''::text"


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
