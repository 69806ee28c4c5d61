"""Spoils asks about rows that a corruption has spoilt, and about the same rows mended by each repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.evaluate.answers import Answers
from roadworthy.evaluate.base import Corruption, Metric, Repair
from roadworthy.evaluate.mix import Mix, estimate, mixture
from roadworthy.evaluate.paired import change, flips
from roadworthy.evaluate.reports.report import Failure, Repaired, Spoilt
from roadworthy.evaluate.scoring import known
from roadworthy.evaluate.subject import Subject, better, failures

MIXED = "as spoilt as production"


@dataclass(frozen=True)
class Chain:
    """Repairs one after another."""

    repairs: tuple[Repair, ...]

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        """The sample mended by each in turn."""
        for repair in self.repairs:
            sample = repair(sample, lab)
        return sample

    def plan(self, lab: Sample) -> Any:
        """Their plans in order; None where one of them cannot be served."""
        plans = [plan_of(repair, lab) for repair in self.repairs]
        return plans if all(plans) else None


class Tried(NamedTuple):
    """A corruption at one severity: what it did, the spoilt rows, and the answers to them."""

    spoilt: Spoilt
    rows: Sample
    answers: Answers

    @property
    def failures(self) -> list[Failure]:
        """The spoilt rows without an answer."""
        return failures(f"{self.spoilt.name} at {self.spoilt.severity:g}", self.answers)


@dataclass(frozen=True)
class Spoils:
    """The rows of a sample that are asked about, `before` being the answers to them as they came.

    A corruption sees the `whole` sample, as a stale value comes from rows that are not asked about. `harms` keeps what
    each repair does to clean rows, which does not depend on the corruption.
    """

    subject: Subject
    lab: Sample
    whole: Sample
    drawn: NDArray[np.int64]
    before: NDArray[Any]
    metric: Metric
    harms: dict[str, Measurement] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Subject, lab: Sample, sample: Sample, clean: Answers, headline: str) -> Spoils:
        """As many rows as the effort allows, drawn once for all corruptions."""
        effort = subject.effort
        drawn = np.sort(effort.rng().permutation(sample.n)[: effort.corrupted_rows])
        return cls(subject, lab, sample, drawn, clean.values[drawn], subject.metric(headline))

    @cached_property
    def rows(self) -> Sample:
        """The rows as they came."""
        return self.whole.take(self.drawn)

    async def tried(self, corruption: Corruption, severity: float) -> Tried:
        """What the corruption does to the answers."""
        name = called(corruption)
        self.subject.tell(f"{name} at {severity:g}")
        bad = corruption(self.whole, severity, self.subject.effort.rng()).take(self.drawn)
        found = await self.subject.ask(bad, "spoilt")
        return Tried(self.spoilt(name, write_plan(corruption), severity, bad, found), bad, found)

    def spoilt(self, name: str, plan: Any, severity: float, bad: Sample, found: Answers) -> Spoilt:
        """The rows spoilt against the same rows as they came."""
        pair = self.pair(self.before, found.values)
        task, metric = self.subject.application.task, self.metric
        return Spoilt(
            name,
            plan,
            severity,
            changed_rows(self.rows, bad),
            self.subject.measure(bad, found),
            change(metric, *pair, self.subject.effort.rng()),
            flips(*pair, task=task, metric=metric),
        )

    async def mended(self, tried: Tried, repairs: Mapping[str, Repair]) -> list[Repaired]:
        """Every repair that gives something back, the one that gives most first, and all of these one after another."""
        found = [await self._repaired(name, repair, tried) for name, repair in repairs.items()]
        way = better(self.metric) or 1
        helping = sorted(
            (one for one in found if one and helps(one, self.metric)), key=lambda one: -way * one.change.value
        )
        if len(helping) > 1:
            chain = Chain(tuple(repairs[one.name] for one in helping))
            whole = await self._repaired(", then ".join(one.name for one in helping), chain, tried)
            helping += [whole] if whole and way * whole.change.value > way * helping[0].change.value else []
        return helping

    async def _repaired(self, name: str, repair: Repair, tried: Tried) -> Repaired | None:
        spoilt, bad, worse = tried.spoilt, tried.rows, tried.answers.values
        good = repair(bad, self.lab)
        touched = changed_rows(bad, good)
        if not touched:
            return None
        self.subject.tell(f"{spoilt.name}, mended by {name}")
        effort, task = self.subject.effort, self.subject.application.task
        after = await self.subject.ask(good, "mended")
        pair = self.pair(worse, after.values)
        return Repaired(
            name,
            plan_of(repair, self.lab),
            spoilt.name,
            spoilt.severity,
            touched,
            self.headline(worse),
            self.headline(after.values),
            change(self.metric, *pair, effort.rng()),
            await self._harm(name, repair),
            flips(*pair, task=task, metric=self.metric),
        )

    async def _harm(self, name: str, repair: Repair) -> Measurement:
        """What the repair changes where nothing was spoilt."""
        if name not in self.harms:
            again = repair(self.rows, self.lab)
            same = not changed_rows(self.rows, again)
            after = self.before if same else (await self.subject.ask(again, "harm")).values
            self.harms[name] = change(self.metric, *self.pair(self.before, after), self.subject.effort.rng())
        return self.harms[name]

    def headline(self, values: NDArray[Any]) -> Measurement:
        """The headline metric of answers to these rows."""
        return self.metric(self.subject.labels(self.rows), values)

    def pair(self, before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Labels and both answers of the rows that have all three."""
        labels = self.subject.labels(self.rows)
        both = known(labels, before, after)
        return labels[both], before[both], after[both]


