"""The quality gate: on labelled rows, a candidate must not predict worse than stable does."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, pairs, without_inputs
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.foretelling import FIRST, Design, Floats, foretold
from roadworthy.rollout.statistics.losses import Metric, answers_of, judges, losses
from roadworthy.rollout.statistics.power import MeanRule, need_of_labels
from roadworthy.rollout.statistics.sequential import difference_of_split, gap_bounds, mean_bounds, spread_in_time

LEAST_OF_A_CLASS = 20
# Below so many answers that one arm alone got wrong, their share is bounded exactly, too.
_FEW_APART = 30


@gate("quality")
@dataclass(frozen=True)
class Quality:
    """Fails once the candidate's loss on labelled rows is shown to be over `worse` higher than stable's.

    It passes once the gap is shown to be at most `margin`, which may be wider (what nobody would notice), and then a
    gap within it is no reason to fail either. `auc` compares the ranking, with 1 - AUC for a loss: it is blind to a
    shift of the level, which a bad week forgives, and so the sharper eye for a broken input. An `output` of several
    classes is judged by `log_loss`, `error` or `brier`, a number by `absolute` or `squared`.

    Requests that both arms answered (shadow) are compared pair by pair, which needs some hundred labels; the others by
    the difference of the arms within blocks of time, which needs many thousand. The interval of either misses the true
    gap at some look with probability at most `alpha`, half of it on either side: the chance of ever failing an equally
    good candidate, and that of ever passing one beyond `margin`, is at most `alpha`. A fail outweighs a pass. The rows
    are those of the whole rollout: what a shadow has shown stays.

    Without pairs the arms are compared on what the inputs did not foretell of the loss (CUPED, `foretelling.py`).
    `covariates` names the columns, "auto" takes all of them. With `fixed_labels` the label may foretell it too, which
    saves most of the labels: true where no answer can change an outcome (a flight lands when it lands), and false where
    it can (who is refused a loan does not default).

    Rows that follow each other are not taken for independent: a storm spoils a whole afternoon, and makes many a
    candidate look worse that is better by the end of the week. Nor does it judge before the rows span `least_hours`.

    Labels come late, and those of long flights later than others. Rows are taken in the order in which their labels
    became known, so that a look only adds rows behind. Of the newest requests only those with a quick label are there.
    For pairs that is the same for both arms; so it is for a split, unless the candidate changes how long an outcome
    takes. Then, and where it is better at quick outcomes and worse at slow ones, the gap seen is not that of all
    requests until the rows span many delays: `ripe_hours` leaves requests out until they are so old.
    """

    rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    metric: Metric = "log_loss"
    margin: float = 0.01
    worse: float = 0.01
    alpha: float = 0.05
    least: int = 200
    least_hours: float = 0.0
    ripe_hours: float = 0.0
    output: str = "probability"
    best_at: int = 1000
    covariates: tuple[str, ...] | Literal["auto"] = "auto"
    fixed_labels: bool = False

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        now = max(_newest(control), _newest(candidate))
        before, after = self._scored(control, now), self._scored(candidate, now)
        stable, mirrored = pairs(before.rows, after.rows)
        found = (
            self._of_pairs(before.take(stable), after.take(mirrored)),
            self._of_split(before.without(stable), after.without(mirrored)),
        )
        return self._decide(found)

    def plan(self, expected: Expected) -> Need:
        """Labels until an equally good candidate passes, from the losses of the recent rows of stable."""
        scored = self._scored(expected.stable, _newest(expected.stable))
        plain = scored.losses(self.metric) if scored.n else np.zeros(0)
        value = plain
        if not expected.paired and scored.n > 2 * FIRST:
            # The first rows are those that nothing is foretold of yet; a rollout soon has them behind it.
            value = (plain - self._foretold(scored, plain))[FIRST:]
        # The smaller arm must have `least` labels, and that may be stable's.
        of_stable = 1.0 if expected.paired else (1 - expected.share) / max(expected.share, 1e-9)
        least = self.least / max(1e-9, min(1.0, of_stable))
        bounds = (self.margin, self.worse, self.alpha, self.best_at)
        rule = MeanRule(self.metric, *bounds, least, self.least_hours + self.ripe_hours)
        return need_of_labels(expected, rule, value, plain)

    def _decide(self, found: tuple[Measurement, Measurement]) -> Verdict:
        shown = [f for f in found if f.high <= self.margin]
        worse = [f for f in found if f.low > self.worse and f not in shown]
        if worse:
            return self._verdict("fail", worse[0], f"worse by more than {self.worse:g}", found)
        if shown:
            return self._verdict("pass", shown[0], f"at most {self.margin:g} is allowed", found)
        if not any(math.isfinite(f.high) for f in found):
            most = max(f.n for f in found)
            span = f" over {self.least_hours:g} hours" if self.least_hours else ""
            because = f"{most} of {self.least} labelled rows{span} with an output {self.output!r}"
            return Verdict("wait", because, self.metric, found)
        nearest = min(found, key=lambda f: f.high - f.low)
        return self._verdict("wait", nearest, f"the upper bound must come down to {self.margin:g}", found)

    def _scored(self, rows: Window, now: float) -> _Scored:
        """The rows that can be judged, in the order in which they first could be."""
        told = rows.outputs.get(self.output)
        answers = np.full(rows.n, np.nan) if told is None else answers_of(told)
        answered = np.isfinite(answers) if answers.ndim == 1 else np.isfinite(answers).all(axis=1)
        known = np.maximum(_known_at(rows), rows.at + 3600 * self.ripe_hours)
        there = answered & np.isfinite(rows.labels) & ~failed(rows) & (known <= now) & judges(self.metric, answers)
        places = np.flatnonzero(there)
        places = places[np.argsort(known[places], kind="stable")]
        return _Scored(without_inputs(rows).take(places), answers[places], known[places], rows, places)

    def _of_pairs(self, control: _Scored, candidate: _Scored) -> Measurement:
        name, n = f"{self.metric}_difference", candidate.n
        if n < self.least or self._says_little(candidate):
            return Measurement(name, math.nan, n, where="pairs")
        gaps = candidate.losses(self.metric) - control.losses(self.metric)
        mean = float(gaps.mean())
        bounds = mean_bounds(mean, spread_in_time(gaps), n, self.alpha, self.best_at)
        if self.metric == "error":
            bounds = self._widened(bounds, int((gaps > 0).sum()), n, int((gaps < 0).sum()), n)
        return Measurement(name, mean, n, *bounds, where="pairs", conditions=self._conditions)

    def _of_split(self, control: _Scored, candidate: _Scored) -> Measurement:
        name, n = f"{self.metric}_difference", min(control.n, candidate.n)
        if n < self.least or self._says_little(control) or self._says_little(candidate):
            return Measurement(name, math.nan, n, where="split")
        both, order = control.merged(candidate)
        on_candidate = order >= control.n
        before, after = control.losses(self.metric), candidate.losses(self.metric)
        value = np.concatenate([before, after])[order]
        plain = difference_of_split(on_candidate, value)
        mean, spread, effective = difference_of_split(on_candidate, value - self._foretold(both, value))
        bounds = mean_bounds(mean, spread, effective, self.alpha, self.best_at)
        if self.metric == "error":
            bounds = self._widened(bounds, int(after.sum()), candidate.n, int(before.sum()), control.n)
        ratio = (spread / plain[1]) ** 2 if plain[1] > 0 else 1.0
        conditions = {**self._conditions, "variance_ratio": ratio}
        return Measurement(name, mean, n, *bounds, where="split", conditions=conditions)

    @property
    def _conditions(self) -> dict[str, float]:
        return {"confidence": 1 - self.alpha, "allowed": self.margin, "fails_above": self.worse}

    def _widened(
        self, bounds: tuple[float, float], more: int, n_more: int, less: int, n_less: int
    ) -> tuple[float, float]:
        """Bounds on a gap of two rates, no narrower than exact ones as long as few answers make the gap."""
        if more + less >= _FEW_APART:
            return bounds
        low, high = gap_bounds(more, n_more, less, n_less, self.alpha)
        return min(bounds[0], low), max(bounds[1], high)

    def _foretold(self, both: _Scored, value: Floats) -> Floats:
        """What the inputs, and with `fixed_labels` the label, foretell of each loss."""
        inputs = both.inputs(self.covariates)
        if not self.fixed_labels:
            return foretold(Design.of(inputs), value)
        # The answer that the inputs foretell, and its loss: close to what either arm loses on this row.
        likely = replace(both, answers=_from_score(self.metric, foretold(Design.of(inputs), both.score(self.metric))))
        return foretold(Design.of(inputs, likely.losses(self.metric)), value)

    def _says_little(self, rows: _Scored) -> bool:
        """Whether the rows span too short a time, or for a ranking have next to none of one class."""
        positive = int((rows.rows.labels > 0.5).sum())
        one_sided = self.metric == "auc" and min(positive, rows.n - positive) < LEAST_OF_A_CLASS
        return one_sided or float(np.ptp(rows.rows.at)) < 3600 * self.least_hours

    def _verdict(
        self, decision: Literal["pass", "fail", "wait"], by: Measurement, rule: str, found: tuple[Measurement, ...]
    ) -> Verdict:
        rows = f"{by.n:,} pairs" if by.where == "pairs" else f"{by.n:,} rows an arm"
        because = f"{self.metric} of the candidate {by.value:+.4f} [{by.low:+.4f}, {by.high:+.4f}] on {rows}: {rule}"
        return Verdict(decision, because, self.metric, found)


@dataclass(frozen=True)
class _Scored:
    """Labelled rows with their answers, in the order in which they were `known`, and where they came from.

    `rows` have no inputs: those of a wide table are only copied for what is foretold from them.
    """

    rows: Window
    answers: Floats
    known: Floats
    source: Window
    places: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.places)

    def losses(self, metric: Metric) -> Floats:
        return losses(metric, self.rows.labels, self.answers)

    def score(self, metric: Metric) -> Floats:
        """The answers on a scale on which they may be added up: log-odds of a probability."""
        if metric in ("absolute", "squared"):
            return self.answers
        shares = np.clip(self.answers, 1e-4, 1 - 1e-4)
        return np.asarray(np.log(shares) if shares.ndim == 2 else np.log(shares) - np.log1p(-shares))

    def inputs(self, names: tuple[str, ...] | Literal["auto"]) -> dict[str, NDArray[Any]]:
        there = self.source.inputs
        return {name: there[name][self.places] for name in (there if names == "auto" else names) if name in there}

    def take(self, kept: NDArray[Any]) -> _Scored:
        return _Scored(self.rows.take(kept), self.answers[kept], self.known[kept], self.source, self.places[kept])

    def without(self, places: NDArray[np.int64]) -> _Scored:
        if not len(places):
            return self
        return self.take(np.delete(np.arange(self.n), places))

    def merged(self, other: _Scored) -> tuple[_Scored, NDArray[np.int64]]:
        """The rows of both in the order in which they were known, and that order of `[*self, *other]`."""
        known, at, labels, answers = (
            np.concatenate(both)
            for both in (
                (self.known, other.known),
                (self.rows.at, other.rows.at),
                (self.rows.labels, other.rows.labels),
                (self.answers, other.answers),
            )
        )
        # Labels that come in one delivery follow each other as their requests did: blocks are stretches of time.
        order = np.lexsort((at, known))
        places = np.concatenate([self.places, self.source.n + other.places])[order]
        rows = Window({}, {}, labels[order], at[order])
        source = _with_inputs_of_both(self.source, other.source)
        return _Scored(rows, answers[order], known[order], source, places), order


def _with_inputs_of_both(one: Window, other: Window) -> Window:
    """The inputs that both have, end to end."""
    shared = [name for name in one.inputs if name in other.inputs]
    inputs = {name: np.concatenate([one.inputs[name], other.inputs[name]]) for name in shared}
    return Window(inputs, {}, np.zeros(0), np.zeros(0))


def _known_at(rows: Window) -> Floats:
    """When each label became known; the time of the request where nobody says."""
    if rows.known_at is None:
        return rows.at
    return np.where(np.isnan(rows.known_at), rows.at, rows.known_at)


def _newest(rows: Window) -> float:
    known = _known_at(rows)[np.isfinite(rows.labels)]
    return float(max(np.max(rows.at, initial=-math.inf), np.max(known, initial=-math.inf)))


def _from_score(metric: Metric, score: Floats) -> Floats:
    if metric in ("absolute", "squared"):
        return score
    if score.ndim == 1:
        return np.asarray(1 / (1 + np.exp(-score)))
    raised = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
