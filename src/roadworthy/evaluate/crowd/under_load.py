"""Quality under load asks the same labelled rows alone and in a crowd, and compares the answers row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge, worst
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Signature, Task
from roadworthy.core.stats import nothing, proportion
from roadworthy.core.wire import Handler
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.crowd.equality import (
    Likeness,
    Mask,
    beyond_noise,
    distances,
    fault_words,
    moved_rows,
    worst_distance,
)
from roadworthy.evaluate.crowd.matching import Fault, Matched, ask_matched
from roadworthy.evaluate.paired import change
from roadworthy.evaluate.scoring import known


class Level(Struct, frozen=True):
    """The rows asked with `in_flight` at a time, against the same rows asked one at a time.

    `value` and `change` count a row without an answer as a wrong one; `value_answered` and `change_answered` leave it
    out. `differing` counts rows answered both times; `beyond_noise` counts failures too, and takes off what differs
    between two rounds of one at a time. `peak` is how many were really in flight.
    """

    in_flight: int
    peak: int
    value: Measurement
    change: Measurement
    value_answered: Measurement
    change_answered: Measurement
    differing: Measurement
    beyond_noise: Measurement
    worst: Measurement
    error_rate: Measurement
    faults: tuple[Fault, ...]
    failures: dict[str, int]
    verdict: Verdict


class UnderLoad(Struct, frozen=True):
    """Quality at each level of concurrency. The first level is one at a time, once more: what differs there is noise.

    `alone` is the metric of the first round, with which every level is compared.
    """

    metric: str
    rows: int
    alone: Measurement
    levels: tuple[Level, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Bounds:
    """What is allowed under load: how far the metric may fall, and how many answers may be others than before.

    Where answers may differ as long as they are as good (text drawn by chance), set `most_differing` to 1.
    """

    margin: float = 0.01
    likeness: Likeness = field(default_factory=Likeness)

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise ValueError(f"`margin` must be 0 or more, got {self.margin!r}")


async def under_load(
    handler: Handler,
    sample: Sample,
    signature: Signature,
    metric: Metric | None,
    rng: np.random.Generator,
    *,
    task: Task = "binary",
    levels: Sequence[int] = (10, 50),
    bounds: Bounds | None = None,
    patience_seconds: float = 60.0,
    parameters: Mapping[str, Any] | None = None,
) -> UnderLoad:
    """Every row one at a time, one at a time again, and then with as many in flight as each of `levels` says.

    Without a `metric`, or where nothing is labelled, only the answers are compared. Hand in a handler without a cache:
    one that remembers would answer the crowd with what it said before, and the verdict then waits.
    Raises BadData on an empty sample, and ValueError on a level below 2.
    """
    if not sample.n:
        raise BadData("the sample has no rows to ask about under load")
    if not levels or min(levels) < 2:
        raise ValueError(f"`levels` must be 2 or more requests in flight each, got {tuple(levels)!r}")
    groups = [np.array([row]) for row in range(sample.n)]

    async def ask(in_flight: int, prefix: str) -> Matched:
        return await ask_matched(handler, sample, signature, groups, in_flight, prefix, patience_seconds, parameters)

    alone, again = await ask(1, "alone"), await ask(1, "again")
    scale = _Scale(metric, task, _labels(sample, task), rng, bounds or Bounds())
    noise = moved_rows(alone, again, scale.bounds.likeness.tolerance)
    found = [scale.noise_level(alone, again)]
    for level in levels:
        crowd = await ask(level, f"crowd-{level}")
        found.append(scale.level(level, alone, crowd, noise))
    verdicts = [level.verdict for level in found]
    decision = worst(verdicts)
    because = next(v.because for v in verdicts if v.decision == decision)
    if decision == "pass":
        because = f"the answers at {', '.join(map(str, levels))} in flight are those of one at a time"
    value = scale.value(alone, scale.known)
    return UnderLoad(value.name, sample.n, value, tuple(found), Verdict(decision, because, "quality_under_load"))


@dataclass(frozen=True)
class _Scale:
    """What answers are measured with: the metric, the labels, and the bounds."""

    metric: Metric | None
    task: Task
    labels: NDArray[Any]
    rng: np.random.Generator
    bounds: Bounds

    @property
    def known(self) -> Mask:
        return known(self.labels)

    def value(self, found: Matched, rows: Mask) -> Measurement:
        if self.metric is None or not rows.any():
            return nothing("quality")
        return self.metric(self.labels[rows], self.filled(found)[rows])

    def change(self, alone: Matched, crowd: Matched, rows: Mask) -> Measurement:
        if self.metric is None or not rows.any():
            return nothing("quality_change")
        return change(self.metric, self.labels[rows], self.filled(alone)[rows], self.filled(crowd)[rows], self.rng)

    def filled(self, found: Matched) -> NDArray[Any]:
        """The answers, with the worst one there is where none came; a number that is not there stays NaN."""
        values = found.values.copy()
        lost = ~found.answered & self.known
        if self.task != "regression" and lost.any():
            values[lost] = wrong_answers(self.labels[lost], self.task, values.shape)
        return values

    def scored(self, *rounds: Matched) -> Mask:
        """Which rows count: all labelled ones, but of numbers only those that came, as no number is the worst."""
        answered = np.logical_and.reduce([found.answered for found in rounds])
        return np.asarray(self.known & answered) if self.task == "regression" else self.known

    def noise_level(self, alone: Matched, again: Matched) -> Level:
        found = self.level(1, alone, again, np.zeros(len(self.labels), dtype=bool))
        if found.faults:
            return found
        because = f"asked twice one at a time, {found.differing} of the answers differ: that is noise, not load"
        return _judged(found, Verdict("pass", because, "differing", (found.differing,)))

    def level(self, in_flight: int, alone: Matched, crowd: Matched, noise: Mask) -> Level:
        tolerance = self.bounds.likeness.tolerance
        both = alone.answered & crowd.answered
        differs = both & (distances(alone.values, crowd.values) > tolerance)
        found = Level(
            in_flight,
            crowd.peak,
            self.value(crowd, self.scored(crowd)),
            self.change(alone, crowd, self.scored(alone, crowd)),
            self.value(crowd, self.known & crowd.answered),
            self.change(alone, crowd, self.known & both),
            proportion("differing", int(differs.sum()), int(both.sum())),
            beyond_noise(moved_rows(alone, crowd, tolerance), noise),
            worst_distance(alone.values, crowd.values, both),
            proportion("error_rate", len(crowd.failed), len(self.labels)),
            crowd.faults,
            crowd.reasons,
            Verdict("wait", "not judged yet"),
        )
        return _judged(found, self.verdict(found, alone, crowd, differs))

    def verdict(self, found: Level, alone: Matched, crowd: Matched, differs: Mask) -> Verdict:
        at = f"at {found.in_flight} in flight"
        if found.faults:
            return Verdict("fail", f"{at}: {fault_words(found.faults)}", "quality_under_load")
        if found.peak < found.in_flight:
            return Verdict("wait", f"{at}: {_why_no_crowd(found, crowd)}", "quality_under_load")
        if 2 * crowd.remembered > crowd.requests:
            told = f"{crowd.remembered} of {crowd.requests} answers came out of a cache"
            return Verdict("wait", f"{at}: {told}: hand in the handler without it", "quality_under_load")
        parts = [judge(found.beyond_noise, self.bounds_on_answers)]
        if found.change.n:
            parts.append(judge(found.change, self.bound_on(found.change)))
        decision = worst(parts)
        because = "; ".join(part.because for part in parts if part.decision == decision)
        hint = _mixed_up(alone.values, crowd.values, differs) if decision == "fail" else ""
        evidence = (found.change, found.beyond_noise)
        return Verdict(decision, f"{at}: {because}{hint}", "quality_under_load", evidence)

    @property
    def bounds_on_answers(self) -> Requirement:
        return Requirement("differing_beyond_noise", at_most=self.bounds.likeness.most_differing)

    def bound_on(self, moved: Measurement) -> Requirement:
        """The metric may not get worse by more than the margin; which way is worse, perfect answers show."""
        margin = self.bounds.margin
        better = self.better()
        floor = -margin if better >= 0 else None
        ceiling = margin if better <= 0 else None
        return Requirement(moved.name, floor, ceiling, unit=moved.unit)

    def better(self) -> int:
        """1 where a higher value is better, -1 where a lower one is, 0 where that cannot be told."""
        labels = self.labels[self.known]
        if self.metric is None or not len(labels):
            return 0
        if self.task == "regression":
            perfect, wrong = labels, labels + 1.0 + np.abs(labels)
        else:
            width = int(labels.max()) + 1 if self.task == "multiclass" else 1
            shape = (len(labels), max(2, width)) if self.task == "multiclass" else (len(labels),)
            wrong = wrong_answers(labels, self.task, shape)
            perfect = _right_answers(labels, self.task, shape)
        best, least = self.metric(labels, perfect).value, self.metric(labels, wrong).value
        return 0 if math.isnan(best - least) else int(np.sign(best - least))


def wrong_answers(labels: NDArray[Any], task: Task, shape: tuple[int, ...]) -> NDArray[Any]:
    """The worst answer to each label, which a caller without any is left with (n,) or (n, width).

    The other class with certainty, another class with certainty, or no text. Of a number there is no worst.
    """
    if task == "generation":
        return np.array(["" if label else "?" for label in labels], dtype=object)
    if task == "multiclass":
        return np.asarray(np.eye(shape[1])[(labels.astype(int) + 1) % shape[1]])
    return np.asarray(1.0 - labels)


def _right_answers(labels: NDArray[Any], task: Task, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.eye(shape[1])[labels.astype(int)] if task == "multiclass" else labels


def _labels(sample: Sample, task: Task) -> NDArray[Any]:
    if task == "generation":
        return np.full(sample.n, None, dtype=object) if sample.targets is None else sample.targets
    return np.full(sample.n, np.nan) if sample.labels is None else sample.labels


def _judged(found: Level, verdict: Verdict) -> Level:
    return replace(found, verdict=verdict)


def _why_no_crowd(found: Level, crowd: Matched) -> str:
    if crowd.requests < found.in_flight:
        return f"there are {crowd.requests} rows only; give at least {found.in_flight}"
    return (
        f"no more than {found.peak} were ever in flight, as the handler answers without giving way: ask it through "
        "its server"
    )


def _mixed_up(alone: NDArray[Any], crowd: NDArray[Any], differs: Mask) -> str:
    """Answers that are right for another row are mixed up, not degraded; of few distinct answers that says nothing."""
    distinct = {_key(answer) for answer in alone}
    others = sum(_key(answer) in distinct for answer in crowd[differs])
    if not others or 10 * len(distinct) < 9 * len(alone) or 2 * others < int(differs.sum()):
        return ""
    return f"; {others} of the {int(differs.sum())} other answers are those of other rows: are answers mixed up?"


def _key(answer: Any) -> Any:
    return tuple(answer.tolist()) if isinstance(answer, np.ndarray) else answer
