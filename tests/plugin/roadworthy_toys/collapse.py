"""A gate of somebody else's: it stops a candidate that has all but stopped answering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.record import Record


@dataclass(frozen=True)
class Collapse:
    """Fails once nine in ten requests of the candidate failed, and never passes."""

    least: int = 50
    alpha: float = 0.01

    def __call__(self, control: Sequence[Record], candidate: Sequence[Record]) -> Verdict:
        failed = sum(record.error is not None for record in candidate)
        said = f"{failed} of {len(candidate)} failed"
        if len(candidate) < self.least or failed < 0.9 * len(candidate):
            return Verdict("wait", said, "plugged_collapse")
        rate = Measurement("error_rate", failed / len(candidate), len(candidate))
        return Verdict("fail", said, "plugged_collapse", (rate,))
