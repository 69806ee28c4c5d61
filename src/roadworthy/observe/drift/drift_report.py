"""A drift report shows what happened to each column: all of its distances, what moved, and both histograms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.columns import Numbers
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Profile
from roadworthy.observe.detectors.drift import Drift
from roadworthy.observe.drift.bins import count
from roadworthy.observe.drift.distances import (
    Distance,
    Pair,
    beyond,
    chi_square,
    jensen_shannon,
    kl,
    kolmogorov_smirnov,
    l_infinity,
    psi,
    wasserstein,
)
from roadworthy.observe.drift.pairs import beyond_chance, label

if TYPE_CHECKING:
    from rich.table import Table

ANY: tuple[Distance, ...] = (psi, kl, jensen_shannon, chi_square, l_infinity)
ORDERED: tuple[Distance, ...] = (kolmogorov_smirnov, wasserstein, beyond)
_BINS = 24
Outcome = Literal["moved", "gone", "slight", "chance", "new"]
_SAID: Mapping[Outcome, str] = {
    "moved": "moved",
    "gone": "gone",
    "slight": "beyond chance, but slight",
    "chance": "no more than chance",
    "new": "new: not compared",
}


class Histogram(Struct, frozen=True):
    """Shares of all rows in the same bars; `edges` has one more than there are bars, and is empty of categories.

    What lies beyond the edges is in the outermost bars; nulls are in none.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


class Moved(Struct, frozen=True):
    """One column: `effect` is the distance that it is judged by, `p` the probability of such a one by chance alone.

    `distances` are all of them, `most` says in words which rows moved.
    """

    column: str
    outcome: Outcome
    effect: Measurement | None = None
    p: float = 1.0
    most: str = ""
    distances: tuple[Measurement, ...] = ()
    histogram: Histogram | None = None


class DriftReport(Struct, frozen=True):
    """`rows` are the columns, those that moved first; `verdict` is what the detector says of all of them."""

    verdict: Verdict
    alpha: float
    reference_rows: int
    current_rows: int
    since: float | None
    until: float | None
    rows: tuple[Moved, ...]


def drift_report(reference: Profile, current: Profile, detector: Drift | None = None) -> DriftReport:
    """Compare two profiles, the second being made `like` the first, with every distance that suits a column."""
    detector = detector or Drift()
    verdict, found = detector.judge(reference, current), detector.pairs(reference, current)
    pairs = found.pairs if verdict.decision != "wait" else ()
    effects = {p.name: detector.measure(p) for p in pairs}
    shown = {m.where for m in beyond_chance(effects.values(), detector.alpha)}
    rows = [_row(p, effects[p.name], _outcome(p.name, effects[p.name], found.gone, shown, detector)) for p in pairs]
    order: tuple[Outcome, ...] = ("gone", "moved", "slight", "chance")
    rows.sort(key=lambda row: (order.index(row.outcome), -row.effect.value if row.effect else 0.0, row.column))
    rows += [Moved(name, "gone") for name in found.gone if name not in effects]
    rows += [Moved(name, "new") for name in found.new]
    return DriftReport(verdict, detector.alpha, reference.n, current.n, current.since, current.until, tuple(rows))


def table(report: DriftReport) -> Table:
    """The report for people to read in a terminal."""
    from rich.table import Table

    about = f"{report.current_rows:,} rows against {report.reference_rows:,}: {report.verdict.decision}"
    shown = Table(title=about, title_justify="left", box=None, pad_edge=False)
    for name in ("column", "effect", "p", "verdict", "most"):
        shown.add_column(name, justify="right" if name == "p" else "left", overflow="fold")
    for row in report.rows:
        effect = f"{label(row.effect)} {row.effect.value:.3f}" if row.effect else ""
        shown.add_row(row.column, effect, f"{row.p:.2g}" if row.effect else "", _SAID[row.outcome], row.most)
    return shown


def histogram(pair: Pair, bars: int = _BINS) -> Histogram:
    """Both columns in the same bars: of equal width over the middle 98 % of both, or the commonest categories."""
    if isinstance(pair.reference, Numbers) and isinstance(pair.current, Numbers):
        return _of_numbers(pair.reference, pair.current, bars)
    counts = count(pair.reference, pair.current, bars)
    shares = (counts.reference / max(1, pair.reference.n), counts.current / max(1, pair.current.n))
    return Histogram(counts.names, (), tuple(shares[0].tolist()), tuple(shares[1].tolist()))


def _row(pair: Pair, effect: Measurement, outcome: Outcome) -> Moved:
    distances = [*ANY, *(ORDERED if isinstance(pair.reference, Numbers) else ())]
    told = effect.conditions
    return Moved(
        pair.name, outcome, effect, told["p"], told["most"], tuple(each(pair) for each in distances), histogram(pair)
    )


def _outcome(
    name: str, effect: Measurement, gone: tuple[str, ...], beyond_chance: set[str], detector: Drift
) -> Outcome:
    if name in gone:
        return "gone"
    if name not in beyond_chance:
        return "chance"
    return "moved" if detector.enough(effect) else "slight"


def _of_numbers(reference: Numbers, current: Numbers, bars: int) -> Histogram:
    ends = [q for side in (reference, current) if side.known for q in side.quantiles(0.01, 0.99)]
    if not ends:
        return Histogram((), (), (), ())
    low, high = min(ends), max(ends)
    if not high > low:
        low, high = low - max(abs(low), 1.0) / 2, low + max(abs(low), 1.0) / 2
    edges = np.linspace(low, high, bars + 1)
    shares = [_shares(side, edges) for side in (reference, current)]
    names = tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges.tolist()))
    return Histogram(names, tuple(edges.tolist()), *shares)


def _shares(column: Numbers, edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    """Rows between edges, those of a cell that an edge cuts being spread evenly over it."""
    upto = np.cumsum(column.counts())[:-1]
    below = np.interp(edges[1:-1], column.grid.edges(), upto)
    rows = np.diff(np.concatenate([[0.0], below, [float(column.known)]]))
    return tuple((rows / max(1, column.n)).tolist())
