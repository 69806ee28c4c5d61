"""Gap measures what lies between a claim and production, step by step, on one Handler."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Claim, Measurement, Requirement, Verdict, judge
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Cost, Field, Signature
from roadworthy.core.stats import nothing
from roadworthy.core.wire import Handler
from roadworthy.cost.prices import usd_per_1k
from roadworthy.evaluate.answers import Answers, ask, request_of
from roadworthy.evaluate.base import Corruption, Metric
from roadworthy.evaluate.environment import environment
from roadworthy.evaluate.load import LoadRun, capacity, load
from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.base_rate import BaseRate
from roadworthy.evaluate.metrics.ece import Ece
from roadworthy.evaluate.metrics.log_loss import LogLoss
from roadworthy.evaluate.paired import change, flips
from roadworthy.evaluate.report import Failure, GapReport, Rung, Slice, Spoilt
from roadworthy.evaluate.reproduce import Reproduction, reproduce
from roadworthy.evaluate.slices import Rows, slices

METRICS: tuple[Metric, ...] = (Auc(), LogLoss(), Ece(), Accuracy(), BaseRate())
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How much is asked of the handler, and the seed of all that is drawn.

    `corrupted_rows` of the production sample are asked about per corruption and severity. The load runs at `rate`
    requests a second; 0 means what the application requires (`throughput_rps`), or half of the capacity found.
    `load_seconds` 0 leaves the load test out.
    """

    batch_rows: int = 256
    corrupted_rows: int = 20_000
    severities: tuple[float, ...] = (0.5, 1.0)
    slice_rows: int = 200
    rate: float = 0.0
    load_seconds: float = 5.0
    seed: int = 0


def gap(
    handler: Handler,
    application: Application,
    lab: Sample,
    production: Sample,
    *,
    claims: Sequence[Claim] = (),
    corruptions: Sequence[Corruption] = (),
    metrics: Sequence[Metric] = METRICS,
    cost: Cost | None = None,
    effort: Effort | None = None,
    served: Handler | None = None,
    now: float = 0.0,
    tell: Callable[[str], None] = lambda step: None,
) -> GapReport:
    """Claim, lab, production, corruptions, load, cost and verdicts, in that order, with one event loop for them all.

    `lab` is the data of the claim, `production` what really arrives. Load is put on `served` where it is given: the
    same model behind a server, say. `tell` hears the name of each step as it begins.
    Raises SpecError when the task is not binary, or when a requirement names a metric that nothing here measures.
    """
    if application.task != "binary":
        raise SpecError(f"the gap of a {application.task!r} task cannot be measured yet; `task` must be 'binary'")
    run = _Run(handler, served or handler, application, tuple(metrics), effort or Effort(), cost or Cost(), tell)
    run.check(claims)
    return asyncio.run(_closing(run.served, run.report(lab, production, claims, corruptions, now)))


