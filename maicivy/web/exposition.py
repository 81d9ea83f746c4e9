"""The families that `/metrics` shows: what this process and its siblings observed, plus what workers handed over, plus
what Redis and Postgres hold.

Every metric that `metrics.py` names is shown on every scrape, if need be without samples: an alert on a metric that
does not exist is one that never fires.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from maicivy import __version__, metrics
from maicivy.core.events import LETTER_TYPES
from maicivy.core.gate import REASONS
from maicivy.metrics import Told
from maicivy.storage.probes import Standing
from maicivy.storage.scrape import Scraped
from maicivy.storage.worker_metrics import BUCKET, Sample, samples_of

_LEDGER: Final = {
    "received": metrics.RECEIVED,
    "stored": metrics.STORED,
    "duplicate": metrics.DUPLICATE,
    "quarantined": metrics.QUARANTINED,
    "shed": metrics.SHED,
}
_RELAYED: Final = frozenset(family.name for metric in metrics.RELAYED for family in metric.describe())
_LABELLED: Final = (
    ("events:", metrics.EVENTS),
    ("path:", metrics.PAGE_VIEWS),
    ("letters_generated:", metrics.LETTERS),
)

_OF_SITES: Final = (
    (metrics.SITE_EVENTS, "events"),
    (metrics.SITE_PAGE_VIEWS, "page_views"),
    (metrics.SITE_VISITORS, "visitors"),
    (metrics.SITE_CURRENT_VISITORS, "current_visitors"),
)

Values = dict[Told, list[tuple[tuple[str, ...], float]]]


class Exposition(Collector):
    """One scrape. `scraped` is None while Redis is down: then what it would tell is left out, not shown as 0."""

    def __init__(self, standing: Standing, scraped: Scraped | None, inbox_max_bytes: int) -> None:
        self._standing = standing
        self._scraped = scraped
        self._inbox_max_bytes = inbox_max_bytes

    def collect(self) -> Iterator[Metric]:
        """Every family once, no series twice."""
        relayed = self._scraped.relayed if self._scraped is not None else []
        yield from _observed(relayed)
        values = self._values(relayed)
        for told in metrics.TOLD:
            yield _told(told, values.get(told, ()))

    def _values(self, relayed: Iterable[Sample]) -> Values:
        known = [(name, part) for name, part in self._standing.parts.items() if part.state != "unknown"]
        values: Values = {
            metrics.UP: [((name,), float(part.state == "up")) for name, part in known],
            metrics.BUILD: [((__version__, platform.python_version()), 1.0)],
            metrics.INBOX_MAX_BYTES: [((), float(self._inbox_max_bytes))],
        }
        if self._scraped is not None:
            values |= _from_redis(self._scraped)
            seq = self._standing.ledger_seq
            if seq is not None:
                values[metrics.STORAGE_WRITES] = [((), float(seq))]
                values[metrics.OUTBOX_LAG] = [((), float(max(0, seq - self._scraped.cursor_seq)))]
        gauges = {told.name: told for told in metrics.TOLD if told.kind == "gauge"}
        for sample in relayed:
            told = gauges.get(sample.family)
            if told is not None and not sample.suffix and set(sample.labels) == set(told.labels):
                values[told] = [(tuple(sample.labels[name] for name in told.labels), sample.value)]
        return values


def _from_redis(scraped: Scraped) -> Values:
    totals, ledger = scraped.totals, scraped.ledger
    rejected = dict.fromkeys(REASONS, 0) | _after("rejected:", ledger)
    letters = dict.fromkeys(LETTER_TYPES, 0)
    rate = round(scraped.letters_today / scraped.unique_today, 4) if scraped.unique_today else 0.0
    single: dict[Told, float] = {
        metrics.VISITORS: totals.get("visitors", 0),
        metrics.CURRENT_VISITORS: scraped.current_visitors,
        metrics.WEBSOCKETS: scraped.websockets,
        metrics.CONVERSION_RATE: rate,
        metrics.INBOX_EVENTS: scraped.inbox_events,
        metrics.INBOX_BYTES: scraped.inbox_bytes,
        metrics.INBOX_OLDEST: scraped.inbox_oldest_s,
        **{told: ledger.get(name, 0) for name, told in _LEDGER.items()},
        metrics.COLLECTED: ledger.get("received", 0),
        metrics.PROCESSED: ledger.get("stored", 0),
    }
    values: Values = {told: [((), float(value))] for told, value in single.items()}
    for prefix, told in _LABELLED:
        counts = _after(prefix, totals)
        values[told] = _series(letters | counts if told is metrics.LETTERS else counts)
    values[metrics.REJECTED] = _series(rejected)
    values[metrics.THEME_VIEWS] = _series(dict(scraped.themes))
    for told, name in _OF_SITES:
        values[told] = _series({site: getattr(its, name) for site, its in scraped.sites.items()})
    values[metrics.LAST_SEEN] = _series(scraped.last_seen)
    return values


def _after(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def _series(values: Mapping[str, float]) -> list[tuple[tuple[str, ...], float]]:
    return [((name,), float(value)) for name, value in sorted(values.items())]


def _told(told: Told, series: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    counter = told.kind == "counter"
    metric = Metric(told.name.removesuffix("_total") if counter else told.name, told.meaning, told.kind)
    for labels, value in series:
        metric.add_sample(told.name, dict(zip(told.labels, labels, strict=True)), value)
    return metric


def _observed(relayed: Iterable[Sample]) -> Iterator[Metric]:
    """Our own histograms and counters, with the workers' samples in them, then whatever else the process exports."""
    ours = {family.name: family for metric in metrics.OBSERVED for family in metric.describe()}
    samples: dict[str, list[Sample]] = defaultdict(list)
    for sample in relayed:
        if sample.family in _RELAYED:
            samples[sample.family].append(sample)
    others = []
    for family in _of_web_processes():
        if family.name in ours:
            samples[family.name] += samples_of(family)
        elif family.name.removesuffix("_created") not in ours:
            others.append(family)
    for name, family in ours.items():
        yield _added_up(family, samples[name])
    yield from others


def _of_web_processes() -> Iterable[Metric]:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # prometheus_client's own switch, no setting of ours
        return list(MultiProcessCollector(CollectorRegistry()).collect())  # type: ignore[no-untyped-call]
    return list(REGISTRY.collect())


def _added_up(family: Metric, samples: Iterable[Sample]) -> Metric:
    """`family` with equal samples added and buckets made cumulative."""
    plain: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    buckets: dict[tuple[tuple[str, str], ...], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        if sample.suffix == BUCKET:
            series = tuple(sorted((name, text) for name, text in sample.labels.items() if name != "le"))
            buckets[series][float(sample.labels["le"])] += sample.value
        else:
            plain[sample.suffix, tuple(sorted(sample.labels.items()))] += sample.value
    metric = Metric(family.name, family.documentation, family.type)
    for series, counts in buckets.items():
        labels, below = dict(series), 0.0
        for bound in sorted(counts):
            below += counts[bound]
            le = floatToGoString(bound)  # type: ignore[no-untyped-call]
            metric.add_sample(family.name + BUCKET, {**labels, "le": le}, below)
        metric.add_sample(family.name + "_count", labels, below)
        metric.add_sample(family.name + "_sum", labels, plain.pop(("_sum", series), 0.0))
    for (suffix, pairs), value in plain.items():
        metric.add_sample(family.name + suffix, dict(pairs), value)
    return metric
