"""The answers of two arms to the same requests, as numbers that can be subtracted or classes that agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import midranks, nothing, z_of
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, pairs
from roadworthy.rollout.statistics.losses import Metric, answers_of, losses

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class AnswerPairs:
    """Pairs in time order. `before` and `after` (n,) or (n, classes) are the answers of control and candidate.

    Texts are compared as they are. A single number is a probability (class 1 from `threshold` on) where all answers lie
    in [0, 1] and all known labels are 0 or 1; else the arms agree where their numbers are the same.
    """

    control: Window
    candidate: Window
    before: NDArray[Any]
    after: NDArray[Any]
    threshold: float
    is_text: bool
    is_probability: bool

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return self.control.n

    @property
    def is_class(self) -> bool:
        """Is an answer right or wrong?"""
        return self.is_probability or self.before.ndim == 2

    @property
    def labels(self) -> Floats:
        """What became of the requests (n,), NaN where nobody knows."""
        return np.where(np.isnan(self.candidate.labels), self.control.labels, self.candidate.labels)

    @property
    def answered(self) -> Flags:
        """The pairs that both arms answered."""
        both = ~failed(self.control) & ~failed(self.candidate)
        return both if self.is_text else both & _whole(self.before) & _whole(self.after)

    @property
    def agree(self) -> Flags:
        """Where both arms name the same class, or the same text or number."""
        before, after = self.before, self.after
        if self.is_probability:
            return np.asarray((before >= self.threshold) == (after >= self.threshold))
        if before.ndim == 2:
            return np.asarray(before.argmax(axis=1) == after.argmax(axis=1))
        same = before == after if self.is_text else np.isclose(before, after, rtol=1e-6, atol=1e-9)
        return np.asarray(same, np.bool_)

    @property
    def difference(self) -> Floats:
        """The candidate's number less the control's; of classes, of the probability of the control's class."""
        if self.before.ndim == 1:
            return np.asarray(self.after - self.before, np.float64)
        top, rows = self.before.argmax(axis=1), np.arange(self.n)
        return np.asarray(self.after[rows, top] - self.before[rows, top], np.float64)

    @property
    def distance(self) -> Floats:
        """How far apart the answers are: |difference|, or of two distributions their total variation."""
        gap = np.abs(np.asarray(self.after - self.before, np.float64))
        return gap if gap.ndim == 1 else gap.sum(axis=1) / 2

    @property
    def errors(self) -> tuple[Flags, Flags]:
        """Where the control and where the candidate names the wrong class."""
        if self.is_probability:
            truth = self.labels >= 0.5
            return (self.before >= self.threshold) != truth, (self.after >= self.threshold) != truth
        return self.before.argmax(axis=1) != self.labels, self.after.argmax(axis=1) != self.labels

    @property
    def losses(self) -> Iterator[tuple[str, Floats, Floats]]:
        """The name of a loss, and what each answer of control and of candidate costs by it."""
        names = ("log_loss", "brier") if self.is_class else ("absolute", "squared")
        for name in names:
            metric = cast("Metric", name)
            yield name, losses(metric, self.labels, self.before), losses(metric, self.labels, self.after)

    @property
    def costs(self) -> Iterator[tuple[str, Floats, Floats, str]]:
        """Name, value in control and in candidate, and unit, of what an answer takes."""
        one, other, unknown = self.control, self.candidate, np.full(self.n, math.nan)
        yield "model_seconds", one.seconds.get("model", unknown), other.seconds.get("model", unknown), "s"
        yield "usd", unknown if one.usd is None else one.usd, unknown if other.usd is None else other.usd, "usd"
        tokens = [unknown if arm.tokens is None else arm.tokens for arm in (one, other)]
        yield "tokens", tokens[0], tokens[1], "1"

    def take(self, rows: NDArray[Any]) -> AnswerPairs:
        """These pairs only."""
        return AnswerPairs(
            self.control.take(rows),
            self.candidate.take(rows),
            self.before[rows],
            self.after[rows],
            self.threshold,
            self.is_text,
            self.is_probability,
        )


def paired(control: Window, candidate: Window, output: str, threshold: float = 0.5) -> AnswerPairs:
    """The requests that both arms were asked; of an output that an arm lacks, every answer is unknown."""
    stable, mirrored = pairs(control, candidate)
    one, other = control.take(stable), candidate.take(mirrored)
    columns = [arm.outputs.get(output, np.full(arm.n, math.nan)) for arm in (one, other)]
    if any(_is_text(column) for column in columns):
        return AnswerPairs(one, other, columns[0], columns[1], threshold, True, False)
    before, after = (answers_of(column) for column in columns)
    if before.shape != after.shape:  # one arm answers in vectors of another width, or in none
        wide = max(before.ndim, after.ndim) == 2
        width = max(a.shape[1] for a in (before, after) if a.ndim == 2) if wide else 0
        before, after = (_widened(a, width) for a in (before, after))
    pair = AnswerPairs(one, other, before, after, threshold, False, False)
    flat = np.concatenate([before, after]) if before.ndim == 1 else np.array([2.0])
    flat, labels = flat[~np.isnan(flat)], pair.labels[~np.isnan(pair.labels)]
    probable = bool(((flat >= 0) & (flat <= 1)).all() and np.isin(labels, (0.0, 1.0)).all())
    return AnswerPairs(one, other, before, after, threshold, False, probable)


def rank_correlation(both: AnswerPairs, confidence: float = 0.95) -> Measurement:
    """Spearman's correlation of single numbers, with the interval of Bonett and Wright (2000) for one look."""
    if both.before.ndim == 2 or both.n < 10:
        return nothing("rank_correlation")
    ranks = [midranks(values) for values in (both.before, both.after)]
    spreads = [float(rank.std()) for rank in ranks]
    if not all(spreads):
        return nothing("rank_correlation")
    one, other = ((rank - rank.mean()) / spread for rank, spread in zip(ranks, spreads, strict=True))
    found = min(1.0, max(-1.0, float((one * other).mean())))
    at = {} if confidence == 0.95 else {"confidence": confidence}
    if abs(found) == 1.0:
        return Measurement("rank_correlation", found, both.n, found, found, conditions=at)
    half = z_of(confidence) * math.sqrt((1 + found**2 / 2) / (both.n - 3))
    low, high = (math.tanh(math.atanh(found) + side * half) for side in (-1, 1))
    return Measurement("rank_correlation", found, both.n, low, high, conditions=at)


def _is_text(column: NDArray[Any]) -> bool:
    return column.dtype == object and any(isinstance(value, str) for value in column)


def _whole(answers: NDArray[Any]) -> Flags:
    known = ~np.isnan(answers)
    return np.asarray(known if known.ndim == 1 else known.all(axis=1), np.bool_)


def _widened(answers: Floats, width: int) -> Floats:
    """Where the arms cannot be subtracted, the narrower one has no answer."""
    if not width or (answers.ndim == 2 and answers.shape[1] == width):
        return answers
    return np.full((len(answers), width), math.nan)
