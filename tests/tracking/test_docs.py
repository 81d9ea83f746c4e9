"""docs/tracking.md: its examples run as they stand, and its tables list what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import redis

from maicivy.tracking import Analytics, backlog, rules
from maicivy.tracking.options import Options

TEXT = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")
EXAMPLES = [code for code in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "import" in code]
SECRETS = {"the MAICIVY_INGEST_TOKEN of that maicivy": "a-token-of-some-length"}


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(code: str, valkey_url: str, redis_client: redis.Redis) -> None:
    names: dict[str, Any] = {"__name__": "tests.tracking.test_docs"}
    code = code.replace("redis://127.0.0.1:6379/0", valkey_url)
    for placeholder, value in SECRETS.items():
        code = code.replace(placeholder, value)
    exec(compile(code, "docs/tracking.md", "exec"), names)
    app = names.get("app") or names["create_app"]()
    analytics = names["analytics"]
    assert isinstance(analytics, Analytics)
    recorded = 0
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        assert app.test_client().open(rule.rule, method=method).status_code == 200
        recorded += 1
    if recorded:
        assert analytics.flush(10)
        stats = analytics.stats()
        assert stats["sent"] == stats["recorded"] > 0
    analytics.close()


def test_there_are_examples_of_both_transports() -> None:
    assert len(EXAMPLES) == 4
    assert any("redis_url=" in code for code in EXAMPLES)
    assert any("url=" in code and "token=" in code for code in EXAMPLES)


def test_the_table_lists_every_option_with_its_default() -> None:
    table = TEXT[TEXT.index("## Options") :]
    listed = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", table, re.M))
    assert list(listed) == [field.name for field in fields(Options)]
    for field in fields(Options):
        shown = listed[field.name].strip("` ")
        if field.name == "query_params":
            assert set(shown.split(", ")) == field.default
        elif shown:
            assert eval(shown) == field.default
        else:
            assert field.default == ""


def test_the_reasons_and_the_paths_are_those_of_the_code() -> None:
    reasons = {
        getattr(backlog, name) for name in ("QUEUE_FULL", "REFUSED", "GAVE_UP", "AT_EXIT", "NO_REQUEST", "ERROR")
    }
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT[: TEXT.index("## Options")], re.M)) == reasons
    for rule in rules.NOT_PAGES:
        assert f"`{rule}`" in TEXT
