"""Jensen-Shannon: how far have the columns moved, on a scale from 0 to 1?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import jensen_shannon
from roadworthy.observe.drift.pairs import check, compare


@detector("jensen_shannon")
@dataclass(frozen=True)
class JensenShannon:
    """Alarms when a column's Jensen-Shannon distance is above `least` and beyond chance.

    The distance is 0 for one law and 1 where no value is shared. `alpha` bounds the false alarms of one look over all
    columns together (Holm 1979). `columns` are inputs or outputs, all inputs where empty; of vectors only whether
    they are there counts. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.12
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        return compare(self, reference, current, "jensen_shannon", jensen_shannon, self.bins)
