"""A gate of somebody else's: it stops a candidate that has all but stopped answering."""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window


@dataclass(frozen=True)
class Collapse:
    """Fails once nine in ten requests of the candidate failed, and never passes."""

    least: int = 50
    alpha: float = 0.01

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        failed = 0 if candidate.errors is None else sum(error is not None for error in candidate.errors)
        said = f"{failed} of {candidate.n} failed"
        if candidate.n < self.least or failed < 0.9 * candidate.n:
            return Verdict("wait", said, "plugged_collapse")
        rate = Measurement("error_rate", failed / candidate.n, candidate.n)
        return Verdict("fail", said, "plugged_collapse", (rate,))
