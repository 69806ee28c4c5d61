"""Wasserstein: how far have the rows of a column moved on average?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import wasserstein
from roadworthy.observe.drift.pairs import check, compare


@detector("wasserstein")
@dataclass(frozen=True)
class Wasserstein:
    """Alarms when rows of a column moved by more than `least` robust standard deviations on average, beyond chance.

    What is far out counts as 5 robust standard deviations from the median, so a few wild values move nothing. Null
    counts as the least value; categories are left out, as they have no order. `alpha` bounds the false alarms of one
    look over all columns together (Holm 1979). `columns` are inputs or outputs, all inputs where empty. Rows count as
    independent.
    """

    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.2
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        return compare(self, reference, current, "wasserstein", wasserstein, ordered=True)
