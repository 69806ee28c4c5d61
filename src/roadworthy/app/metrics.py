"""Everything that a server counts, in the words of Prometheus: made when somebody reads it, from plain counters.

The hot path knows nothing of this: no label is looked up and no lock is taken for a request.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from roadworthy.app.deployment import Deployment
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.app.watched import Watched
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Slo
from roadworthy.observe.rules.burn_rate import BurnRate
from roadworthy.rollout.shadows.shadow import REASONS
from roadworthy.serve.batch_counts import Snapshot
from roadworthy.serve.meter import BOUNDS, PER_OCTAVE, Counts, Histogram

# Digits of a release in a label: what the command line shows too.
DIGITS = 12

# Prometheus keeps every combination of labels for years: what is beyond these is added up under OTHERS.
MOST_RELEASES, MOST_ENDS, OTHERS = 20, 30, "others"

# There from the start: a dashboard names them, whether or not a release has a cache.
_CACHE = {
    "roadworthy_cache_hit_share": "Share of the rows that the cache answered.",
    "roadworthy_cache_bytes": "Bytes that the cache holds.",
}

# Errors that are the caller's spend nobody's error budget; Roadworthy's own rule must say the same as Prometheus.
THEIRS = frozenset(BurnRate.forgive)


class Metrics(Collector):
    """The counters of a deployment and of the server before it, and what `watched` was told of log and detectors."""

    def __init__(self, deployment: Deployment, server: Server | Fronts, watched: Watched | None = None) -> None:
        self._deployment, self._server = deployment, server
        self._watched = Watched() if watched is None else watched

    def collect(self) -> Iterator[Metric]:
        """One family after the other; `release` is the beginning of a digest."""
        counts = _latest({(release[:DIGITS], arm): n for (release, arm), n in self._deployment.counts().items()})
        batches = [(release[:DIGITS], found) for release, found in self._deployment.batches().items()]
        yield from _requests(counts)
        yield _seconds(counts)
        yield from _objectives(self._deployment.spec.monitor.slos, counts)
        yield from _queues(batches)
        yield _sizes(batches)
        yield from _worth(self._deployment.measurements())
        yield from self._process()
        yield from self._watched.metrics()

    def _process(self) -> Iterator[Metric]:
        server, deployment = self._server, self._deployment
        yield _gauge("roadworthy_connections", "Clients that are connected.", server.connections)
        yield _gauge("roadworthy_in_flight", "Requests that are being answered.", server.in_flight)
        yield _gauge("roadworthy_ready", "1 where new callers may be sent here.", deployment.ready)
        yield _gauge("roadworthy_models_loaded", "Releases in memory.", len(deployment.status().loaded))
        shadow = deployment.status().shadow
        shown = CounterMetricFamily("roadworthy_shadow_mirrored", "Requests that the shadow was shown.")
        shown.add_metric((), shadow.get("mirrored", 0))
        yield shown
        told = "Requests that it was not shown, by reason."
        dropped = CounterMetricFamily("roadworthy_shadow_dropped", told, labels=("reason",))
        for reason in REASONS:
            dropped.add_metric((reason,), shadow.get(f"dropped_{reason}", 0))
        yield dropped


def registry_of(deployment: Deployment, server: Server | Fronts, watched: Watched | None = None) -> CollectorRegistry:
    """A registry with this server's counters, and those of its process."""
    registry = CollectorRegistry()
    registry.register(Metrics(deployment, server, watched))
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
    told = "Rows of which the model was not sure enough: left to a person or a fallback."
    abstained = CounterMetricFamily("roadworthy_abstained_rows", told, labels=("release", "arm"))
    for labels, counts in counted:
        answered = counts.requests - sum(counts.errors.values())
        ended = {"answer": answered - counts.fallbacks, "fallback": counts.fallbacks, **counts.errors}
        for outcome, n in _most(ended, MOST_ENDS).items():
            requests.add_metric((*labels, outcome), n)
        rows.add_metric(labels, counts.rows)
        abstained.add_metric(labels, counts.abstained)
    yield from (requests, rows, abstained)


def _latest(counts: Mapping[tuple[str, str], Counts]) -> Counted:
    """The arms of the newest releases, and those of all before them as one."""
    releases = list(dict.fromkeys(release for release, _ in counts))
    old = set(releases[:-MOST_RELEASES])
    found: dict[tuple[str, str], Counts] = {}
    for (release, arm), n in counts.items():
        key = (OTHERS if release in old else release, arm)
        found[key] = found[key].merge(n) if key in found else n
    return list(found.items())


def _most(ended: Mapping[str, int], most: int) -> dict[str, int]:
    """The first `most` ends (errors are in the order in which they first happened), and all others together."""
    kept = dict(itertools.islice(ended.items(), most))
    rest = sum(n for name, n in ended.items() if name not in kept)
    return {**kept, OTHERS: rest} if rest else kept


def _objectives(slos: Iterable[Slo], counted: Counted) -> Iterator[Metric]:
    """What burns the budget of each objective. One for a tag is left out: these counters know no tags."""
    asked = CounterMetricFamily("roadworthy_slo_requests", "Requests that count for an objective.", labels=("slo",))
    good = CounterMetricFamily("roadworthy_slo_good", "Requests that met an objective.", labels=("slo",))
    answering = [counts for (_, arm), counts in counted if arm != "shadow"]
    for slo in (slo for slo in slos if not slo.where):
        theirs = sum(n for counts in answering for name, n in counts.errors.items() if name in THEIRS)
        asked.add_metric((slo.name,), sum(counts.requests for counts in answering) - theirs)
        good.add_metric((slo.name,), sum(_within(counts, slo.within_ms / 1000) for counts in answering))
    yield from (asked, good)


def _within(counts: Counts, seconds: float) -> float:
    """Answers that took at most `seconds` (0: any); within the one bucket that it cuts they count as spread evenly.

    That is a quarter of a doubling, so that the count is that of a bound less than 19 % away.
    """
    histogram = counts.stages["total"]
    if not seconds:
        return float(histogram.n)
    cut = bisect_left(BOUNDS, seconds)
    below = sum(histogram.counts[:cut])
    if cut == 0 or cut == len(BOUNDS):
        return float(below)
    low, high = BOUNDS[cut - 1], BOUNDS[cut]
    return below + histogram.counts[cut] * math.log(seconds / low) / math.log(high / low)


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
    by_name = {name: _of_release(name, meaning) for name, meaning in _CACHE.items()}
    for release, found in measured.items():
        for one in found:
            name, scale = _in_base_unit(one)
            if name not in by_name:
                by_name[name] = _of_release(name, f"Measured: {one.name}.")
            if one.n:
                by_name[name].add_metric((release[:DIGITS],), one.value * scale)
    yield from by_name.values()


def _of_release(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=("release",))


def _in_base_unit(one: Measurement) -> tuple[str, float]:
    if one.unit == "ms" and one.name.endswith("_ms"):
        return f"roadworthy_{one.name.removesuffix('_ms')}_seconds", 1e-3
    return f"roadworthy_{one.name}", 1.0


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, float(value))
