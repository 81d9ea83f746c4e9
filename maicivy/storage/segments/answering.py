"""A question about a slice of time, answered out of segments: its figures as a SELECT that stands beside others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from maicivy.storage.segments.figures import OF_SINGLE, Figures, columns, properties, work_out
from maicivy.storage.segments.lookups import Lookup
from maicivy.storage.segments.reading import Reading, Wanted
from maicivy.storage.visit_filters import Values
from maicivy.storage.visit_question import ENGAGED, Question, Slice


def is_answerable(question: Question, part: Slice) -> bool:
    """Whether segments know enough: of the figures of engagement they do not know which event told them."""
    return part.is_aligned and not (question.sums & ENGAGED and properties(question))


def answered(
    connection: sa.Connection,
    question: Question,
    part: Slice,
    stale: Collection[datetime],
    values: Values,
    *,
    with_visitors: bool,
) -> str:
    """A SELECT of `grp`, the dimensions, `visitors`, `touches` and the sums, as `visit_sums.added_up` makes them; all
    that is in it is bound to `values`. `stale`: UTC hours of the slice's days whose segments are not up to date."""
    wanted = Wanted(
        frozenset(columns(question, with_visitors=with_visitors)),
        frozenset((OF_SINGLE,) if with_visitors else ()),
        frozenset(properties(question)),
    )
    reading = Reading(connection, question.site_id, part.slice_start, part.slice_end, stale, wanted)
    lookup = Lookup(connection, question, reading.lists)
    return _select(question, work_out(question, part, reading.chunks(), lookup, with_visitors=with_visitors), values)


def _select(question: Question, figures: Figures, values: Values) -> str:
    names = ["visitors", "touches", *figures.sums]
    numbers = [
        "NULL::bigint[]" if each is None else values.bind(f"{{{','.join(map(str, each))}}}", "bigint[]")
        for each in (figures.visitors, figures.touches, *figures.sums.values())
    ]
    texts = [values.bind(some, "text[]") for some in figures.values]
    columns_ = ", ".join([*question.dims, *names])
    groups = set(figures.groups)
    if len(groups) > 1:
        given, grp = [values.bind(figures.groups, "timestamptz[]")], "grp"
        columns_ = f"grp, {columns_}"
    else:
        given, grp = [], f"{values.bind(groups.pop() if groups else None, 'timestamptz')} AS grp"
    shown = ", ".join([grp, *question.dims, *names])
    return f"SELECT {shown} FROM unnest({', '.join([*given, *texts, *numbers])}) AS worked_out ({columns_})"
