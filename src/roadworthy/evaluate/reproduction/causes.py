"""Causes tries the usual explanations of a claim that is not reproduced, and names those that are no flukes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Task
from roadworthy.core.stats import nothing, proportion, z_of
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.reproduction.claim_values import is_share
from roadworthy.evaluate.reproduction.extractors import EXTRACTORS, right
from roadworthy.evaluate.reproduction.label_texts import SPELLINGS, ignorable, numbered, spelt
from roadworthy.evaluate.reproduction.metric_variants import Scored, thresholds, variants
from roadworthy.evaluate.reproduction.reproduce import Cause, CauseKind, Reproduction, agrees
from roadworthy.evaluate.scoring import known
from roadworthy.evaluate.spoils import changed_rows

Ask = Callable[[Sample], "NDArray[Any] | Awaitable[NDArray[Any]]"]
Change = Callable[[Sample], Sample]
Floats = NDArray[np.float64]

# Explanations that meet an unrelated claim this rarely are named; `chance` of a Cause is held against it.
RARE = 0.03


@dataclass(frozen=True)
class Asked:
    """What a claim was tried on: the lab rows with their `targets`, the answers, and the metric that was measured.

    `answers` are (n,) for binary and regression, (n, k) for multiclass, text (n,) for generation. `classes` names the
    classes in the model's order; `choice_lengths` (n, k) counts the characters of each choice of a multiple-choice
    question, where `answers` are their log-likelihoods.
    """

    sample: Sample
    answers: NDArray[Any]
    task: Task
    metric: Metric
    classes: tuple[str, ...] = ()
    choice_lengths: Floats | None = None

    @property
    def labels(self) -> Floats:
        return np.full(self.sample.n, np.nan) if self.sample.labels is None else self.sample.labels


@dataclass(frozen=True)
class Trial:
    """One explanation tried. `touched` counts the rows that it changes; `stated` when the claim itself says it.

    A trial that touches rows is about a fault in them, and leaves a faultless lab as it is; one that touches none
    computes another number from the same rows, and there is always another number.
    """

    kind: CauseKind
    what: str
    measured: Measurement
    touched: int = 0
    stated: bool = False


async def explain(
    found: Reproduction,
    asked: Asked,
    *,
    ask: Ask | None = None,
    repairs: Mapping[str, Change] | None = None,
    elsewhere: Sequence[Measurement] = (),
    rng: np.random.Generator | None = None,
) -> Reproduction:
    """The reproduction with every explanation tried, named ones first; as it was where the claim is reproduced.

    `ask` (sync or async) gives the answers for a changed sample, each of `repairs` being such a change. `elsewhere`
    holds the claim's metric on other tables at hand, named by their `where`.
    """
    # Too few rows to compare may still agree: there is nothing to explain then.
    if found.outcome == "reproduced" or (agrees(found.claim, found.measured) and not found.claim.definition):
        return found
    rng = rng or np.random.default_rng(0)
    trials = [*_labelled(found.claim, asked), *_varied(found.claim, asked, rng), *_elsewhere(found.claim, elsewhere)]
    if ask is not None:
        trials += [trial async for trial in _repaired(asked, ask, repairs or {})]
    trials = [trial for trial in trials if trial.measured.n]
    better = -1 if getattr(asked.metric, "best", 1.0) == 0.0 else 1
    causes = _Bench(found.claim, found.measured, tuple(trials), better).causes()
    return msgspec.structs.replace(found, causes=causes, because=f"{found.because}; {_told(causes)}")


def _told(causes: Sequence[Cause]) -> str:
    named = [cause for cause in causes if cause.named]
    if named:
        return f"the cause: {named[0].kind}, {named[0].because}"
    return f"no cause found among {len(causes)} explanations tried"


def _labelled(claim: Claim, asked: Asked) -> Iterator[Trial]:
    """Explanations that change what counts as right."""
    targets, labels = asked.sample.targets, asked.labels
    if asked.task == "generation":
        yield from _written(claim, asked)
    elif asked.task in ("binary", "multiclass"):
        if targets is not None and asked.classes:
            ignored = ignorable(targets, asked.classes)
            again = numbered(targets, asked.classes, ignored)
            yield Trial("label mismatch", _mismatch(targets, asked.classes, ignored), *_again(asked, again))
        for what, turned in _renumbered(labels, asked):
            yield Trial("labels inverted", what, *_again(asked, turned))


def _mismatch(targets: NDArray[np.object_], classes: Sequence[str], ignored: Sequence[str]) -> str:
    plain, now = (int((~np.isnan(numbered(targets, classes, spell))).sum()) for spell in ((), ignored))
    if not ignored:
        return f"labels numbered by the class names, which {plain:,} of {len(targets):,} are"
    odd = next(text for text in targets.tolist() if text is not None and text not in classes)
    return (
        f"{plain:,} of {len(targets):,} labels are class names as written ({odd!r} is none), and {now:,} are when "
        f"{' and '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} ignored"
    )


def _renumbered(labels: Floats, asked: Asked) -> Iterator[tuple[str, Floats]]:
    """Labels in the order that the answers speak for: 0 and 1 swapped, or the classes numbered otherwise."""
    if asked.task == "binary":
        yield "0 and 1 of the labels swapped", 1 - labels
        return
    both = known(labels, asked.answers)
    k = asked.answers.shape[1]
    if both.any() and k <= 200:
        counts = Scored(labels[both], asked.answers[both]).confusion(asked.answers[both].argmax(axis=1))
        order = _assigned(counts[:k, :k])
        if (order != np.arange(k)).any():
            moved = np.array([np.nan if np.isnan(y) or y >= k else order[int(y)] for y in labels], dtype=np.float64)
            told = ", ".join(f"{a} is {b}" for a, b in list(enumerate(order.tolist()))[:4] if a != b)
            yield f"the classes numbered in another order ({told}, …)", moved


def _assigned(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which decision goes with which label, the surest pair first."""
    order, left = np.arange(len(counts)), counts.astype(np.float64)
    for _ in range(len(counts)):
        label, decision = np.unravel_index(int(left.argmax()), left.shape)
        order[label] = decision
        left[label, :], left[:, decision] = -1, -1
    return order