async def spoil(
    spoils: Spoils, corruptions: Sequence[Corruption], repairs: Mapping[str, Repair]
) -> tuple[tuple[Spoilt, ...], tuple[Repaired, ...], list[Failure]]:
    """Every corruption at every severity; repairs are tried where a corruption hurts, at its worst level."""
    found, mended, failed = list[Spoilt](), list[Repaired](), list[Failure]()
    for corruption in corruptions:
        levels = [await spoils.tried(corruption, severity) for severity in spoils.subject.effort.severities]
        found += [level.spoilt for level in levels]
        failed += [failure for level in levels for failure in level.failures]
        worst = hurt([level.spoilt for level in levels], spoils.metric)
        if worst is not None:
            mended += await spoils.mended(next(level for level in levels if level.spoilt is worst), repairs)
    return tuple(found), tuple(mended), failed


async def mix(
    subject: Subject, lab: Sample, production: Sample, on_lab: Answers, headline: str
) -> tuple[Mix | None, Spoilt | None]:
    """What production's texts say has befallen them, and the lab's rows spoilt in the same measure."""
    if not lab.of_kind("text") or not production.n:
        return None, None
    subject.tell("how spoilt production's texts are")
    found = estimate(production, lab, subject.effort.rng())
    spoils = Spoils.of(subject, lab, lab, on_lab, headline)
    bad = mixture(lab, found, subject.effort.rng()).take(spoils.drawn)
    asked = await subject.ask(bad, "mixed")
    return found, spoils.spoilt(MIXED, "", 1.0, bad, asked)


def hurt(levels: Sequence[Spoilt], metric: Metric) -> Spoilt | None:
    """The level that hurts most, of those that hurt beyond doubt; None where none does."""
    way = better(metric)
    surely = [one for one in levels if one.change.n and (one.change.high < 0 if way > 0 else one.change.low > 0)]
    return max(surely, key=lambda one: abs(one.change.value), default=None) if way else None


def helps(one: Repaired, metric: Metric) -> bool:
    """Does a repair give something back beyond doubt?"""
    return bool(one.change.n) and (one.change.low > 0 if better(metric) > 0 else one.change.high < 0)


def plan_of(repair: Repair, lab: Sample) -> Any:
    """What to write under `preprocessing` for a repair; "" where nothing serves it yet."""
    plan = getattr(repair, "plan", None)
    return (plan(lab) if callable(plan) else plan) or ""


def called(corruption: Corruption) -> str:
    """What a person calls this corruption: its own `called`, or its name with the columns that it spoils.

    >>> from roadworthy.evaluate.corruptions.blank import Blank
    >>> called(Blank(columns=("temp", "dewp")))
    'blank temp, dewp'
    """
    given = getattr(corruption, "called", "")
    if given:
        return str(given)
    form = getattr(corruption, "form", "")
    columns = getattr(corruption, "columns", ()) or tuple(filter(None, [getattr(corruption, "column", "")]))
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    name = getattr(corruption, "catalog_name", type(corruption).__name__)
    words = " ".join(filter(None, (name, form))).replace("_", " ")
    return f"{words} {', '.join(columns[:3])}{more}".strip()


def changed_rows(before: Sample, after: Sample) -> int:
    """How many rows differ in at least one column; a null is equal to a null."""
    touched = np.zeros(before.n, dtype=bool)
    for name, column in before.columns.items():
        other = after.columns[name]
        if other is not column:
            differs = (column != other) & ~((column != column) & (other != other))
            touched |= differs.reshape(before.n, -1).any(axis=1) if before.n else touched
    return int(touched.sum())


def worst_levels(spoilt: Sequence[Spoilt]) -> Iterator[Spoilt]:
    """Of each corruption the severity that moves the headline most, which need not be the highest."""
    for name in dict.fromkeys(one.name for one in spoilt):
        levels = [one for one in spoilt if one.name == name and one.change.n]
        if levels:
            yield max(levels, key=lambda one: abs(one.change.value))
