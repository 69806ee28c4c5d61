"""What kind of drift it is, and whether an estimate made without labels can still be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.observe.drift.label_shift import explains, mix_of, mix_seen
from roadworthy.observe.drift.laws import (
    Rows,
    inputs_given_outcome_moved,
    inputs_moved,
    outcomes_moved,
    rates_moved,
    rows_of_both,
)
from roadworthy.observe.drift.two_sample import beyond_chance
from roadworthy.observe.drift.upstream import faults

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["inputs", "labels", "concept", "upstream fault", "none", "cannot tell"]

MEANS: Mapping[Kind, str] = {
    "inputs": "other inputs arrive, and what follows from an input is not shown to have changed",
    "labels": "outcomes have another mix, and those of one kind look as ever",
    "concept": "the same inputs now lead to other outcomes",
    "upstream fault": "an input broke before it came here",
    "none": "neither inputs nor outcomes are shown to have changed",
    "cannot tell": "what there is to see fits several kinds",
}


class DriftKind(Struct, frozen=True, omit_defaults=True):
    """The kind of a drift, why, and in `trust` whether an estimate without labels can be believed (pass) or not."""

    kind: Kind
    because: str
    trust: Verdict
    evidence: tuple[Measurement, ...] = ()


class Quality(Struct, frozen=True):
    """What others know of the model's quality: estimated without labels, audited with a few, sizes of sets."""

    estimate: Measurement | None = None
    audit: Measurement | None = None
    set_size_before: Measurement | None = None
    set_size: Measurement | None = None


@dataclass(frozen=True)
class Kinds:
    """Looks at a reference with labels and at what came since, and says what kind of drift it is.

    A column that broke is looked for first. With `least_labels` labels, the kind is the least change that fits: P(x)
    alone if outcomes are as the model said, once the reference is weighted to the new inputs; P(y) alone if the rates
    moved and rows of one class look as ever; else P(y|x). Without them, only a mix of outcomes that explains the new
    inputs can be told from other inputs, and a concept that changes shows in `Quality` alone. Each test errs with
    probability `alpha`, and ignores distances below `least` and outcomes that are less than `least_gap` off. At most
    `most_rows` of each window are looked at. The reference must be rows that the model did not learn from: it is surer
    of those.
    """

    output: str = ""
    alpha: float = 0.01
    least: float = 0.05
    least_gap: float = 0.04
    least_labels: int = 200
    most_rows: int = 10_000

    def __call__(
        self,
        reference: Window,
        current: Window,
        verdicts: Mapping[str, Verdict] | None = None,
        quality: Quality | None = None,
    ) -> DriftKind:
        """`verdicts` are what detectors said of the same two windows."""
        quality = quality or Quality()
        if not reference.n or not current.n:
            return _told("cannot tell", f"{current.n} rows against {reference.n}: nothing to compare", quality)
        reference, current = self._some(reference), self._some(current)
        moved = tuple(beyond_chance(inputs_moved(reference, current), self.alpha, self.least))
        broken = tuple(faults(reference, current, [m.where for m in moved if m.where in reference.inputs]))
        if broken:
            told = "; ".join(f"{m.where}: {m.conditions['told']}" for m in broken[:3])
            return _told("upstream fault", told, quality, broken)
        signs = Signs(_named(verdicts or {}, current, moved), moved)
        both = rows_of_both(reference, current, self.output)
        if both and min(side.labelled.n for side in both) >= self.least_labels:
            return self._with_labels(both[0].labelled, both[1], signs, quality)
        return self._without_labels(both, signs, quality)

    def _some(self, window: Window) -> Window:
        """Evenly spaced rows, where there are too many."""
        if window.n <= self.most_rows:
            return window
        return window.take(np.linspace(0, window.n - 1, self.most_rows).astype(np.int64))

    def _with_labels(self, old: Rows, new: Rows, signs: Signs, quality: Quality) -> DriftKind:
        labelled = new.labelled
        outcomes = outcomes_moved(old, labelled)
        changed = outcomes.conditions["p"] <= self.alpha and outcomes.value >= self.least_gap
        rates = rates_moved(old, labelled) if old.classed and labelled.classed else None
        evidence = (outcomes, *((rates,) if rates else ()), *signs.evidence)
        rates_changed = rates is not None and rates.conditions["p"] <= self.alpha
        if rates and rates_changed and (changed or signs.moved) and self._same_within_classes(old, new):
            told = f"the rate of {rates.where} {rates.conditions['most']}, and rows of one class look as ever"
            return _told("labels", told, quality, evidence)
        if changed:
            told = f"the same inputs have other outcomes than before ({outcomes.conditions['most']})"
            also = f"; inputs moved too ({signs.words}), which does not explain it" if signs.moved else ""
            return _told("concept", told + also, quality, evidence)
        if signs.moved:
            told = f"{signs.words} moved, and outcomes follow from inputs as before ({labelled.n} labels)"
            return _told("inputs", told, quality, evidence, shown=True)
        if rates and rates_changed:
            told = (
                f"the rate of {rates.where} {rates.conditions['most']}, and neither inputs nor the model explain it yet"
            )
            return _told("cannot tell", told, quality, evidence)
        return _told("none", f"neither inputs nor outcomes moved ({labelled.n} labels)", quality, evidence, shown=True)

    def _same_within_classes(self, old: Rows, new: Rows) -> bool:
        """Is P(x|y) not shown to have moved, and would the rates that the labels show give the inputs that arrived?"""
        given = inputs_given_outcome_moved(old, new.labelled)
        if given.conditions["p"] <= self.alpha and given.value >= self.least:
            return False
        return self._explains(mix_seen(old, new), old, new)

    def _without_labels(self, both: tuple[Rows, Rows] | None, signs: Signs, quality: Quality) -> DriftKind:
        rate = self._rate_that_explains(*both) if signs.moved and both else None
        if rate:
            told = (
                f"another mix of outcomes explains the new inputs (the last class {rate.value:.3f}); no labels show it"
            )
            return _told("labels", told, quality, (rate, *signs.evidence))
        if suspected := doubts(quality):
            also = f"{signs.words} moved" if signs.moved else "inputs did not move"
            return _told("concept", f"{suspected}; {also}", quality, signs.evidence)
        unseen = "too few labels to see whether the same inputs lead to other outcomes"
        if signs.moved:
            return _told("inputs", f"{signs.words} moved; {unseen}", quality, signs.evidence)
        return _told("cannot tell", f"inputs did not move; {unseen}", quality, signs.evidence)

    def _rate_that_explains(self, old: Rows, new: Rows) -> Measurement | None:
        """Of the last class, where other rates of the classes explain how inputs and answers moved."""
        old = old.labelled
        if not old.classed or old.n < self.least_labels or self._explains(np.ones(old.n), old, new):
            return None
        mix = mix_of(old, new)
        return mix.measurement(-1, new.n) if mix and self._explains(mix.weights, old, new) else None

    def _explains(self, weights: NDArray[np.float64], old: Rows, new: Rows) -> bool:
        return explains(weights, old, new, self.alpha, self.least)


