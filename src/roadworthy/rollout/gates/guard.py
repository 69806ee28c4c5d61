"""The guard gate: guards and fallbacks must not have to step in more often on the candidate."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import requests
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.power import need_of_requests
from roadworthy.rollout.statistics.rates import Hits, NoMoreOften


@gate("guard")
@dataclass(frozen=True)
class Guard:
    """Fails once stops named in `steps` fall on the candidate more often than its share of the requests explains.

    `steps` are patterns for the names of stops on a row's path. The evidence is that of the error gate, valid at every
    look: `alpha` bounds the chance of ever failing an equally good candidate, whatever the rate and however it moves.
    It passes when at most `margin` more of the candidate's requests were stopped, with `confidence`. A stop that every
    request passes through says nothing here: name those that are on the path only where they stepped in.
    """

    steps: tuple[str, ...] = ("guard*", "fallback*")
    alpha: float = 0.02
    margin: float = 0.01
    confidence: float = 0.95
    least: int = 100

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        return self._rule(Hits.of_arms(requests(control), requests(candidate), self._stopped))

    def plan(self, expected: Expected) -> Need:
        """Requests until a candidate that is stopped as often as stable was passes."""
        asked = requests(expected.stable)
        rate = float(self._stopped(asked).mean()) if asked.n else 0.0
        return need_of_requests(expected, self._rule, (rate, rate))

    @property
    def _rule(self) -> NoMoreOften:
        return NoMoreOften("guarded_rate", "were stopped", self.alpha, self.margin, self.confidence, self.least)

    def _stopped(self, rows: Window) -> NDArray[np.bool_]:
        found = np.zeros(rows.n, np.bool_)
        for name, through in rows.steps.items():
            if any(fnmatchcase(name, pattern) for pattern in self.steps):
                found |= through
        if rows.arms is not None:
            found |= np.array([arm == "fallback" for arm in rows.arms], np.bool_)
        return found
