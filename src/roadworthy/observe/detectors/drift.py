"""Drift looks at every column of a reference, with the tests that suit its kind, under one rate of false alarms."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from roadworthy.core.columns import Numbers
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.drift.distances import Pair, beyond, kolmogorov_smirnov, psi
from roadworthy.observe.drift.pairs import Pairs, check, judge_all, pair, too_few


@detector("drift")
@dataclass(frozen=True)
class Drift:
    """Alarms when an input, an output or the confidence moved: by `least`, and beyond chance.

    A column is measured by its population stability index. Chance is judged by Pearson's chi-square over the bins, for
    numbers also by Kolmogorov-Smirnov and by the rows beyond all that the reference has, which count as a move of
    their own from a share of `least_beyond` on; a text by its length, words, signs, new terms and language. `alpha`
    bounds the false alarms of one look over all columns together (Holm 1979). A column that vanished is one that
    moved; a new one is named. `columns` narrows it, `ignore` leaves some out; of vectors only whether they are
    there counts: other detectors look into them. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.1
    least_beyond: float = 0.01
    least_rows: int = 50

    def __post_init__(self) -> None:
        check(self)
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        return self.judge(reference.profile, Profile.of(current, like=reference.profile))

    def judge(self, reference: Profile, current: Profile) -> Verdict:
        """The same of two profiles, the second made `like` the first: of rows that no memory holds at once."""
        waiting = too_few(self, reference.n, current.n, "drift")
        if waiting:
            return waiting
        found = self.pairs(reference, current)
        if not found.pairs:
            return Verdict("wait", f"the reference has no column to compare{found.told}", "drift")
        measured = [self.measure(p) for p in found.pairs]
        return judge_all(self, "drift", measured, current.n, found.told, self.enough)

    def pairs(self, reference: Profile, current: Profile) -> Pairs:
        """The columns that it compares."""
        return pair(reference, current, self.columns, self.ignore, self.bins, everything=True)

    def measure(self, pair: Pair) -> Measurement:
        """The stability index of a column, with the p-value of all of its tests (Bonferroni)."""
        index = psi(pair)
        if not isinstance(pair.reference, Numbers):
            return index
        out, gap = beyond(pair), kolmogorov_smirnov(pair)
        p = min(1.0, 3 * min(m.conditions["p"] for m in (index, out, gap)))
        # What lies beyond the reference is in its outermost bin, where the index does not see how far it went.
        if index.value < self.least and out.value >= self.least_beyond and 3 * out.conditions["p"] <= p:
            index = out
        return replace(index, conditions={**index.conditions, "p": p})

    def enough(self, measured: Measurement) -> bool:
        """Whether a column moved so far that somebody should know, chance aside."""
        return measured.value >= (self.least_beyond if measured.name == "beyond" else self.least)
