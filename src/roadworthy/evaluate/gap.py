"""Gap measures what lies between a claim and production, step by step, on one Handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Cost
from roadworthy.core.stats import nothing
from roadworthy.core.wire import Handler
from roadworthy.core.worse_slices import Facet, WorseSlice, worse_slices
from roadworthy.evaluate.answers import Answers
from roadworthy.evaluate.base import Corruption, Edge, Metric, Repair
from roadworthy.evaluate.certainty.knowledge import Knowledge, Tables
from roadworthy.evaluate.certainty.who_answered import priced
from roadworthy.evaluate.environment import environment
from roadworthy.evaluate.hostile.edge_runs import EdgeEffort, EdgeReport, ask_edges
from roadworthy.evaluate.operation import Operation, operate
from roadworthy.evaluate.paired import row_values
from roadworthy.evaluate.process.cold_start import ColdStart
from roadworthy.evaluate.reports.gap_verdicts import BESIDE, verdicts
from roadworthy.evaluate.reports.report import GapReport, Slice
from roadworthy.evaluate.reports.waterfall import effective, waterfall
from roadworthy.evaluate.reproduction.causes import Asked, explain
from roadworthy.evaluate.reproduction.reproduce import Reproduction, reproduce
from roadworthy.evaluate.scoring import known
from roadworthy.evaluate.shift import answers_shift, shift
from roadworthy.evaluate.slices import EVERYDAY, facets, slices
from roadworthy.evaluate.spoils import Spoils, mix, spoil
from roadworthy.evaluate.standard import standard_metrics
from roadworthy.evaluate.subject import Effort as Effort
from roadworthy.evaluate.subject import Subject, better, failures
from roadworthy.evaluate.unlabelled import confidence


def gap(
    handler: Handler,
    application: Application,
    lab: Sample,
    production: Sample,
    *,
    claims: Sequence[Claim] = (),
    corruptions: Sequence[Corruption] = (),
    repairs: Mapping[str, Repair] | None = None,
    edges: Mapping[str, Edge] | None = None,
    metrics: Sequence[Metric] | None = None,
    cost: Cost | None = None,
    effort: Effort | None = None,
    served: Handler | None = None,
    served_pid: int | None = None,
    cached: Handler | None = None,
    cold: Callable[[], ColdStart] | None = None,
    members: Sequence[str] = (),
    target: float | None = None,
    now: float = 0.0,
    tell: Callable[[str], None] = lambda step: None,
) -> GapReport:
    """Claim, lab, production, certainty, corruptions, edges, load, crowd, cold start, cost and verdicts, on one loop.

    `lab` is the data of the claim, `production` what really arrives. Load is put on `served` where it is given: the
    same model behind a server, say, whose process `served_pid` is; `cached` is that model behind its cache. `repairs`
    and `edges` go by the names that people know them by, and `cold` measures cold starts. `metrics` are those of the
    task (`standard_metrics`) where none are given; the first is the headline unless a claim is about another.
    `members` are the models of a handler that has several, the cheapest first (else they are read off the ways of the
    answers), and `target` is the coverage that its prediction sets or intervals promise (else what a requirement says
    of `coverage`). `tell` hears the name of each step as it begins.
    Raises SpecError where the classes of a multiclass task are not named, a metric is for another task, or a
    requirement names a metric that nothing here measures.
    """
    chosen = standard_metrics(application) if metrics is None else tuple(metrics)
    subject = Subject(handler, application, chosen, effort or Effort(), tell)
    run = _Run(
        subject,
        served or handler,
        cost or Cost(),
        dict(repairs or {}),
        dict(edges or {}),
        served_pid,
        cached,
        cold,
        tuple(members),
        target,
    )
    run.check()
    lab, production = (_described(sample, application) for sample in (lab, production))
    return asyncio.run(_closing(run.served, run.report(lab, production, claims, corruptions, now)))


@dataclass(frozen=True)
class _Run:
    """One measurement in the making; each step is a method."""

    subject: Subject
    served: Handler
    cost: Cost
    repairs: Mapping[str, Repair]
    edges: Mapping[str, Edge]
    pid: int | None
    cached: Handler | None
    cold: Callable[[], ColdStart] | None
    members: tuple[str, ...]
    target: float | None
    seconds: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        task = self.subject.application.task
        for metric in self.subject.metrics:
            if task not in metric.tasks:
                told = f"metric {metric!r} is for {' and '.join(metric.tasks)}"
                raise SpecError(f"{told}, and the task is {task!r}; leave it out")
        measured = {*self.subject.names(), *BESIDE}
        for required in self.subject.application.requirements:
            if required.metric not in measured:
                raise SpecError(unknown("metric", required.metric, measured))

    async def report(
        self, lab: Sample, production: Sample, claims: Sequence[Claim], corruptions: Sequence[Corruption], now: float
    ) -> GapReport:
        subject, names = self.subject, self.subject.names()
        headline = next((c.metric for c in claims if c.metric in names), names[0])
        async with self.step("lab"):
            on_lab = await subject.ask(lab, "lab")
            in_lab = subject.measure(lab, on_lab)
            reproductions = await self.reproduce(claims, lab, on_lab, in_lab, production)
        async with self.step("production"):
            on_production = await subject.ask(production, "production")
            seen = self.production(lab, on_lab, production, on_production, headline)
        async with self.step("certainty"):
            tables: Tables = {"lab": (lab, on_lab), "production": (production, on_production)}
            knows = Knowledge.of(subject, tables, self.members, self.target)
        async with self.step("corruptions"):
            found, mixed = await mix(subject, lab, production, on_lab, headline)
            spoils = Spoils.of(subject, lab, production, on_production, headline)
            spoilt, repaired, spoilt_failures = await spoil(spoils, corruptions, self.repairs)
        async with self.step("edges"):
            at_edges = await self.at_edges(lab)
        async with self.step("operation"):
            metric = subject.metric(headline)
            ran = await operate(subject, self.served, production, metric, self.cost, self.pid, self.cached)
            ran.cost = priced(ran.cost, knows.mixture)
        async with self.step("cold start"):
            cold = self.cold() if self.cold is not None else None
        whole = next(m for m in seen["production"] if m.name == headline)
        judged = (*self.judged(seen["production"], seen["slices"], at_edges, ran, cold), *knows.in_production)
        return GapReport(
            headline=headline,
            reproductions=reproductions,
            lab=in_lab,
            spoilt=spoilt,
            mix=found,
            mixed=mixed,
            repairs=repaired,
            edges=at_edges,
            cold=cold,
            waterfall=tuple(waterfall(headline, claims, in_lab, seen["production"], spoilt, mixed, ran.under_load)),
            effective=effective(whole, ran.under_load),
            verdicts=tuple(verdicts(subject.application.requirements, judged, ran.load, ran.most)),
            failures=(*failures("lab", on_lab), *failures("production", on_production), *spoilt_failures),
            **seen,
            **knows.sections(),
            **ran.sections(),
            **self.about(lab, production, now),
        )

    def production(self, lab: Sample, on_lab: Answers, sample: Sample, found: Answers, headline: str) -> dict[str, Any]:
        """What the rows of production say: scored by slice where labelled, their distance from the lab anyway."""
        return {
            "production": self.subject.measure(sample, found),
            "slices": tuple(self.slices(sample, found)),
            "weak": self.weak(sample, found, headline),
            "shift": (*shift(lab, sample), *answers_shift(on_lab.values, found.values)),
            "unlabelled": confidence(found.values, self.subject.application.task),
        }

    def about(self, lab: Sample, production: Sample, now: float) -> dict[str, Any]:
        """What was measured, on which rows, where, and how long it took."""
        subject, application = self.subject, self.subject.application
        return {
            "name": application.name,
            "owner": application.owner,
            "meaning": application.meaning,
            "task": application.task,
            "requirements": application.requirements,
            "made_at": now,
            "environment": environment(),
            "settings": {**asdict(subject.effort), "lab": subject.data(lab), "production": subject.data(production)},
            "seconds": self.seconds,
        }

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        self.subject.tell(name)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    async def reproduce(
        self,
        claims: Sequence[Claim],
        lab: Sample,
        on_lab: Answers,
        measured: Sequence[Measurement],
        production: Sample,
    ) -> tuple[Reproduction, ...]:
        """Each claim against what was measured, with the cause where it is not reproduced."""
        parts = [m for part in self.slices(lab, on_lab) for m in part.measured]
        by_name = {(m.name, m.where): m for m in (*measured, *parts)}
        found = []
        for claim in claims:
            none = nothing(claim.metric, where=claim.where)
            first = reproduce(claim, by_name.get((claim.metric, claim.where), none), lab.digest)
            found.append(await self.explained(first, lab, on_lab, production))
        return tuple(found)

    async def explained(self, first: Reproduction, lab: Sample, on_lab: Answers, production: Sample) -> Reproduction:
        subject, name = self.subject, first.claim.metric
        if name not in subject.names() or first.claim.where:
            return first
        application = subject.application
        asked = Asked(lab, on_lab.values, application.task, subject.metric(name), application.classes)

        async def ask(changed: Sample) -> NDArray[Any]:
            return (await subject.ask(changed, "cause")).values

        # The lab is what is in doubt: what is normal is what the application declares, or what production has.
        declared = lab.take(slice(0, 0))
        mended = {called: _by(repair, declared) for called, repair in self.repairs.items()}
        mended |= {f"{called}, as in production": _by(repair, production) for called, repair in self.repairs.items()}
        return await explain(first, asked, ask=ask, repairs=mended, rng=subject.effort.rng())

    def slices(self, sample: Sample, found: Answers) -> Iterator[Slice]:
        for where, rows in slices(sample, self.subject.effort.slice_rows, kinds=EVERYDAY):
            yield Slice(where, self.subject.measure(sample, found, rows, where))

    def weak(self, sample: Sample, found: Answers, headline: str) -> tuple[WorseSlice, ...]:
        """Parts that are worse than the rest, by the first metric that has a value for each row."""
        labels = self.subject.labels(sample)
        rows = known(labels, found.values)
        for metric in (self.subject.metric(headline), *self.subject.metrics):
            values = row_values(metric, labels[rows], found.values[rows]) if better(metric) and rows.any() else None
            if values is not None:
                errors = np.full(sample.n, np.nan)
                values = np.asarray(values, dtype=np.float64)
                errors[rows] = 1.0 - values if better(metric) > 0 else values
                return _worse(sample, errors, self.subject.effort.slice_rows)
        return ()

    async def at_edges(self, sample: Sample) -> EdgeReport | None:
        if not self.subject.effort.edges or not self.edges:
            return None
        effort, subject = EdgeEffort(seed=self.subject.effort.seed), self.subject
        # Through the door that callers come through, which refuses what the model should never see.
        return await ask_edges(self.served, sample, subject.signature, self.edges, effort, subject.tell)

    def judged(
        self,
        measured: Sequence[Measurement],
        parts: Sequence[Slice],
        edges: EdgeReport | None,
        ran: Operation,
        cold: ColdStart | None,
    ) -> Iterator[Measurement]:
        """Everything that a requirement may be about."""
        yield from measured
        for part in parts:
            yield from part.measured
        yield from edges.measured if edges else ()
        yield from [one for one in (ran.cost, ran.search and ran.search.max_rate, cold and cold.ready) if one]
        yield from [ran.memory.peak] if ran.memory else ()


def _described(sample: Sample, application: Application) -> Sample:
    """The sample with what the application says of its columns."""
    return replace(sample, fields={**application.inputs, **sample.fields})


def _worse(sample: Sample, errors: NDArray[np.float64], at_least: int) -> tuple[WorseSlice, ...]:
    """The parts of a sample with the higher errors: 0 and 1 (wrong), or losses, NaN where unknown."""
    known = np.flatnonzero(~np.isnan(errors))
    cut = [Facet.of(name, values) for name, values in facets(sample.take(known))]
    name = "wrong" if np.isin(errors[known], (0.0, 1.0)).all() else "loss"
    return worse_slices(cut, errors[known], name=name, at_least=at_least, most=20)


def _by(repair: Repair, normal: Sample) -> Callable[[Sample], Sample]:
    return lambda sample: repair(sample, normal)


async def _closing(handler: Handler, work: Awaitable[GapReport]) -> GapReport:
    """What the work gives; a client's connections belong to the loop of the work, and are closed with it."""
    try:
        return await work
    finally:
        leave = getattr(handler, "__aexit__", None)
        if leave is not None:
            await leave(None, None, None)
