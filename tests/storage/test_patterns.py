"""What is let through as a pattern means the same to Postgres as to Python, with which the oracle checks it."""

from __future__ import annotations

import random
import re

import sqlalchemy as sa

from maicivy.core.patterns import check_pattern

PIECES = ["a", "b", "/", ".", "\\.", "[ab]", "[^a]", "[a-c/]", "\\d", "\\w", "\\S", "1", "(", "(?:", ")", "|", "^", "$"]
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?"]


def patterns(count: int) -> list[str]:
    """So many different ones that are let through."""
    rng = random.Random(7)
    found: dict[str, None] = {}
    while len(found) < count:
        pattern = "".join(rng.choice(PIECES) + rng.choice(REPEATS) for _ in range(rng.randint(1, 8)))
        try:
            check_pattern(pattern)
        except ValueError:
            continue
        found[pattern] = None
    return list(found)


def test_postgres_understands_every_pattern_as_python_does(engine: sa.Engine) -> None:
    rng = random.Random(8)
    asked = [
        (pattern, "".join(rng.choices("abc/.1", k=rng.randint(0, 8)))) for pattern in patterns(300) for _ in range(10)
    ]
    with engine.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = '30s'"))
        found = connection.execute(
            sa.text(
                "SELECT text ~ pattern"
                " FROM unnest(CAST(:patterns AS text[]), CAST(:texts AS text[])) AS t (pattern, text)"
            ),
            {"patterns": [pattern for pattern, _ in asked], "texts": [text for _, text in asked]},
        ).scalars()
        differing = [pair for pair, matched in zip(asked, found, strict=True) if matched != bool(re.search(*pair))]
    assert differing == []