def _written(claim: Claim, asked: Asked) -> Iterator[Trial]:
    targets = asked.sample.targets
    if targets is None:
        return
    both = known(targets, asked.answers)
    said, wanted, n = asked.answers[both], targets[both], int(both.sum())
    exact = np.array([a == t for a, t in zip(said, wanted, strict=True)], dtype=bool)
    loose = np.array([_loosely(a) == _loosely(t) for a, t in zip(said, wanted, strict=True)], dtype=bool)
    what = f"{', '.join(SPELLINGS)} ignored in answers and labels"
    yield Trial("label mismatch", what, proportion(claim.metric, int(loose.sum()), n), int((loose != exact).sum()))
    for name in EXTRACTORS:
        hits = right(said, wanted, name)
        measured = proportion(claim.metric, int(hits.sum()), n)
        yield Trial("extractor", f"answers found by {name}", measured, int((hits != exact).sum()), _says(claim, name))


def _loosely(text: str) -> str:
    return spelt(spelt(text, tuple(SPELLINGS)), tuple(SPELLINGS))


def _says(claim: Claim, extractor: str) -> bool:
    return bool(claim.extractor) and claim.extractor.lower().replace("_", "-") == extractor


def _varied(claim: Claim, asked: Asked, rng: np.random.Generator) -> Iterator[Trial]:
    if asked.task not in ("binary", "multiclass"):
        return
    both = known(asked.labels, asked.answers)
    lengths = None if asked.choice_lengths is None else asked.choice_lengths[both]
    scored = Scored(asked.labels[both], asked.answers[both], lengths)
    for name, measured in variants(claim.metric, scored, rng):
        yield Trial("metric variant", f"{claim.metric} ({name})", measured, stated=name == claim.definition)
    for name, measured in thresholds(claim.metric, scored, rng):
        yield Trial("threshold", f"decisions cut at {name}", measured)


def _elsewhere(claim: Claim, others: Sequence[Measurement]) -> Iterator[Trial]:
    for other in others:
        if other.name == claim.metric:
            stated = bool(claim.split) and claim.split == other.where
            yield Trial("split", f"measured on {other.where or 'another table'}", other, stated=stated)


async def _repaired(asked: Asked, ask: Ask, repairs: Mapping[str, Change]) -> Any:
    for name, repair in repairs.items():
        mended = repair(asked.sample)
        touched = changed_rows(asked.sample, mended)
        if touched:
            answered = ask(mended)
            answers = await answered if inspect.isawaitable(answered) else answered
            yield Trial("preprocessing", f"{name} ({touched:,} rows)", _measured(asked, asked.labels, answers), touched)