@dataclass(frozen=True)
class _Run:
    """One measurement in the making: what every step needs to know."""

    handler: Handler
    served: Handler
    application: Application
    metrics: tuple[Metric, ...]
    effort: Effort
    cost: Cost
    tell: Callable[[str], None]

    @property
    def signature(self) -> Signature:
        return Signature(self.application.inputs, {self.application.output: Field()})

    def check(self, claims: Sequence[Claim]) -> None:
        known = {*self.names(), "p50_ms", "p95_ms", "p99_ms", "error_rate", "throughput_rps", "usd_per_1k"}
        for wanted in (*(r.metric for r in self.application.requirements), *(c.metric for c in claims)):
            if wanted not in known:
                raise SpecError(unknown("metric", wanted, known))

    def names(self) -> list[str]:
        empty = np.empty(0)
        return [metric(empty, empty).name for metric in self.metrics]

    async def report(
        self, lab: Sample, production: Sample, claims: Sequence[Claim], corruptions: Sequence[Corruption], now: float
    ) -> GapReport:
        headline = next((c.metric for c in claims if c.metric in self.names()), self.names()[0])
        self.tell("reproduce the claim")
        on_lab = await self.ask(lab, "lab")
        measured_lab = self.measure(lab, on_lab)
        lab_parts = [m for part in self.slices(lab, on_lab) for m in part.measured]
        self.tell("production as it comes")
        on_production = await self.ask(production, "production")
        measured = self.measure(production, on_production)
        parts = tuple(self.slices(production, on_production))
        spoilt, spoilt_failures = await self.spoil(production, on_production, corruptions, headline)
        self.tell("load")
        most, loaded = await self.load(production)
        cost = self.price(most)
        return GapReport(
            name=self.application.name,
            made_at=now,
            headline=headline,
            reproductions=tuple(_reproductions(claims, (*measured_lab, *lab_parts), lab.digest)),
            lab=measured_lab,
            production=measured,
            slices=parts,
            spoilt=spoilt,
            load=loaded,
            capacity=most,
            cost=cost,
            verdicts=tuple(self.verdicts(measured, parts, loaded, most, cost)),
            waterfall=tuple(_waterfall(headline, claims, measured_lab, measured, spoilt)),
            failures=(*_failures("lab", on_lab), *_failures("production", on_production), *spoilt_failures),
            environment=environment(),
            settings={**asdict(self.effort), "lab": _data(lab), "production": _data(production)},
            owner=self.application.owner,
            meaning=self.application.meaning,
        )

    async def ask(self, sample: Sample, prefix: str) -> Answers:
        return await ask(self.handler, sample, self.signature, self.effort.batch_rows, prefix=prefix)

    def measure(
        self, sample: Sample, found: Answers, rows: NDArray[Any] | None = None, where: str = ""
    ) -> tuple[Measurement, ...]:
        labels = np.full(sample.n, np.nan) if sample.labels is None else sample.labels
        labels, values = (labels, found.values) if rows is None else (labels[rows], found.values[rows])
        known = ~np.isnan(labels) & ~np.isnan(values)
        return tuple(metric(labels[known], values[known], where) for metric in self.metrics)

    def slices(self, sample: Sample, found: Answers) -> Iterator[Slice]:
        for where, rows in slices(sample, self.effort.slice_rows):
            yield Slice(where, self.measure(sample, found, rows, where))

    async def spoil(
        self, sample: Sample, clean: Answers, corruptions: Sequence[Corruption], headline: str
    ) -> tuple[tuple[Spoilt, ...], list[Failure]]:
        rows = np.sort(np.random.default_rng(self.effort.seed).permutation(sample.n)[: self.effort.corrupted_rows])
        metric = self.metrics[self.names().index(headline)]
        results, failures = [], []
        for corruption in corruptions:
            for severity in self.effort.severities:
                self.tell(f"{called(corruption)} at {severity:g}")
                result, failed = await self.spoil_once(sample, clean.values[rows], rows, corruption, severity, metric)
                results.append(result)
                failures += failed
        return tuple(results), failures

    async def spoil_once(
        self, sample: Sample, before: Floats, rows: Rows, corruption: Corruption, severity: float, metric: Metric
    ) -> tuple[Spoilt, list[Failure]]:
        name = called(corruption)
        # A corruption sees the whole sample, as a stale value comes from rows that are not asked about.
        bad = corruption(sample, severity, np.random.default_rng(self.effort.seed)).take(rows)
        found = await self.ask(bad, "spoilt")
        labels = np.full(bad.n, np.nan) if bad.labels is None else bad.labels
        known = ~np.isnan(labels) & ~np.isnan(before) & ~np.isnan(found.values)
        pair = (labels[known], before[known], found.values[known])
        moved = change(metric, *pair, np.random.default_rng(self.effort.seed))
        touched = changed_rows(sample.take(rows), bad)
        result = Spoilt(name, write_plan(corruption), severity, touched, self.measure(bad, found), moved, flips(*pair))
        return result, _failures(f"{name} at {severity:g}", found)

    async def load(self, sample: Sample) -> tuple[Measurement, LoadRun | None]:
        if not self.effort.load_seconds or not sample.n:
            return nothing("capacity_rps", "rps"), None
        rng = np.random.default_rng(self.effort.seed)
        rows = rng.integers(0, sample.n, min(sample.n, 2000))
        requests = [request_of(sample.take(slice(row, row + 1)), self.signature, f"load-{row}") for row in rows]
        most = await capacity(self.served, requests, min(2.0, self.effort.load_seconds))
        required = [r.at_least for r in self.application.requirements if r.metric == "throughput_rps" and r.at_least]
        rate = self.effort.rate or max(required, default=0.5 * most.value)
        return most, await load(self.served, requests, max(float(rate), 1.0), self.effort.load_seconds, rng)

    def price(self, most: Measurement) -> Measurement | None:
        if not self.cost.usd_per_hour or not most.n:
            return None
        priced: Measurement = usd_per_1k(self.cost.usd_per_hour, most, self.cost.utilisation)
        return priced

    def verdicts(
        self,
        measured: Sequence[Measurement],
        parts: Sequence[Slice],
        loaded: LoadRun | None,
        most: Measurement,
        cost: Measurement | None,
    ) -> Iterator[Verdict]:
        known = {(m.name, m.where): m for m in (*measured, *(m for part in parts for m in part.measured))}
        if loaded:
            known |= {(m.name, ""): m for m in loaded.measured}
        # Required throughput is a question about what can be served, not about the rate that we chose to send.
        known["throughput_rps", ""] = msgspec.structs.replace(most, name="throughput_rps")
        if cost:
            known["usd_per_1k", ""] = cost
        for required in self.application.requirements:
            verdict = _judged(required, known)
            if loaded and not loaded.valid and required.metric in {"p50_ms", "p95_ms", "p99_ms", "error_rate"}:
                verdict = Verdict("wait", f"{required}: {loaded.because}", required.metric, verdict.evidence)
            yield verdict


