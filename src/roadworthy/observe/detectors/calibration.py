"""Calibration: do the probabilities still come true, on the rows whose outcome is known by now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from roadworthy.core.measure import Requirement, Verdict, judge
from roadworthy.core.profile import DAY, Reference
from roadworthy.core.stats import calibration_error, mean, proportion, z_of
from roadworthy.core.window import Window
from roadworthy.observe.base import detector

if TYPE_CHECKING:
    from numpy.typing import NDArray


@detector("calibration")
@dataclass(frozen=True)
class Calibration:
    """Alarms when the probabilities are shown to be off by more than `at_most`, on average or bin by bin.

    Two one-sided tests share `alpha`: of the expected calibration error, and of the gap between the rate of label 1
    and the mean probability (which is at most that error, and surer on few rows). `alpha` holds for one look; further
    looks at other rows have their own. It waits for `least_rows` labels. `output` names the probability; the only
    output where empty. Where the reference has labelled answers of many days, what its days differ by is allowed for,
    since rows of one day are alike; else rows count as independent.
    """

    at_most: float = 0.05
    alpha: float = 0.01
    least_rows: int = 200
    bins: int = 15
    output: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        if self.least_rows < 2 * self.bins:
            raise ValueError(f"`least_rows` must be at least 2 rows a bin, {2 * self.bins}, got {self.least_rows!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        probabilities = self._probabilities(current)
        if probabilities is None:
            wanted = repr(self.output) if self.output else "that is the only one"
            return Verdict(
                "wait", f"no output {wanted} (there are: {', '.join(current.outputs) or 'none'})", "calibration"
            )
        known = ~np.isnan(current.labels) & ~np.isnan(probabilities)
        labels, stated = current.labels[known], probabilities[known]
        if len(labels) < self.least_rows:
            return Verdict("wait", f"{len(labels)} of {self.least_rows} labels are known", "calibration")
        if bool(((labels != 0) & (labels != 1)).any()):
            return Verdict("wait", "some labels are neither 0 nor 1: there is no probability to check", "calibration")
        return self._judge(labels, stated, reference, _usual(reference, current.at[known]))

    def _judge(
        self, labels: NDArray[np.float64], stated: NDArray[np.float64], reference: Reference, usual: float
    ) -> Verdict:
        room = z_of(1 - self.alpha / 2) * usual
        gap = mean("gap", labels - stated, confidence=1 - self.alpha / 2)
        gap = replace(gap, low=min(gap.low, gap.value - room), high=max(gap.high, gap.value + room))
        error = calibration_error(labels, stated, bins=self.bins, confidence=1 - self.alpha)
        error = replace(error, low=max(0.0, error.low - room))
        rate = proportion("rate", int(labels.sum()), len(labels))
        verdicts = (
            judge(gap, Requirement("gap", at_least=-self.at_most, at_most=self.at_most)),
            judge(error, Requirement("ece", at_most=self.at_most)),
        )
        told = f"{error}, rate of label 1 {rate.value:.3f} against {stated.mean():.3f} stated{_base(reference)}"
        alarmed = any(v.decision == "fail" for v in verdicts)
        because = f"{'more' if alarmed else 'not shown to be more'} than {self.at_most:g} off: {told}"
        return Verdict("fail" if alarmed else "pass", because, "calibration", (error, gap, rate))

    def _probabilities(self, window: Window) -> NDArray[np.float64] | None:
        name = self.output or (next(iter(window.outputs)) if len(window.outputs) == 1 else "")
        found = window.outputs.get(name)
        return found if found is not None and found.ndim == 1 and found.dtype != object else None


def _usual(reference: Reference, at: NDArray[np.float64]) -> float:
    """How far labels and probabilities lie apart over as many days in a row in the reference; 0 where not known."""
    spreads = reference.profile.spreads
    days = len(np.unique(at[np.isfinite(at)] // DAY))
    return spreads[min(max(days, 1), len(spreads)) - 1] if spreads else 0.0


def _base(reference: Reference) -> str:
    rate = reference.profile.rate
    return "" if rate is None else f", {rate:.3f} in the reference"