@dataclass(frozen=True)
class Signs:
    """That inputs moved: their names, worst first, and the tests that say so."""

    moved: tuple[str, ...]
    evidence: tuple[Measurement, ...]

    @property
    def words(self) -> str:
        """A few of the names."""
        shown = ", ".join(self.moved[:3])
        return f"{shown} and {len(self.moved) - 3} more" if len(self.moved) > 3 else shown


def doubts(quality: Quality) -> str:
    """Why an estimate without labels is off, as far as others know; "" where nothing says so."""
    one, other = quality.estimate, quality.audit
    if one and other and one.n and other.n and (one.high < other.low or other.high < one.low):
        return f"the audit says {other.name} {other.value:.3f} where {one.value:.3f} was estimated"
    before, after = quality.set_size_before, quality.set_size
    if before and after and before.n and after.n and after.low > before.high:
        return f"prediction sets grew from {before.value:.2f} to {after.value:.2f}, which they do when errors grow"
    return ""


def lines(found: DriftKind) -> list[str]:
    """For people: the kind, why, and what to believe."""
    trust = {"pass": "can be believed", "fail": "cannot be believed", "wait": "may be wrong"}[found.trust.decision]
    return [
        f"kind of drift: {found.kind} ({MEANS[found.kind]})",
        f"because: {found.because}",
        f"an estimate without labels {trust}: {found.trust.because}",
    ]


def _told(
    kind: Kind, because: str, quality: Quality, evidence: tuple[Measurement, ...] = (), shown: bool = False
) -> DriftKind:
    return DriftKind(kind, because, _trust(kind, quality, shown), evidence)


def _trust(kind: Kind, quality: Quality, shown: bool) -> Verdict:
    """Estimates without labels assume that P(y|x) is what it was."""
    of = "label_free"
    if kind == "concept":
        return Verdict("fail", "it assumes that the same inputs lead to the same outcomes, and they do not", of)
    if kind == "labels":
        return Verdict("fail", "another mix of outcomes makes every probability off; correct it, or label an audit", of)
    if kind == "upstream fault":
        return Verdict("fail", "the model answers inputs such as it never saw; mend the column first", of)
    if suspected := doubts(quality):
        return Verdict("fail", suspected, of)
    if shown:
        return Verdict("pass", "outcomes follow from inputs as before, as far as labels show", of)
    return Verdict("wait", "no labels show whether the same inputs still lead to the same outcomes", of)


def _named(verdicts: Mapping[str, Verdict], current: Window, moved: tuple[Measurement, ...]) -> tuple[str, ...]:
    """The inputs that moved, worst first: by our tests, else what detectors name first in an alarm."""
    alarms = [v for v in verdicts.values() if v.decision == "fail"]
    told = [m.where for v in alarms for m in v.evidence[:1] if m.where in current.inputs]
    return tuple(dict.fromkeys([m.where for m in moved] or told))
