"""Dashboard and alerts name only metrics that are exported, and every alert has its page in the runbook."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from maicivy import metrics
from tests.deploy.yaml_subset import read_yaml

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "maicivy.json"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
NAME = re.compile(r"\b(?:maicivy|analytics)_\w+")


def exported() -> dict[str, tuple[str, ...]]:
    """Every name that a query may use -> its labels."""
    found = {told.name: told.labels for told in metrics.TOLD}
    for metric in metrics.OBSERVED:
        for family in metric.describe():
            labels = tuple(metric._labelnames)
            if family.type == "histogram":
                found |= {f"{family.name}_bucket": (*labels, "le"), f"{family.name}_sum": labels}
                found[f"{family.name}_count"] = labels
            else:
                found[f"{family.name}_total"] = labels
    return found


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> dict[str, list[str]]:
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels()}


def rules() -> list[dict[str, Any]]:
    groups = read_yaml(RULES)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [query for found in queries().values() for query in found]


def test_every_metric_in_a_query_is_exported() -> None:
    used = {name for text in expressions() for name in NAME.findall(text)}
    assert used <= set(exported())


def test_every_label_in_a_query_is_one_of_its_metric() -> None:
    labels = exported()
    for text in expressions():
        for name, selector in re.findall(r"\b((?:maicivy|analytics)_\w+)\{([^}]*)\}", text):
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert used <= {*labels[name], "job", "instance"}, (name, used)


@pytest.mark.parametrize(
    ("panel", "query"),
    [
        ("Current visitors", "maicivy_current_visitors"),
        ("Conversion rate", 'maicivy_conversion_rate{job=~"$job"}) * 100'),
        ("Events by type", "by (event_type) (rate(maicivy_events_total"),
        ("API latency", "histogram_quantile(0.99, sum by (le) (rate(maicivy_analytics_request_duration_seconds_bucket"),
        ("Top 5 themes", "topk(5, max by (theme) (maicivy_cv_theme_views"),
        ("Letters", "by (type) (rate(maicivy_letters_generated_total"),
    ],
)
def test_the_panels_of_seed_001_are_there(panel: str, query: str) -> None:
    assert any(query in found for found in queries()[panel])


def test_letters_are_stacked_and_latency_has_three_quantiles() -> None:
    (letters,) = [panel for panel in panels() if panel["title"] == "Letters"]
    assert letters["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    assert len(queries()["API latency"]) == 3


def test_the_dashboard_can_be_imported_with_any_data_source() -> None:
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)


def test_panels_have_an_id_each_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_alert_is_in_the_runbook_and_nothing_else_is() -> None:
    headings = re.findall(r"^#+ (Maicivy\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in rules())


def test_every_alert_is_tried_firing_and_at_rest() -> None:
    text = (RULES.parent / "rules_test.yml").read_text()
    for rule in rules():
        assert f"      - alertname: {rule['alert']}\n" in text
        assert f"      - {{alertname: {rule['alert']}, eval_time: 55m}}\n" in text


def test_prometheus_is_told_of_rules_and_path() -> None:
    config = read_yaml(RULES.parent / "prometheus.yml")
    assert config["rule_files"] == ["rules.yml"]
    assert config["scrape_configs"][0]["metrics_path"] == "/metrics"
