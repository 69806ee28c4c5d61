"""Operation measures what a model gives while it works: under load, at its limit, in a crowd, and for how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Cost
from roadworthy.core.stats import nothing
from roadworthy.core.wire import Handler, Request
from roadworthy.cost.prices import usd_per_1k
from roadworthy.evaluate.answers import request_of
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.crowd.equality import Equality, equalities
from roadworthy.evaluate.crowd.under_load import UnderLoad, under_load
from roadworthy.evaluate.load_test.load import LoadRun, capacity, load
from roadworthy.evaluate.load_test.search import Pace, Search, largest_rate
from roadworthy.evaluate.process.memory import Memory, Watch
from roadworthy.evaluate.subject import Subject

# Without a latency that the application asks for, a rate is too high where the slowest hundredth takes a second.
USUAL_SLO = (Requirement("p99_ms", at_most=1000.0, unit="ms"), Requirement("error_rate", at_most=0.01))
LATENCY = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99.9_ms")


@dataclass
class Operation:
    """What was found so far; parts that the effort leaves out stay empty."""

    capacity: Measurement = field(default_factory=lambda: nothing("capacity_rps", "rps"))
    load: LoadRun | None = None
    search: Search | None = None
    memory: Memory | None = None
    under_load: UnderLoad | None = None
    equalities: tuple[Equality, ...] = ()
    cost: Measurement | None = None

    @property
    def most(self) -> Measurement:
        """What can be served: the largest rate within the SLO where it was searched for, or else the capacity."""
        return self.capacity if self.search is None else self.search.max_rate

    def sections(self) -> dict[str, Any]:
        """What was found, under the names of a report's sections."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


async def operate(
    subject: Subject,
    served: Handler,
    sample: Sample,
    metric: Metric,
    cost: Cost,
    pid: int | None = None,
    cached: Handler | None = None,
) -> Operation:
    """All of it, on production's rows; `pid` is the process whose memory is watched meanwhile (none: nobody's).

    `cached` is the same model behind its cache, whose answers are to be those of `served`, which has none.
    """
    found, effort = Operation(), subject.effort
    if not sample.n:
        return found
    if effort.load_seconds:
        subject.tell("load")
        with Watch(pid) as watch:
            found.capacity, found.load = await _load(subject, served, sample)
            if effort.search_seconds:
                subject.tell("the largest rate within the SLO")
                found.search = await _search(subject, served, sample, found)
        found.memory = watch.memory(_answered(found)) if pid is not None else None
    if effort.crowd_rows:
        subject.tell("the same rows in a crowd")
        found.under_load, found.equalities = await _crowd(subject, served, sample, metric, cached)
    found.cost = _price(cost, found)
    return found


def slo_of(requirements: Sequence[Requirement]) -> tuple[Requirement, ...]:
    """What the application requires of latency and errors, and the usual where it says nothing of one of them."""
    asked = [one for one in requirements if one.at_most is not None and not one.where]
    slow = tuple(one if one.unit != "1" else replace(one, unit="ms") for one in asked if one.metric in LATENCY)
    errors = tuple(one for one in asked if one.metric == "error_rate")
    return (*(slow or USUAL_SLO[:1]), *(errors or USUAL_SLO[1:]))


async def _load(subject: Subject, served: Handler, sample: Sample) -> tuple[Measurement, LoadRun]:
    effort, requests = subject.effort, _requests(subject, sample)
    most = await capacity(served, requests, min(2.0, effort.load_seconds))
    required = [r.at_least for r in subject.application.requirements if r.metric == "throughput_rps" and r.at_least]
    rate = effort.rate or max(required, default=0.5 * most.value)
    return most, await load(served, requests, max(float(rate), 1.0), effort.load_seconds, effort.rng())


async def _search(subject: Subject, served: Handler, sample: Sample, found: Operation) -> Search | None:
    effort = subject.effort
    if not found.capacity.value > 0:
        return None
    slo = slo_of(subject.application.requirements)
    pace = Pace(seconds=effort.search_seconds, looks=3, tolerance=0.1, repeats=effort.search_repeats)
    start = 0.5 * found.capacity.value
    return await largest_rate(served, _requests(subject, sample), slo, start, effort.rng(), pace=pace)


async def _crowd(
    subject: Subject, served: Handler, sample: Sample, metric: Metric, cached: Handler | None
) -> tuple[UnderLoad, tuple[Equality, ...]]:
    effort, task = subject.effort, subject.application.task
    drawn = np.sort(effort.rng().permutation(sample.n)[: effort.crowd_rows])
    rows, signature = sample.take(drawn), subject.signature
    crowd = await under_load(served, rows, signature, metric, effort.rng(), task=task, levels=effort.crowds)
    if task == "generation":  # which answers one row a request
        return crowd, ()
    return crowd, await equalities(served, rows, signature, effort.rng(), cached=cached)


def _requests(subject: Subject, sample: Sample) -> list[Request]:
    rows = subject.effort.rng().integers(0, sample.n, min(sample.n, 2000))
    return [request_of(sample.take(slice(row, row + 1)), subject.signature, f"load-{row}") for row in rows]


def _answered(found: Operation) -> int:
    return found.capacity.n + (max(m.n for m in found.load.measured) if found.load else 0)


def _price(cost: Cost, found: Operation) -> Measurement | None:
    """From the rate within the SLO where it was searched for; else from the capacity, which is no goodput."""
    if not cost.usd_per_hour:
        return None
    if not found.most.n:
        return None
    priced: Measurement = usd_per_1k(cost.usd_per_hour, found.most, cost.utilisation)
    if found.search is not None:
        return priced
    return replace(
        priced, conditions={**priced.conditions, "objective": "none: from the capacity, whatever the latency"}
    )
