"""The cost-quality curve: what is right when a given share of the requests goes to the dear model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Published curves have so many steps (RouteLLM); finer ones cross a level sooner, by noise alone.
STEPS = 10


class Curve(Struct, frozen=True):
    """Accuracy at each share of calls to the dear model: routed, by chance, and by whoever knows the answers.

    `points` are (share, routed, random, ideal), for a plot. `apgr`, `cpt50` and `cpt80` are those of Ong et al. 2024
    ("RouteLLM", arXiv 2406.18665): the mean share of the gap between the models that is recovered, and the share of
    calls that recovers 50 and 80 % of it. Where the models are equally good there is no gap: these have n=0.
    """

    n: int
    strong: float
    weak: float
    apgr: Measurement
    cpt50: Measurement
    cpt80: Measurement
    ideal_apgr: float
    points: tuple[tuple[float, float, float, float], ...]


def curve_of(
    gains: ArrayLike,
    strong: ArrayLike,
    weak: ArrayLike,
    where: str = "",
    resamples: int = 200,
    rng: np.random.Generator | None = None,
) -> Curve:
    """The curve of routing by `gains`; `strong` and `weak` say which model was right. Intervals by bootstrap of rows.

    Rows of one gain go over together, in no order, so that a router that cannot tell them apart earns nothing.
    """
    score, better = _checked(gains, strong, weak)
    n, draws = len(score), rng or np.random.default_rng(0)
    ranks = np.unique(score, return_inverse=True)[1]
    gap = float(better.mean())
    recovered = _recovered(ranks, better, np.ones(n))
    figures = figures_of(recovered, gap)
    spread = []
    for _ in range(resamples):
        counts = draws.multinomial(n, np.full(n, 1 / n)).astype(np.float64)
        spread.append(figures_of(_recovered(ranks, better, counts), float(counts @ better) / n))
    names = ("apgr", "cpt50", "cpt80")
    apgr, cpt50, cpt80 = (_told(names[k], figures[k], [row[k] for row in spread], n, where) for k in range(3))
    ideal = _recovered(np.unique(better, return_inverse=True)[1], better, np.ones(n))
    base = float(np.asarray(weak, np.float64).mean())
    points = tuple(
        (share, base + float(np.interp(share, *recovered)), base + gap * share, base + float(np.interp(share, *ideal)))
        for share in np.linspace(0, 1, 101).tolist()
    )
    return Curve(n, base + gap, base, apgr, cpt50, cpt80, figures_of(ideal, gap)[0], points)


def _checked(gains: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    score, high, low = (np.asarray(column, np.float64) for column in (gains, strong, weak))
    if score.ndim != 1 or not score.shape == high.shape == low.shape or not len(score):
        raise BadData(f"a curve needs one gain and two labels a row, got {score.shape}, {high.shape} and {low.shape}")
    if not (np.isfinite(score).all() and np.isfinite(high).all() and np.isfinite(low).all()):
        raise BadData("a curve needs finite gains and labels; leave out rows whose labels are not known yet")
    return score, high - low


def _recovered(
    ranks: NDArray[np.int64], better: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares sent, most wanted first, and the accuracy that each adds."""
    levels = int(ranks.max()) + 1
    sent = np.bincount(ranks, counts, levels)[::-1]
    added = np.bincount(ranks, counts * better, levels)[::-1]
    n = counts.sum()
    return np.append(0.0, np.cumsum(sent) / n), np.append(0.0, np.cumsum(added) / n)


def figures_of(recovered: tuple[NDArray[np.float64], NDArray[np.float64]], gap: float) -> tuple[float, float, float]:
    """APGR, CPT50 and CPT80 of rising shares from 0 to 1 and the accuracy that each adds, up to the gap."""
    shares, added = recovered
    if abs(gap) < 1e-12:
        return (np.nan, np.nan, np.nan)
    grid = np.linspace(0, 1, STEPS + 1)
    steps = np.interp(grid, shares, added) / gap
    area = float(np.trapezoid(added, shares)) / gap
    return area, _reached(grid, steps, 0.5), _reached(grid, steps, 0.8)


def _reached(grid: NDArray[np.float64], steps: NDArray[np.float64], level: float) -> float:
    """Where the curve first reaches a level, on straight lines between the steps."""
    over = int(np.argmax(steps >= level))
    before = steps[over - 1]
    return float(grid[over - 1] + (grid[over] - grid[over - 1]) * (level - before) / (steps[over] - before))


def _told(name: str, value: float, spread: list[float], n: int, where: str) -> Measurement:
    if value != value:
        return Measurement(name, where=where)
    known = np.array(spread)[np.isfinite(spread)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (value, value)
    return Measurement(name, value, n, min(float(low), value), max(float(high), value), where=where)
