"""Kullback-Leibler: how surprising are the columns now to somebody who knows the reference?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import kl
from roadworthy.observe.drift.pairs import check, compare


@detector("kl")
@dataclass(frozen=True)
class Kl:
    """Alarms when a column's Kullback-Leibler divergence is above `least` nats and beyond chance.

    Near 0 it is half of the population stability index, and has the same test. `alpha` bounds the false alarms of one
    look over all columns together (Holm 1979). `columns` are inputs or outputs, all inputs where empty; of
    vectors only whether they are there counts. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.05
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        return compare(self, reference, current, "kl", kl, self.bins)
