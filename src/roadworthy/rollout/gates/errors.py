"""The error gate: a candidate must not fail more of its requests than stable does."""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, requests, without_inputs
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.power import need_of_requests
from roadworthy.rollout.statistics.rates import Hits, NoMoreOften


@gate("errors")
@dataclass(frozen=True)
class Errors:
    """Fails once errors fall on the candidate more often than its share of the requests explains.

    `alpha` bounds the chance of ever failing an equally good candidate in a stage; a day of 288 looks uses about half
    of it (`benchmarks/rollout`). It passes when at most `margin` more of the candidate's requests fail, with
    `confidence`. A request of a shadow is compared with the same request on stable. Keys that always fail are a limit:
    if one caller's requests are all on one arm, they are not the independent draws that the proof asks for.
    """

    alpha: float = 0.035
    margin: float = 0.01
    confidence: float = 0.95
    least: int = 100

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        control, candidate = requests(without_inputs(control)), requests(without_inputs(candidate))
        return self._rule(Hits.of_arms(control, candidate, failed))

    def plan(self, expected: Expected) -> Need:
        """Requests until a candidate that fails as often as stable did passes."""
        asked = requests(without_inputs(expected.stable))
        rate = float(failed(asked).mean()) if asked.n else 0.0
        return need_of_requests(expected, self._rule, (rate, rate))

    @property
    def _rule(self) -> NoMoreOften:
        return NoMoreOften("error_rate", "failed", self.alpha, self.margin, self.confidence, self.least)
