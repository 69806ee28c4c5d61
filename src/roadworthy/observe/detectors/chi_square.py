"""Chi-square: do the columns still fall into the same bins and categories equally often?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import chi_square
from roadworthy.observe.drift.pairs import check, compare


@detector("chi_square")
@dataclass(frozen=True)
class ChiSquare:
    """Alarms when Pearson's chi-square finds a column moved, by at least `least` (Cohen's w).

    Bins with too few rows are gathered into one, which gets an exact binomial test where it is still thin. `alpha`
    bounds the false alarms of one look over all columns together (Holm 1979). `columns` are inputs or outputs, all
    inputs where empty; of vectors only whether they are there counts. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.3
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        return compare(self, reference, current, "chi_square", chi_square, self.bins)
