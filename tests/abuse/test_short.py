"""bin/abuse, all scenarios in their short form. What is measured is left to the long one."""

from __future__ import annotations

import pytest

from tests.abuse import cardinality, corpus, fuzz, overload, schema, slow
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import Target, abused

pytestmark = pytest.mark.e2e

SHORT = Options(requests=2000, seconds=4.0)


@pytest.fixture
def finding() -> Finding:
    return Finding()


def test_the_naughty_corpus_is_stored_as_expected_or_refused_with_the_right_code(
    target: Target, finding: Finding
) -> None:
    corpus.send(target, finding)
    assert finding.breaches == []


def test_nonsense_is_answered_below_500_and_at_once(target: Target, finding: Finding) -> None:
    fuzz.flood(target, SHORT, finding)
    assert finding.breaches == []


def test_every_answer_is_one_that_the_document_announces(target: Target, finding: Finding) -> None:
    schema.conform(target, SHORT, finding)
    assert finding.breaches == []


def test_slow_clients_are_let_go_and_others_are_answered(target: Target, finding: Finding) -> None:
    slow.dawdle(target, ("silent", "idle", "header"), 50, 1.0, finding, is_measured=False)
    assert finding.breaches == []


def test_more_than_it_can_take_is_turned_away_with_retry_after(target: Target, finding: Finding) -> None:
    overload.overload(target, SHORT.seconds, finding, is_measured=False)
    assert finding.breaches == []


def test_whatever_is_counted_by_name_is_bounded_and_unique_visitors_are_right(finding: Finding) -> None:
    with abused(finding, MAICIVY_TRUSTED_PROXIES="1", MAICIVY_EVENT_RATE_LIMIT="100", LOG_LEVEL="warning") as target:
        cardinality.vary(target, Options(requests=5000), finding)
    assert finding.breaches == []
