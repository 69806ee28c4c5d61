"""Which law moved: of the inputs P(x), of the outcomes P(y), of either given the other? Tests on labelled rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import holm
from roadworthy.core.stats import chi2_survival
from roadworthy.core.window import Window
from roadworthy.observe.detectors.classifier import Classifier, Score
from roadworthy.observe.detectors.outputs import classes
from roadworthy.observe.drift.encoding import Columns, aligned, is_null, nulls_in, rows_of
from roadworthy.observe.drift.two_sample import compared
from roadworthy.observe.quality.answers import answers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GROUPS, FEW_ROWS, MOST_VALUES = 5, 20, 5
# Weights beyond say that the reference hardly has such rows: what it knows of them is luck.
HEAVIEST, RATIO_BINS = 20.0, 10
LEAST_OF_CLASS = 30


@dataclass(frozen=True)
class Rows:
    """`stated` (n, k) is what the model said, `truth` (n, k) what came of it (NaN where unknown).

    With one probability or number k is 1; with a probability a class, `truth` is 1 for the class that came.
    """

    columns: Columns
    stated: Floats
    truth: Floats

    @property
    def n(self) -> int:
        return len(self.stated)

    @property
    def classed(self) -> bool:
        """Is each truth 0 or 1?"""
        known = self.truth[~np.isnan(self.truth)]
        return bool(np.isin(known, (0.0, 1.0)).all())

    @property
    def labelled(self) -> Rows:
        return self.take(np.flatnonzero(np.isfinite(self.truth).all(axis=1)))

    def take(self, rows: NDArray[Any]) -> Rows:
        return Rows(rows_of(self.columns, rows), self.stated[rows], self.truth[rows])


def rows_of_both(reference: Window, current: Window, output: str) -> tuple[Rows, Rows] | None:
    """The answered rows of both windows; None where either lacks the output or has it of another shape."""
    old, new = aligned(reference, current, tuple(reference.inputs))
    sides = [_rows(window, columns, output) for window, columns in ((reference, old), (current, new))]
    if sides[0] is None or sides[1] is None or sides[0].stated.shape[1] != sides[1].stated.shape[1]:
        return None
    return sides[0], sides[1]


def _rows(window: Window, columns: Columns, output: str) -> Rows | None:
    answers = answers_of(window, output)
    if answers is None:
        return None
    stated, truth = answers.stated, answers.labels
    if answers.kind == "classes":
        known = ~np.isnan(truth)
        truth = np.where(known[:, None], truth[:, None] == np.arange(stated.shape[1]), np.nan)
    return Rows(columns, stated.reshape(len(stated), -1), truth.reshape(len(truth), -1)).take(answers.answered)


def inputs_moved(reference: Window, current: Window) -> list[Measurement]:
    """P(x): each input by itself, and all of them together by a classifier; `p` counts none of the others."""
    old, new = aligned(reference, current, tuple(reference.inputs))
    found = [m for name in old for m in _compared(name, old[name], new[name])]
    verdict = Classifier(alpha=0.5, least=0.5)(reference, current)
    together = [
        Measurement("ks", 2 * m.value - 1, m.n, where="all inputs together", conditions={"p": m.conditions["p"]})
        for m in verdict.evidence
        if m.name == "auc" and m.n
    ]
    return found + together


def rates_moved(reference: Rows, current: Rows) -> Measurement:
    """P(y): the class whose rate moved most; the difference with its interval, and p counting all classes."""
    before, after = reference.truth.mean(axis=0), current.truth.mean(axis=0)
    pooled = (reference.truth.sum(axis=0) + current.truth.sum(axis=0)) / (reference.n + current.n)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / reference.n + 1 / current.n))
    p_values = [math.erfc(abs(z) / math.sqrt(2)) for z in (after - before) / error]
    top = int(np.argmin(p_values))
    gap, half = float(after[top] - before[top]), 1.96 * float(error[top])
    told = f"{before[top]:.3f} became {after[top]:.3f}"
    conditions = {"p": min(holm(p_values)), "most": told}
    return Measurement(
        "base_rate", gap, current.n, gap - half, gap + half, where=_class_name(reference, top), conditions=conditions
    )


def outcomes_moved(reference: Rows, current: Rows) -> Measurement:
    """P(y|x): how far outcomes left what was stated, beyond what they did in the reference, slice by slice.

    Reference rows are weighted to have the inputs of the current ones (Shimodaira 2000), so that inputs that moved
    are no reason by themselves. The value is the root mean square gap over the slices of the input that shows it best,
    noise taken off; `p` counts all inputs.
    """
    weights = density_ratio(reference.columns, current.columns)
    found: list[tuple[float, float, str]] = []
    for k in range(reference.stated.shape[1]):
        residuals = reference.truth[:, k] - reference.stated[:, k], current.truth[:, k] - current.stated[:, k]
        for name, before, after in _slices(reference, current, k):
            p, gap, told = _gap(residuals, weights, (before, after))
            found.append((p, gap, f"by {name}, up to {told}"))
    adjusted = holm([p for p, _, _ in found])
    best = int(np.argmin([p for p, _, _ in found]))
    conditions = {"p": adjusted[best], "most": found[best][2], "effective": float(effective(weights))}
    return Measurement("outcomes_given_inputs", found[best][1], current.n, where="", conditions=conditions)


def inputs_given_outcome_moved(reference: Rows, current: Rows) -> Measurement:
    """P(x|y): within each class the inputs, and what the model said; the largest distance, `p` counting all."""
    found = []
    for k in range(reference.truth.shape[1]):
        for value in (0.0, 1.0) if reference.truth.shape[1] == 1 else (1.0,):
            before, after = (side.take(side.truth[:, k] == value) for side in (reference, current))
            if min(before.n, after.n) < LEAST_OF_CLASS:
                continue
            found += compared(f"what was stated of {value:g}", before.stated[:, k], after.stated[:, k])
            found += [m for n in before.columns for m in _compared(n, before.columns[n], after.columns[n])]
    if not found:
        return Measurement("inputs_given_outcome", conditions={"p": 1.0, "most": "too few rows of any class"})
    adjusted = holm([m.conditions["p"] for m in found])
    best = int(np.argmin(adjusted))
    conditions = {"p": adjusted[best], "most": found[best].where}
    return Measurement(
        "inputs_given_outcome", found[best].value, current.n, where=found[best].where, conditions=conditions
    )


def density_ratio(reference: Columns, current: Columns) -> Floats:
    """How much more common rows like each reference row have become (n,), by a classifier that did not see the row."""
    n, m = (len(next(iter(columns.values()))) for columns in (reference, current))
    weights = np.ones(n)
    if min(n, m) < 4 * RATIO_BINS:
        return weights
    halves = np.arange(n) % 2, np.arange(m) % 2
    for half in (0, 1):
        learnt = Score.learnt(*(rows_of(c, h != half) for c, h in zip((reference, current), halves, strict=True)))
        old, new = (
            learnt(rows_of(c, h == half)).sum(axis=1) for c, h in zip((reference, current), halves, strict=True)
        )
        edges = np.unique(np.quantile(np.concatenate([old, new]), np.linspace(0, 1, RATIO_BINS + 1)[1:-1]))
        counts = [np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) + 0.5 for s in (old, new)]
        ratio = (counts[1] / counts[1].sum()) / (counts[0] / counts[0].sum())
        weights[halves[0] == half] = np.minimum(ratio, HEAVIEST)[np.searchsorted(edges, old)]
    return weights


def effective(weights: Floats) -> float:
    """How many rows of equal weight say as much (Kish 1965)."""
    return float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12))


def _gap(residuals: tuple[Floats, Floats], weights: Floats, groups: tuple[Any, Any]) -> tuple[float, float, str]:
    """p of a chi-square over the groups, the root mean square gap without noise, and the worst group in words."""
    freedom, total, squared, shares, worst = 0, 0.0, 0.0, 0.0, (0.0, "nothing")
    for group in sorted(set(groups[0].tolist()) & set(groups[1].tolist())):
        before, after = residuals[0][groups[0] == group], residuals[1][groups[1] == group]
        weight = weights[groups[0] == group]
        if effective(weight) < FEW_ROWS or len(after) < FEW_ROWS:
            continue
        mean = float(np.average(before, weights=weight))
        variance = float(np.average((before - mean) ** 2, weights=weight)), float(after.var())
        pooled = max(*variance, 1e-4)
        gap, noise = float(after.mean()) - mean, pooled / effective(weight) + pooled / len(after)
        freedom, total = freedom + 1, total + gap**2 / noise
        squared, shares = squared + len(after) * (gap**2 - noise), shares + len(after)
        worst = max(worst, (gap**2 / noise, f"{abs(gap):.3f} {'above' if gap > 0 else 'below'} what the model says"))
    if not freedom:
        return 1.0, 0.0, "too few rows to compare"
    return chi2_survival(total, freedom), math.sqrt(max(0.0, squared / shares)), worst[1]


def _slices(reference: Rows, current: Rows, k: int) -> Iterator[tuple[str, Any, Any]]:
    """By what was stated and by each input: a name, and the group of each row of both."""
    yield ("what was stated", *_grouped(reference.stated[:, k], current.stated[:, k]))
    for name, values in reference.columns.items():
        yield (name, *_grouped(values, current.columns[name]))


def _grouped(old: NDArray[Any], new: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The fifth of the current numbers that each lies in, or the number of its category; null is -1."""
    if old.dtype == object:
        common = Counter(str(v) for v in new[~nulls_in(new)].tolist()).most_common(MOST_VALUES)
        number = {value: k for k, (value, _) in enumerate(common)}
        return _numbered(old, number), _numbered(new, number)
    known = new[~np.isnan(new)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, GROUPS + 1)[1:-1])) if len(known) else np.empty(0)
    places = [np.where(np.isnan(side), -1, np.searchsorted(edges, side, "right")) for side in (old, new)]
    return places[0], places[1]


def _numbered(values: NDArray[Any], number: Mapping[str, int]) -> NDArray[np.int64]:
    return np.array([-1 if is_null(v) else number.get(str(v), MOST_VALUES) for v in values.tolist()], np.int64)


def _compared(name: str, old: NDArray[Any], new: NDArray[Any]) -> list[Measurement]:
    return [classes(name, old, new)] if old.dtype == object else compared(name, old, new)


def _class_name(rows: Rows, k: int) -> str:
    return "label 1" if rows.truth.shape[1] == 1 else f"class {k}"
