"""Figures out of the relation of visits (`visit_sql.py`): its rows added up, and visitors told apart."""

from __future__ import annotations

from collections.abc import Sequence

from maicivy.storage.visit_question import PARTS, WHOLE, Question


def added_up(
    question: Question, parts: Sequence[str], *, with_visitors: bool, split: bool = False, in_one_bucket: bool = False
) -> str:
    """Figures of a relation (in parts: SELECTs of the question's columns) by group and dimensions: `grp`, dimensions,
    `visitors`, `touches` and the sums.

    With `split` also by whether they are a bot's (`bot`), and with what the bucket before has counted already apart
    (`NAME_again`) instead of taken off. `in_one_bucket`: nobody needs to be told apart by day.
    """
    keys = ["grp", *question.dims, *(["bot"] if split else [])]
    figures = [name for name in question.columns if name in (*WHOLE, *PARTS)]
    columns = ["touches", *figures, *(question.again if split else [])]
    net = [f"sum({name} - {name}_again)" if name in WHOLE and not split else f"sum({name})" for name in columns]
    summed = ", ".join(f"{figure}::bigint AS {name}" for figure, name in zip(net, columns, strict=True))
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in columns)
    # Who has no other visit is no other visitor either, and need not be told apart from others.
    told_apart = {
        "who": "who",
        "day": "NULL::timestamptz" if in_one_bucket else "CASE WHEN who IS NULL THEN NULL ELSE bucket END",
        "of_bot": "NULL::boolean"
        if split or question.bots is not None
        else "CASE WHEN who IS NULL THEN NULL ELSE bot END",
    }
    by = ", ".join(keys)
    if not with_visitors:
        each = [
            f"SELECT {by}, {summed} FROM ({part}) AS r ({', '.join(question.columns)}) GROUP BY {by}" for part in parts
        ]
        return f"SELECT {by}, NULL::bigint AS visitors, {sums} FROM ({' UNION ALL '.join(each)}) AS w GROUP BY {by}"
    # Each part is added up by itself, so that several processes can share the work.
    apart = ", ".join(f"{text} AS {name}" for name, text in told_apart.items())
    each = [
        f"SELECT {by}, {apart}, {summed} FROM ({part}) AS r ({', '.join(question.columns)})"
        f" GROUP BY {by}, {', '.join(told_apart.values())}"
        for part in parts
    ]
    if len(each) == 2:  # of visits inside buckets, and of the few across them, which are looked up among the others
        own = [name for name, text in told_apart.items() if not text.startswith("NULL")]
        same = " AND ".join(f"i.{name} = a.{name}" for name in [*keys, *own])
        shown = ", ".join(f"coalesce(i.{name}, a.{name}) AS {name}" for name in [*keys, "who"])
        both = ", ".join(f"coalesce(i.{name}, 0) + coalesce(a.{name}, 0) AS {name}" for name in columns)
        by_visitor = f"SELECT {shown}, {both} FROM ({each[0]}) AS i FULL JOIN ({each[1]}) AS a ON {same}"
    else:
        together = " UNION ALL ".join(each)
        by_visitor = f"SELECT {by}, who, {sums} FROM ({together}) AS e GROUP BY {by}, {', '.join(told_apart)}"
    visitors = "sum(CASE WHEN who IS NULL THEN touches ELSE least(touches, 1) END)::bigint AS visitors"
    return f"SELECT {by}, {visitors}, {sums} FROM ({by_visitor}) AS w GROUP BY {by}"
