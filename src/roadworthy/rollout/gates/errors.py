"""The error gate: a candidate must not fail more of its requests than stable does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.rollout.arms import merged, pairs, requests, shadowed
from roadworthy.rollout.base import gate
from roadworthy.rollout.rates import Hits, NoMoreOften


@gate("errors")
@dataclass(frozen=True)
class Errors:
    """Fails once errors fall on the candidate more often than its share of the requests explains.

    `alpha` bounds the chance of ever failing an equally good candidate; a day of 288 looks uses about half of it
    (`benchmarks/gates.py`). It passes when at most `margin` more of the candidate's requests fail, with `confidence`.
    A request of a shadow is compared with the same request on stable. Keys that always fail are a limit: if one
    caller's requests are all on one arm, they are not the independent draws that the proof asks for.
    """

    alpha: float = 0.035
    margin: float = 0.01
    confidence: float = 0.95
    least: int = 100

    def __call__(self, control: Sequence[Record], candidate: Sequence[Record]) -> Verdict:
        control, candidate = requests(control), requests(candidate)
        rule = NoMoreOften("error_rate", "failed", self.alpha, self.margin, self.confidence, self.least)
        if shadowed(candidate):
            both = pairs(control, candidate)
            return rule(Hits.of_pairs(_failed([c for c, _ in both]), _failed([c for _, c in both])))
        order, on_candidate = merged(control, candidate)
        return rule(Hits.of_split(on_candidate, _failed([*control, *candidate])[order]))


def _failed(records: Sequence[Record]) -> NDArray[np.bool_]:
    return np.array([r.error is not None for r in records], np.bool_)
