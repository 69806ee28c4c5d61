"""Population stability index: do the columns still have the distribution that they had in the reference?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import psi
from roadworthy.observe.drift.pairs import check, compare


@detector("psi")
@dataclass(frozen=True)
class Psi:
    """Alarms when a column's population stability index is above `least` and beyond chance.

    With n and m rows of one law in B bins, PSI * n m / (n + m) follows a chi-square with B - 1 degrees of freedom
    (Yurdakul 2018), so the index that chance explains falls with n: `alpha` bounds the false alarms of one look over
    all columns together (Holm 1979). Each further look has its own alpha. Values too rare for a chi-square get an exact
    binomial test. `columns` are inputs or outputs, all inputs where empty; of vectors only
    whether they are there counts. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.1
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        return compare(self, reference, current, "psi", psi, self.bins)
