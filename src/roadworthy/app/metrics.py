"""Everything that a server counts, in the words of Prometheus: made when somebody reads it, from plain counters.

The hot path knows nothing of this: no label is looked up and no lock is taken for a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from roadworthy.app.deployment import Deployment
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.core.measure import Measurement
from roadworthy.serve.batch_counts import Snapshot
from roadworthy.serve.meter import BOUNDS, PER_OCTAVE, Counts, Histogram

# Digits of a release in a label: what the command line shows too.
DIGITS = 12


class Metrics(Collector):
    """The counters of a deployment and of the server before it."""

    def __init__(self, deployment: Deployment, server: Server | Fronts) -> None:
        self._deployment, self._server = deployment, server

    def collect(self) -> Iterator[Metric]:
        """One family after the other; `release` is the beginning of a digest."""
        counts = [((release[:DIGITS], arm), found) for (release, arm), found in self._deployment.counts().items()]
        batches = [(release[:DIGITS], found) for release, found in self._deployment.batches().items()]
        yield from _requests(counts)
        yield _seconds(counts)
        yield from _queues(batches)
        yield _sizes(batches)
        yield from _worth(self._deployment.measurements())
        yield from self._process()

    def _process(self) -> Iterator[Metric]:
        server, deployment = self._server, self._deployment
        yield _gauge("roadworthy_connections", "Clients that are connected.", server.connections)
        yield _gauge("roadworthy_in_flight", "Requests that are being answered.", server.in_flight)
        yield _gauge("roadworthy_ready", "1 where new callers may be sent here.", deployment.ready)
        yield _gauge("roadworthy_models_loaded", "Releases in memory.", len(deployment.status().loaded))


def registry_of(deployment: Deployment, server: Server | Fronts) -> CollectorRegistry:
    """A registry with this server's counters, and those of its process."""
    registry = CollectorRegistry()
    registry.register(Metrics(deployment, server))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


Counted = Sequence[tuple[tuple[str, str], Counts]]


def _requests(counted: Counted) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "roadworthy_requests", "Requests by how they ended.", labels=("release", "arm", "outcome")
    )
    rows = CounterMetricFamily("roadworthy_rows", "Rows asked about.", labels=("release", "arm"))
    for labels, counts in counted:
        answered = counts.requests - sum(counts.errors.values())
        ended = {"answer": answered - counts.fallbacks, "fallback": counts.fallbacks, **counts.errors}
        for outcome, n in ended.items():
            requests.add_metric((*labels, outcome), n)
        rows.add_metric(labels, counts.rows)
    yield requests
    yield rows


def _seconds(counted: Counted) -> Metric:
    family = HistogramMetricFamily(
        "roadworthy_request_seconds", "Seconds of an answer by stage.", labels=("release", "arm", "stage")
    )
    for labels, counts in counted:
        for stage, histogram in counts.stages.items():
            family.add_metric((*labels, stage), _buckets(histogram), histogram.seconds)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts at each doubling: Prometheus stores every bucket of every label for years."""
    running = list(itertools.accumulate(histogram.counts))
    ends = range(0, len(BOUNDS), PER_OCTAVE)
    return [*((f"{BOUNDS[end]:.6g}", running[end]) for end in ends), ("+Inf", running[-1])]


def _queues(batches: Sequence[tuple[str, Snapshot]]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "roadworthy_queue_rows", "Rows that wait for the model.", labels=("release", "priority")
    )
    limit = GaugeMetricFamily("roadworthy_queue_limit_rows", "Rows that may wait just now.", labels=("release",))
    shed = CounterMetricFamily("roadworthy_shed", "Requests turned away by reason.", labels=("release", "reason"))
    calls = CounterMetricFamily("roadworthy_model_calls", "Calls of the model by end.", labels=("release", "end"))
    line = GaugeMetricFamily("roadworthy_cost_line", "What a batch is expected to take.", labels=("release", "part"))
    for release, batch in batches:
        for priority, rows in batch.waiting.items():
            waiting.add_metric((release, str(priority)), rows)
        limit.add_metric((release,), batch.limit)
        for reason, n in {**batch.shed, "expired": batch.late, "gone": batch.gone}.items():
            shed.add_metric((release, reason), n)
        ended = {"begun": batch.batches, "failed": batch.failed, "hung": batch.hung, "retried": batch.retried}
        for end, n in ended.items():
            calls.add_metric((release, end), n)
        for part in batch.line:
            line.add_metric((release, part.name), part.value)
    yield from (waiting, limit, shed, calls, line)


def _sizes(batches: Iterable[tuple[str, Snapshot]]) -> Metric:
    family = HistogramMetricFamily("roadworthy_batch_rows", "Rows of a batch.", labels=("release",))
    for release, batch in batches:
        running = itertools.accumulate(batch.sizes.values())
        buckets = [(str(most), n) for most, n in zip(batch.sizes, running, strict=True)]
        family.add_metric((release,), [*buckets, ("+Inf", batch.batches)], batch.rows)
    return family


def _worth(measured: Mapping[str, Sequence[Measurement]]) -> Iterator[Metric]:
    """What the handlers on the way measured of themselves, such as the economics of a cache, one gauge a name."""
    by_name: dict[str, GaugeMetricFamily] = {}
    for release, found in measured.items():
        for one in found:
            if one.name not in by_name:
                by_name[one.name] = GaugeMetricFamily(
                    f"roadworthy_{one.name}", f"Measured in {one.unit}.", labels=("release",)
                )
            if one.n:
                by_name[one.name].add_metric((release[:DIGITS],), one.value)
    yield from by_name.values()


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, float(value))