def _again(asked: Asked, labels: Floats) -> tuple[Measurement, int]:
    """The metric with other labels, and how many of them are other."""
    old = asked.labels
    changed = int(((labels != old) & ~(np.isnan(labels) & np.isnan(old))).sum())
    return _measured(asked, labels, asked.answers), changed


def _measured(asked: Asked, labels: Floats, answers: NDArray[Any]) -> Measurement:
    if asked.task == "generation":
        wanted = asked.sample.targets
        return asked.metric(wanted, answers) if wanted is not None else nothing("")
    both = known(labels, answers)
    return asked.metric(labels[both], answers[both])


@dataclass(frozen=True)
class _Bench:
    """Judges the trials of one claim together: how many were tried decides what is a fluke."""

    claim: Claim
    base: Measurement
    trials: tuple[Trial, ...]
    better: int
    order: Mapping[str, int] = field(
        default_factory=lambda: {
            kind: k
            for k, kind in enumerate(
                ("label mismatch", "labels inverted", "preprocessing", "extractor", "metric variant", "threshold")
            )
        }
    )

    @property
    def gap(self) -> float:
        return abs(self.claim.value - self.base.value)

    def causes(self) -> tuple[Cause, ...]:
        """Named ones first, then by how close they come."""
        found = [self._cause(trial) for trial in self.trials]
        return tuple(sorted(found, key=lambda c: (not c.named, self.order.get(c.kind, 9) if c.named else 0, c.chance)))

    def _cause(self, trial: Trial) -> Cause:
        fits = agrees(self.claim, trial.measured)
        fault, number = self._by_fault(trial), self._by_number(trial)
        chance = min(fault, number)
        named = fits and (trial.stated or chance <= RARE)
        told = f"{trial.what}: {trial.measured}"
        if not fits:
            why = f"{told} does not meet the claim"
        elif trial.stated:
            why = f"{told} meets the claim, which says so itself"
        else:
            by_chance = f"an unrelated explanation comes as close with chance {max(chance, 1e-9):.2g}"
            why = f"{told} meets the claim; {by_chance}" + ("" if named else ", so it is not named")
        return Cause(trial.kind, trial.what, trial.measured, named, chance, why)

    def _by_fault(self, trial: Trial) -> float:
        """The chance that mending an irrelevant fault raises the number as much; 1 where it does not explain.

        What makes a number worse is common, and what makes it better is not: a mended fault is evidence where the
        number rises beyond chance and at least three quarters of the gap are closed.
        """
        left = abs(trial.measured.value - self.claim.value)
        if not trial.touched:
            return 1.0
        if not self.base.n or math.isnan(self.base.value):
            # Nothing could be measured before: a claim anywhere in [0, 1] would meet so much of it.
            width = trial.measured.high - trial.measured.low + 2 * self.claim.tolerance
            return min(1.0, width) if is_share(self.claim.metric) else 1.0
        rise = self.better * (trial.measured.value - self.base.value)
        if rise <= 0 or left > max(self.gap / 4, self._digits):
            return 1.0
        tried = sum(1 for other in self.trials if other.touched)
        spread = math.hypot(_error(self.base), _error(trial.measured))
        return min(1.0, tried * NormalDist().cdf(-rise / spread)) if spread > 0 else 0.0

    def _by_number(self, trial: Trial) -> float:
        """The chance that one of so many numbers comes as close to a claim anywhere within twice the gap."""
        if not self.base.n or not self.gap > 0:
            return 1.0
        tried = 1 if trial.stated else self._numbers()
        left = max(abs(trial.measured.value - self.claim.value), self._digits)
        return float(1 - (1 - min(1.0, left / (2 * self.gap))) ** tried)

    def _numbers(self) -> int:
        """How many different numbers were tried."""
        values = {round(t.measured.value, 4) for t in self.trials if t.measured.value != self.base.value}
        return max(1, len(values))

    @property
    def _digits(self) -> float:
        """Half a unit of the last digit that the claim states; a trailing zero is lost, so at most 0.005."""
        decimals = len(repr(self.claim.value).partition(".")[2]) if "e" not in repr(self.claim.value) else 6
        return float(min(0.005, 0.5 * 10.0**-decimals))


def _error(measured: Measurement) -> float:
    half = (measured.high - measured.low) / 2
    return half / z_of(float(measured.conditions.get("confidence", 0.95))) if math.isfinite(half) else math.inf
