"""Control charts of a share and of a loss, valid at every look and whenever they change.

A test by betting (Waudby-Smith & Ramdas 2024) on stretches of traffic: where the share is as planned, no bet on either
side gains on average, whatever the rows within a stretch have to do with each other. Half of the stake is laid at the
start, the other half on the chance that the share changes later, at stretch EVERY * k with a weight of about
1 / (k log(k)^2): a mixture in the manner of Shiryaev and Roberts. By Ville's inequality the chart ever alarms on a kept
plan with at most `alpha`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.blocks import block_sums, of_totals
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Verdict

# How far towards certainty the share is imagined to have moved; a bet is the best one against that share.
MOVED = (0.02, 0.05, 0.1, 0.18, 0.3, 0.5, 0.75)
CERTAIN = 1e280
# Fewer moments to bet on leave more for each; a change is met so many stretches late at most.
EVERY = 8


class EscalationChart:
    """Takes shares of stretches, one after another, and holds the evidence against `planned` +- `tolerance`.

    `up` and `down` are e-values that the share lies above and below: an alarm is due at 2 / alpha.
    """

    def __init__(self, planned: float, tolerance: float = 0.0, alpha: float = 0.01) -> None:
        if not (0 < planned < 1 and tolerance >= 0 and 0 < alpha < 1):
            given = f"{planned!r}, {tolerance!r} and {alpha!r}"
            raise BadData(f"`planned` and `alpha` lie between 0 and 1 and `tolerance` is at least 0, got {given}")
        self.planned, self.tolerance, self.alpha = planned, tolerance, alpha
        self.seen = 0
        self.alarm = ""
        self._sides = (_Bets(min(planned + tolerance, 1.0)), _Bets(min(1.0 - planned + tolerance, 1.0)))

    @property
    def up(self) -> float:
        """The e-value that more is escalated than planned."""
        return self._sides[0].evidence

    @property
    def down(self) -> float:
        """The e-value that less is."""
        return self._sides[1].evidence

    def add(self, share: float) -> str:
        """The share of one more stretch (a request, a session, a minute): "up", "down" or "" for no alarm so far."""
        if not 0 <= share <= 1:
            raise BadData(f"a share lies between 0 and 1, got {share!r}")
        self.seen += 1
        for bets, outcome in zip(self._sides, (share, 1.0 - share), strict=True):
            bets.add(outcome)
        if not self.alarm and max(self.up, self.down) >= 2 / self.alpha:
            self.alarm = "up" if self.up >= self.down else "down"
        return self.alarm


class _Bets:
    """Bets that outcomes in [0, 1] are more than `least` on average."""

    def __init__(self, least: float) -> None:
        self._least = least
        # The best bet where the share is s: (s - m) / (m (1 - m)), m being what is doubted. Nothing is more than 1.
        self._stakes = [0.0 if least >= 1.0 else moved / max(least, 1e-9) for moved in MOVED]
        self._wealth = [0.5] * len(MOVED)
        self._seen = 0
        self._kept = 0.5  # the part of the stake that is not laid yet

    @property
    def evidence(self) -> float:
        return sum(self._wealth) / len(MOVED) + self._kept

    def add(self, outcome: float) -> None:
        fresh, more = 0.0, outcome - self._least
        if self._seen % EVERY == 0:
            kept = 0.5 / (1 + math.log1p(self._seen // EVERY + 1))
            fresh, self._kept = self._kept - kept, kept
        self._seen += 1
        bets = zip(self._wealth, self._stakes, strict=True)
        # A list of seven: numpy would cost more than all of the arithmetic.
        self._wealth = [min((wealth + fresh) * (1 + stake * more), CERTAIN) for wealth, stake in bets]


class ChartPoint(Struct, frozen=True):
    """The chart after a stretch: when it ended, the share in it, and the evidence (e-values) on either side."""

    at: float
    share: float
    up: float
    down: float


class Chart(Struct, frozen=True, omit_defaults=True):
    """What a chart says of some traffic: the share (or loss), is it as planned, since when it is known not to be.

    `points` are at most a few hundred, for drawing; `threshold` is the evidence at which it alarms.
    """

    planned: float
    share: Measurement
    threshold: float
    verdict: Verdict
    alarm_at: float | None = None
    alarm_rows: int | None = None
    points: tuple[ChartPoint, ...] = ()
    where: str = ""


def chart_of(
    escalated: NDArray[np.bool_],
    requests: Sequence[Any] | NDArray[Any],
    at: NDArray[np.float64],
    planned: float,
    tolerance: float = 0.02,
    alpha: float = 0.01,
    where: str = "",
    most_points: int = 200,
) -> Chart:
    """The chart over rows in time order. `requests` groups the rows that belong together, which count as one stretch.

    Hand in sessions or minutes where neighbouring requests escalate together: a stretch is one piece of evidence.
    """
    if not len(escalated):
        return _nothing(planned, alpha, where, "strong_share", "no row was routed yet")
    chart, values = EscalationChart(planned, tolerance, alpha), np.asarray(escalated, np.float64)
    found = _run("strong_share", chart, values, values, requests, at, where)
    return _chart(planned, alpha, found, _verdict_of_share(chart, found.mean, found.alarm), found.points, most_points)


def loss_chart_of(
    losses: NDArray[np.float64],
    requests: Sequence[Any] | NDArray[Any],
    at: NDArray[np.float64],
    planned: float,
    tolerance: float = 0.02,
    alpha: float = 0.01,
    where: str = "",
    most_points: int = 200,
) -> Chart:
    """The chart of what compared rows lost by going to the weak model: 1, 0, or -1 where only that one was right.

    Hand in rows that the router left to the weak model and that were compared by a draw. Nothing else was chosen about
    them, so they lose on average what all such rows lose. `up` is the evidence that this is more than planned.
    """
    if not len(losses):
        return _nothing(planned, alpha, where, "loss", "no row was compared yet")
    # Losses lie in [-1, 1], bets are on outcomes in [0, 1].
    chart = EscalationChart((planned + 1) / 2, tolerance / 2, alpha)
    found = _run("loss", chart, losses, (losses + 1) / 2, requests, at, where)
    drawn = [ChartPoint(p.at, 2 * p.share - 1, p.up, p.down) for p in found.points]
    verdict = _verdict_of_loss(chart, found.mean, found.alarm, planned, tolerance)
    return _chart(planned, alpha, found, verdict, drawn, most_points)


def mean_of(
    name: str, values: NDArray[np.float64], requests: Sequence[Any] | NDArray[Any], at: NDArray[np.float64], where: str
) -> Measurement:
    """The mean over all rows, neighbours taken together."""
    sums = block_sums(np.stack([values, np.ones(len(at))], axis=1), requests, at)
    return of_totals(name, sums, lambda t: t[:, 0] / t[:, 1], len(at), where=where)


class _Alarm(NamedTuple):
    """When a chart first alarmed, and after how many rows; None while it has not."""

    at: float | None = None
    rows: int | None = None


class _Found(NamedTuple):
    """The mean over all rows, a point for each stretch, and the alarm."""

    mean: Measurement
    points: Sequence[ChartPoint]
    alarm: _Alarm


def _run(
    name: str,
    chart: EscalationChart,
    values: NDArray[np.float64],
    outcomes: NDArray[np.float64],
    requests: Sequence[Any] | NDArray[Any],
    at: NDArray[np.float64],
    where: str,
) -> _Found:
    """Bet on the `outcomes` of one stretch after another; `values` are what is told of them."""
    points, alarm = [], _Alarm()
    for end, rows, share in _stretches(outcomes, requests, at):
        if chart.add(share) and alarm.rows is None:
            alarm = _Alarm(end, rows)
        points.append(ChartPoint(end, share, chart.up, chart.down))
    return _Found(mean_of(name, values, requests, at, where), points, alarm)


def _nothing(planned: float, alpha: float, where: str, name: str, why: str) -> Chart:
    return Chart(planned, Measurement(name, where=where), 2 / alpha, Verdict("wait", why, name), where=where)


def _chart(
    planned: float, alpha: float, found: _Found, verdict: Verdict, points: Sequence[ChartPoint], most: int
) -> Chart:
    drawn = _thinned(points, most)
    return Chart(planned, found.mean, 2 / alpha, verdict, found.alarm.at, found.alarm.rows, drawn, found.mean.where)


def _thinned(points: Sequence[ChartPoint], most: int) -> tuple[ChartPoint, ...]:
    every = max(1, math.ceil(len(points) / most))
    return tuple(points[every - 1 :: every])


def _stretches(
    values: NDArray[np.float64], requests: Sequence[Any] | NDArray[Any], at: NDArray[np.float64]
) -> Iterable[tuple[float, int, float]]:
    """The end of each stretch, the rows until then, and its share; in the order in which the stretches end."""
    names = np.asarray(requests, dtype=object).astype(str)
    _, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    ends = np.full(len(counts), -np.inf)
    np.maximum.at(ends, inverse, at)
    shares = np.clip(np.bincount(inverse, values) / counts, 0.0, 1.0)
    # A stretch whose last row came first is complete first; ties in the order of the rows.
    first = np.full(len(counts), len(at))
    np.minimum.at(first, inverse, np.arange(len(at)))
    order = np.lexsort((first, ends))
    yield from zip(ends[order].tolist(), np.cumsum(counts[order]).tolist(), shares[order].tolist(), strict=True)


def _verdict_of_share(chart: EscalationChart, share: Measurement, alarm: _Alarm) -> Verdict:
    plan = f"{chart.planned:.1%} planned (+- {chart.tolerance:.1%})"
    said = f"{share.value:.1%} of the rows go to the strong model, {plan}"
    if alarm.rows is not None:
        said = f"{said}: {_side(chart)} than planned, known after {alarm.rows:,} rows"
        return Verdict("fail", said, "strong_share", (share,))
    if share.low >= chart.planned - chart.tolerance and share.high <= chart.planned + chart.tolerance:
        return Verdict("pass", said, "strong_share", (share,))
    return Verdict("wait", f"{said}: no alarm", "strong_share", (share,))


def _verdict_of_loss(
    chart: EscalationChart, loss: Measurement, alarm: _Alarm, planned: float, tolerance: float
) -> Verdict:
    plan = f"{planned:.4g} planned (+- {tolerance:.4g})"
    said = f"rows left to the weak model lose {loss.value:.4g} to the strong one, {plan}, by {loss.n:,} comparisons"
    if alarm.rows is not None:
        said = f"{said}: {_side(chart)} than planned, known after {alarm.rows:,}"
        return Verdict("fail", said, "loss", (loss,))
    if loss.high <= planned + tolerance:
        return Verdict("pass", said, "loss", (loss,))
    return Verdict("wait", f"{said}: no alarm", "loss", (loss,))


def _side(chart: EscalationChart) -> str:
    return "more" if chart.alarm == "up" else "less"