async def _closing(handler: Handler, work: Awaitable[GapReport]) -> GapReport:
    """What the work gives; a client's connections belong to the loop of the work, and are closed with it."""
    try:
        return await work
    finally:
        leave = getattr(handler, "__aexit__", None)
        if leave is not None:
            await leave(None, None, None)


def called(corruption: Corruption) -> str:
    """What a person calls this corruption: its own `called`, or its name with the columns that it spoils.

    >>> from roadworthy.evaluate.corruptions.blank import Blank
    >>> called(Blank(columns=("temp", "dewp")))
    'blank temp, dewp'
    """
    given = getattr(corruption, "called", "")
    if given:
        return str(given)
    columns = getattr(corruption, "columns", ()) or tuple(filter(None, [getattr(corruption, "column", "")]))
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    name = getattr(corruption, "catalog_name", type(corruption).__name__).replace("_", " ")
    return f"{name} {', '.join(columns[:3])}{more}".strip()


def changed_rows(before: Sample, after: Sample) -> int:
    """How many rows differ in at least one column; a null is equal to a null."""
    touched = np.zeros(before.n, dtype=bool)
    for name, column in before.columns.items():
        other = after.columns[name]
        if other is not column:
            touched |= (column != other) & ~((column != column) & (other != other))
    return int(touched.sum())


def _judged(required: Requirement, known: Mapping[tuple[str, str], Measurement]) -> Verdict:
    measured = known.get((required.metric, required.where), nothing(required.metric, required.unit, required.where))
    # A unit that the project file leaves out is the metric's own.
    if required.unit == "1":
        required = msgspec.structs.replace(required, unit=measured.unit)
    if measured.unit != required.unit:
        raise SpecError(f"requirement on `{required.metric}` is in {required.unit!r}; write `unit: {measured.unit}`")
    return judge(measured, required)


def _reproductions(claims: Sequence[Claim], measured: Sequence[Measurement], digest: str) -> Iterator[Reproduction]:
    found = {(m.name, m.where): m for m in measured}
    for claim in claims:
        none = nothing(claim.metric, where=claim.where)
        yield reproduce(claim, found.get((claim.metric, claim.where), none), digest)


def _waterfall(
    headline: str,
    claims: Sequence[Claim],
    lab: Sequence[Measurement],
    production: Sequence[Measurement],
    spoilt: Sequence[Spoilt],
) -> Iterator[Rung]:
    """The claim, the lab and production one after the other, then each corruption where it moves most."""
    start = math.nan
    claim = next((c for c in claims if c.metric == headline), None)
    if claim:
        low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
        yield Rung("claimed", "claim", Measurement(headline, claim.value, 0, low, high), start)
        start = claim.value
    in_lab, in_production = (next(m for m in found if m.name == headline) for found in (lab, production))
    yield Rung("measured in the lab", "lab", in_lab, start)
    yield Rung("production as it comes", "production", in_production, in_lab.value)
    for worst in _worst(spoilt):
        after = next(m for m in worst.measured if m.name == headline)
        name = worst.name if worst.severity == 1 else f"{worst.name} at {worst.severity:g}"
        yield Rung(name, "corruption", after, after.value - worst.change.value)


def _worst(spoilt: Sequence[Spoilt]) -> Iterator[Spoilt]:
    """Of each corruption the severity that moves the headline most, which need not be the highest."""
    for name in dict.fromkeys(s.name for s in spoilt):
        known = [s for s in spoilt if s.name == name and s.change.n]
        if known:
            yield max(known, key=lambda s: abs(s.change.value))


def _failures(where: str, found: Answers) -> list[Failure]:
    return [Failure(where, because, rows) for because, rows in found.reasons.items()]


def _data(sample: Sample) -> dict[str, Any]:
    labelled = 0 if sample.labels is None else int((~np.isnan(sample.labels)).sum())
    return {"source": sample.source, "digest": sample.digest, "rows": sample.n, "labelled": labelled}
