"""Whether something bad happens to more of the candidate's requests than of stable's, said with its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.rollout.arms import merged, pairs, shadowed
from roadworthy.rollout.statistics.sequential import evidence_of_pairs, evidence_of_split, rate_bounds


@dataclass(frozen=True)
class Hits:
    """How many of `n` requests of each arm were hit, and the log evidence so far and at its highest."""

    control: int
    n_control: int
    candidate: int
    n_candidate: int
    log_evidence: float
    highest: float

    @classmethod
    def of_arms(cls, control: Window, candidate: Window, hit: Callable[[Window], NDArray[np.bool_]]) -> Hits:
        """From the requests of both arms; those of a shadow are compared with the same requests on stable."""
        if shadowed(candidate):
            stable, mirrored = pairs(control, candidate)
            return cls.of_pairs(hit(control)[stable], hit(candidate)[mirrored])
        order, on_candidate = merged(control, candidate)
        return cls.of_split(on_candidate, np.concatenate([hit(control), hit(candidate)])[order])

    @classmethod
    def of_pairs(cls, control: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Hits:
        """From requests that both arms answered, in time order."""
        return cls._of(control, candidate, evidence_of_pairs(control, candidate))

    @classmethod
    def of_split(
        cls, candidate: NDArray[np.bool_], hit: NDArray[np.bool_], counted: NDArray[np.bool_] | None = None
    ) -> Hits:
        """From requests in time order, each answered by one arm; `candidate` says which.

        The rates leave out what is not `counted`; the evidence needs every request in its place.
        """
        take = np.ones(len(hit), np.bool_) if counted is None else counted
        return cls._of(hit[take & ~candidate], hit[take & candidate], evidence_of_split(candidate, hit))

    @classmethod
    def _of(cls, control: NDArray[np.bool_], candidate: NDArray[np.bool_], logs: NDArray[np.float64]) -> Hits:
        now, highest = (float(logs[-1]), float(logs.max())) if len(logs) else (0.0, 0.0)
        return cls(int(control.sum()), len(control), int(candidate.sum()), len(candidate), now, highest)


@dataclass(frozen=True)
class NoMoreOften:
    """Fails at evidence of 1/alpha to 1; passes when the candidate's rate is shown to be under stable's + `margin`.

    `name` is the measurement's, `happened` what a hit request did ("failed"). The evidence that is told is the highest
    so far: an alarm is not taken back by better days.
    """

    name: str
    happened: str
    alpha: float
    margin: float
    confidence: float
    least: int

    def __call__(self, hits: Hits) -> Verdict:
        shown = self._evidence(hits)
        excess = shown[2]
        seen = (
            f"{_share(hits.candidate, hits.n_candidate)} of the candidate {self.happened}, "
            f"{_share(hits.control, hits.n_control)} of stable"
        )
        if hits.highest >= -math.log(self.alpha):
            odds = f"{_odds(hits.highest)} to 1, and {1 / self.alpha:.4g} to 1 is enough"
            return Verdict("fail", f"{seen}: the evidence that the candidate is worse is {odds}", self.name, shown)
        if hits.n_candidate < self.least or hits.n_control < self.least:
            return Verdict("wait", f"{seen}: at least {self.least} requests of each are needed", self.name, shown)
        bound = f"with {self.confidence:.0%} confidence at most {100 * excess.high:.2g} points more often"
        if excess.high <= self.margin:
            return Verdict("pass", f"{seen}: {bound}, and {100 * self.margin:g} are allowed", self.name, shown)
        return Verdict("wait", f"{seen}: {bound}, which must come under {100 * self.margin:g}", self.name, shown)

    def _evidence(self, hits: Hits) -> tuple[Measurement, ...]:
        # Half of the error for each arm: both intervals hold together with `confidence`.
        each = (1 - self.confidence) / 2
        control = _rate(self.name, "control", hits.control, hits.n_control, each)
        candidate = _rate(self.name, "candidate", hits.candidate, hits.n_candidate, each)
        excess = Measurement(
            f"{self.name}_excess",
            candidate.value - control.value,
            hits.n_candidate,
            candidate.low - control.high,
            candidate.high - control.low,
            conditions={"confidence": self.confidence, "allowed": self.margin},
        )
        enough = {"enough": 1 / self.alpha, "now": _finite(hits.log_evidence)}
        return (
            control,
            candidate,
            excess,
            Measurement("evidence", _finite(hits.highest), hits.n_candidate, conditions=enough),
        )


def _rate(name: str, arm: str, hits: int, n: int, alpha: float) -> Measurement:
    if not n:
        return nothing(name, where=arm)
    low, high = rate_bounds(hits, n, alpha)
    return Measurement(name, hits / n, n, low, high, where=arm, conditions={"confidence": 1 - alpha})


def _finite(log: float) -> float:
    return math.exp(min(log, 700.0))


def _share(hits: int, n: int) -> str:
    return f"{hits:,} of {n:,} requests ({hits / n:.2%})" if n else "no request"


def _odds(log: float) -> str:
    return f"{math.exp(log):,.0f}" if log < math.log(1e6) else f"10^{log / math.log(10):.0f}"
