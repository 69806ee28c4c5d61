"""A detector compares what arrives now with a reference and says whether something changed. It changes nothing."""

from __future__ import annotations

from typing import Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window


class Detector(Protocol):
    """One Verdict: `fail` is an alarm. On windows of one law it alarms with at most its `alpha`, over all columns.

    It waits on nothing. `because` names the columns that moved, worst first; `evidence` has one Measurement a column.
    """

    def __call__(self, reference: Window, current: Window) -> Verdict: ...


detector: Catalog[Detector] = Catalog("detector", "roadworthy.observe.detectors")
