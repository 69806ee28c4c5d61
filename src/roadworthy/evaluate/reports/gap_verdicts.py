"""The verdicts of a gap report: each requirement of the application on what a gap measurement found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.stats import nothing
from roadworthy.evaluate.certainty import certainty, who_answered
from roadworthy.evaluate.load_test.load import LoadRun

LATENCIES = ("p50_ms", "p95_ms", "p99_ms", "error_rate")
# What is measured beside the metrics of the task.
SERVED = (*LATENCIES, "throughput_rps", "max_rate_rps", "usd_per_1k", "edges_handled", "ready_ms", "rss_peak")
BESIDE = (*SERVED, *certainty.FIGURES, *who_answered.FIGURES)


def verdicts(
    requirements: Sequence[Requirement], measured: Iterable[Measurement], loaded: LoadRun | None, most: Measurement
) -> Iterator[Verdict]:
    """One verdict a requirement; those on latency wait where the load run was not valid.

    Required throughput is judged by `most`, what can be served, and not by the rate that we chose to send.
    Raises SpecError for a requirement in another unit than its metric.
    """
    known = {(m.name, m.where): m for m in measured}
    if loaded:
        known |= {(m.name, ""): m for m in loaded.measured}
    known["throughput_rps", ""] = msgspec.structs.replace(most, name="throughput_rps")
    for required in requirements:
        verdict = _judged(required, known)
        if loaded and not loaded.valid and required.metric in LATENCIES:
            verdict = Verdict("wait", f"{required}: {loaded.because}", required.metric, verdict.evidence)
        yield verdict


def _judged(required: Requirement, known: Mapping[tuple[str, str], Measurement]) -> Verdict:
    measured = known.get((required.metric, required.where), nothing(required.metric, required.unit, required.where))
    # A unit that the project file leaves out is the metric's own.
    if required.unit == "1":
        required = msgspec.structs.replace(required, unit=measured.unit)
    if measured.unit != required.unit:
        raise SpecError(f"requirement on `{required.metric}` is in {required.unit!r}; write `unit: {measured.unit}`")
    return judge(measured, required)
