"""Thresholds of a served cascade learnt anew from its own traffic: first some rows propose, then later rows test.

Each candidate is tested by betting on every row that comes, so that one may look at any time (Waudby-Smith & Ramdas
2023; a mixture of fixed bets), in an order fixed before the rows are seen: what is safe comes first, and nothing is
shared out over the candidates (Maurer, Hothorn & Lehmacher 1995). Which rows are seen depends on thresholds that were
in force before they came, with a chance that is known: that keeps the bets fair, whatever was in force. Betting takes
rows for independent given those before; real ones come in storms, so that stretches of rows must show it, too
(docs/decisions/0004).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.blocks import student
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.confident import path_of as confident_path
from roadworthy.route.cascades.consistency import delta_left, widened, widened_share
from roadworthy.route.cascades.filters import path_of as filter_path
from roadworthy.route.cascades.fits import CascadeFit, Level
from roadworthy.route.cascades.known import Known

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# So many rows propose the candidates; after so many that tested them, new ones are proposed.
DESIGN_ROWS, TEST_ROWS = 300, 8000
CANDIDATES = 12
# Bets as parts of the greatest that no row can ruin.
BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.75])
# Stretches of rows: at least so many of at least so many rows each; twice as many become half of them, twice as long.
STRETCHES, STRETCH_ROWS = 12, 20
# Their bound is looked at again and again, and reaches so much further for that (docs/decisions/0004).
WIDENED = 1.3
# No probability is as high, or as low: a side that keeps nothing. JSON has no infinity.
HOUR = 3600.0
NEVER, NEVER_BELOW = 2.0, -1.0
# In place of what is not known, for the same reason.
UNKNOWN = -1e9


@dataclass(frozen=True)
class Shape:
    """How the levels of a fit are written as numbers: `width` thresholds a level, of one kind or the other."""

    levels: int
    width: int
    sides: bool

    @classmethod
    def of(cls, fit: CascadeFit) -> Shape:
        """That of a fit."""
        sides = fit.target.precision is not None
        return cls(len(fit.levels), 2 if sides else max(1, *(len(level.by_class) for level in fit.levels)), sides)

    def edges(self, levels: tuple[Level, ...]) -> tuple[float, ...]:
        """The thresholds of levels, one after the other."""
        return tuple(edge for level in levels for edge in self._of(level))

    def levels_of(self, edges: tuple[float, ...], names: tuple[str, ...]) -> tuple[Level, ...]:
        """The levels that have these thresholds."""
        parts = [edges[k * self.width : (k + 1) * self.width] for k in range(self.levels)]
        return tuple(self._level(part, name) for part, name in zip(parts, names, strict=True))

    def _of(self, level: Level) -> tuple[float, ...]:
        if self.sides:
            low, high = level.reject_below, level.accept_from
            return (NEVER_BELOW if low is None else between(low), NEVER if high is None else between(high))
        found = level.by_class or (level.keep_from,) * self.width
        found += (None,) * (self.width - len(found))
        return tuple(NEVER if edge is None else between(edge) for edge in found)

    def _level(self, edges: tuple[float, ...], name: str) -> Level:
        if self.sides:
            low, high = edges
            return Level(None if low == NEVER_BELOW else low, None if high == NEVER else high, name=name)
        kept = tuple(None if edge == NEVER else edge for edge in edges)
        return Level(keep_from=kept[0], name=name) if len(kept) == 1 else Level(by_class=kept, name=name)


def between(edge: float) -> float:
    """A threshold that no score of seven digits can lie on: a record then says of each row on which side it was."""
    if not 0 < edge < 1:
        return edge
    step = 10.0 ** (math.floor(math.log10(edge)) - 6)
    return (math.floor(edge / step) + 0.5) * step


class Refit(Struct, frozen=True, omit_defaults=True):
    """How far the re-fit of a `number` has come: all that it needs to go on, as numbers.

    `design` are rows that propose, `candidates` the thresholds that they proposed, the safest first. Then for each
    candidate and each metric promised: `bets` (logs of what each has become), `best` (the most that they ever were
    together) and `sums` of each stretch of `length` rows, `rows` in all, which came from `since` to `until`; `kept` is
    the weight of rows that each candidate keeps, and last that of those kept when they came, of `weight`. `reached`
    candidates are certified.
    """

    number: int = 1
    design: tuple[float, ...] = ()
    candidates: tuple[float, ...] = ()
    bets: tuple[float, ...] = ()
    best: tuple[float, ...] = ()
    sums: tuple[float, ...] = ()
    length: int = STRETCH_ROWS
    rows: int = 0
    weight: float = 0.0
    kept: tuple[float, ...] = ()
    reached: int = 0
    since: float = 0.0
    until: float = 0.0

    def after(self) -> Refit:
        """The next one, which begins with nothing but its number."""
        return Refit(self.number + 1)


@dataclass(frozen=True)
class Refitting:
    """The rules by which a re-fit goes on from row to row; pure. Rows that test must come from `over_hours` or more."""

    fit: CascadeFit
    audit: float
    over_hours: float = 24.0

    @property
    def shape(self) -> Shape:
        """How thresholds are written."""
        return Shape.of(self.fit)

    @property
    def shares(self) -> tuple[float, ...]:
        """What must be reached against the answers at hand; steps towards it are counted in this order."""
        target, flips = self.fit.target, self.fit.flips or 0.0
        if target.precision is not None:
            return widened(*target.pair(), flips, 0.5)
        return (widened_share(target.share(), flips),)

    def delta(self, number: int) -> float:
        """What this re-fit may fail with: 6 / (pi k) ** 2 of delta, so that all of them together have delta."""
        return delta_left(self.fit.target, self.fit.flips or 0.0) * 6 / (math.pi * number) ** 2

    def see(self, refit: Refit, rows: Known) -> Refit:
        """After more rows, in the order in which they came; those of which one answer is unknown say nothing."""
        rows = rows.take(np.isfinite(rows.last) & np.isfinite(self._truth(rows)))
        if not len(rows):
            return refit
        return self._tested(refit, rows) if refit.candidates else self._designed(refit, rows)

    def decide(self, refit: Refit) -> Refit:
        """Propose candidates once there are rows enough, and count those that are certified by now."""
        if refit.candidates:
            return replace(refit, reached=max(refit.reached, self._certified(refit)))
        if len(refit.design) < DESIGN_ROWS * self._columns:
            return refit
        edges = self._candidates(np.array(refit.design).reshape(-1, self._columns))
        many = len(edges) // (self.shape.levels * self.shape.width)
        if not many:
            return replace(refit, design=())
        metrics = many * len(self.shares)
        zero = (0.0,) * metrics
        return Refit(refit.number, (), edges, (0.0,) * (metrics * len(BETS)), zero, (), kept=(0.0,) * (many + 1))

    def over(self, refit: Refit) -> bool:
        """Have its candidates been tested for long enough to propose others?"""
        return refit.weight >= TEST_ROWS and refit.until - refit.since >= 2 * self.over_hours * HOUR

    def chosen(self, refit: Refit) -> tuple[float, ...]:
        """The thresholds of the last candidate that is certified; nothing where none is."""
        size = self.shape.levels * self.shape.width
        return refit.candidates[(refit.reached - 1) * size : refit.reached * size] if refit.reached else ()

    @staticmethod
    def share_kept(refit: Refit, candidate: int) -> float:
        """The share of the traffic that a candidate keeps; of -1, the share that was kept."""
        return refit.kept[candidate] / refit.weight if refit.weight else 0.0

    def words(self, refit: Refit) -> str:
        """How far it has come."""
        if not refit.candidates:
            have = len(refit.design) // self._columns
            return f"re-fit {refit.number}: {have:,} of {DESIGN_ROWS:,} rows to propose thresholds from"
        hours = (refit.until - refit.since) / HOUR
        many = len(refit.kept) - 1
        return (
            f"re-fit {refit.number}: {refit.reached} of {many} choices certified by {refit.rows:,} rows of {hours:.1f} "
            f"hours, of {self.over_hours:g} or more that it takes"
        )

    @property
    def _columns(self) -> int:
        return 2 * self.shape.levels + 2

    def _truth(self, rows: Known) -> Floats:
        return rows.label if self.fit.target.accuracy is not None else rows.last

    def _designed(self, refit: Refit, rows: Known) -> Refit:
        """A plain sample: a row that was sent on is taken with the chance that a kept one is audited with."""
        taken = rows.take(rows.shut | (rows.chance < 1) | (rows.draw < self.audit))
        columns = (taken.scores, taken.said, self._truth(taken)[:, None], taken.last[:, None])
        found = np.nan_to_num(np.concatenate(columns, 1), nan=UNKNOWN)
        return replace(refit, design=(*refit.design, *found.reshape(-1).tolist()))

    def _candidates(self, design: Floats) -> tuple[float, ...]:
        """The path of a fit, thinned out, without what keeps nothing."""
        design = np.where(design == UNKNOWN, np.nan, design)
        levels = self.shape.levels
        scores, said, (truth, last) = design[:, :levels], design[:, levels : 2 * levels], design[:, -2:].T
        names = tuple(level.name for level in self.fit.levels)
        if self.shape.sides:
            precision, recall = self.shares
            path = filter_path(list(scores.T), truth > 0.5, precision, recall, names)
        else:
            cheap = [
                Cheap(np.nan_to_num(said[:, k], nan=-1.0).astype(np.int64), scores[:, k], names[k])
                for k in range(levels)
            ]
            final, right = last.astype(np.int64), truth.astype(np.int64)
            path = confident_path(cheap, right, final, self.shares[0], self._by_class)
        found = list(dict.fromkeys(self.shape.edges(one) for one in path if not all(level.shut for level in one)))
        if not found and not self.shape.sides:  # rows that are all right, say, tell nothing of where they might not be
            found = [self._quantiles(scores, part) for part in (0.9, 0.7, 0.5, 0.3, 0.1)]
        return tuple(edge for one in found[:: max(1, math.ceil(len(found) / CANDIDATES))] for edge in one)

    def _quantiles(self, scores: Floats, part: float) -> tuple[float, ...]:
        """Thresholds that this part of the rows of each level lies below."""
        known = [column[np.isfinite(column)] for column in scores.T]
        edges = [between(float(np.quantile(own, part))) if len(own) else NEVER for own in known]
        return tuple(edge for edge in edges for _ in range(self.shape.width))

    @property
    def _by_class(self) -> bool:
        return not self.shape.sides and self.shape.width > 1

    def _tested(self, refit: Refit, rows: Known) -> Refit:
        edges = np.array(refit.candidates).reshape(-1, self.shape.levels, self.shape.width)
        shares = np.array(self.shares)
        weights = np.where(rows.shut, 1.0, np.minimum(self.audit / rows.chance, 1.0))
        counted, right, kept = self._outcomes(edges, rows)
        values = np.where(counted, right - shares, 0.0) * weights[:, None, None]
        steps = np.log1p(values[..., None] * (BETS / shares[:, None]))
        many = values.shape[1:]
        bets = np.array(refit.bets).reshape(1, *many, len(BETS)) + np.cumsum(steps, 0)
        best = np.maximum(np.array(refit.best), _together(bets).max(0).reshape(-1))
        length, sums = _stretched(refit, values.reshape(len(rows), -1))
        was_kept = np.column_stack([kept, rows.kept_at < self.shape.levels])
        return replace(
            refit,
            bets=tuple(bets[-1].reshape(-1).tolist()),
            best=tuple(best.tolist()),
            sums=tuple(sums.reshape(-1).tolist()),
            length=length,
            rows=refit.rows + len(rows),
            weight=refit.weight + float(weights.sum()),
            since=refit.since if refit.rows else float(rows.at[0]),
            until=max(refit.until, float(rows.at.max())),
            kept=tuple((np.array(refit.kept) + weights @ was_kept).tolist()),
        )

    def _outcomes(self, edges: Floats, rows: Known) -> tuple[Flags, Flags, Flags]:
        """For each row and candidate (and metric): does it count, is it right; and is it kept by a cheap level?

        A row that a candidate would ask a level about that was not asked counts as wrong.
        """
        truth, at = self._truth(rows), np.full((len(rows), len(edges)), -1)
        answers = np.tile(rows.last[:, None], (1, len(edges)))
        for level in range(self.shape.levels):
            keeps, answer = self._keeps(edges[:, level], rows.scores[:, level], rows.said[:, level])
            new = keeps & (at < 0)
            at, answers = np.where(new, level, at), np.where(new, answer, answers)
        kept = at >= 0
        unseen = (at < 0) & (rows.kept_at[:, None] < self.shape.levels - 1)
        right = (answers == truth[:, None]) & ~unseen
        if not self.shape.sides:
            return np.ones((*right.shape, 1), np.bool_), right[..., None], kept
        yes = (answers > 0.5) | unseen
        positive = np.broadcast_to(truth[:, None] > 0.5, right.shape)
        return np.stack([yes, positive], 2), np.stack([right, right], 2), kept

    def _keeps(self, edges: Floats, scores: Floats, said: Floats) -> tuple[Flags, Floats]:
        """Which rows a level keeps with each candidate's thresholds (candidates, width), and what it answers."""
        column = scores[:, None]
        if self.shape.sides:
            yes = column >= edges[:, 1]
            return yes | (column < edges[:, 0]), yes.astype(np.float64)
        if self.shape.width == 1:
            return column >= edges[:, 0], said[:, None]
        known = (said >= 0) & (said < self.shape.width)
        mine = edges[:, np.where(known, said, 0).astype(np.int64)].T
        return (column >= mine) & known[:, None], said[:, None]

    def _certified(self, refit: Refit) -> int:
        """How many candidates from the safest on have shown each metric, by bets and by stretches."""
        metrics, delta = len(self.shares), self.delta(refit.number)
        shown = np.array(refit.best) >= -math.log(delta)
        sums = np.array(refit.sums).reshape(-1, len(refit.best))[: refit.rows // refit.length]
        if len(sums) < STRETCHES or refit.until - refit.since < self.over_hours * HOUR:
            return 0
        spread = WIDENED * sums.std(0, ddof=1) / math.sqrt(len(sums))
        shown &= sums.mean(0) > student(1 - 2 * delta, len(sums) - 1) * spread
        every = np.asarray(shown.reshape(-1, metrics).all(axis=1))
        return int(len(every) if every.all() else np.argmin(every))


def _together(bets: Floats) -> Floats:
    """The log of what the bets have become together, each having begun with the same part."""
    top = bets.max(-1)
    return np.asarray(top + np.log(np.exp(bets - top[..., None]).mean(-1)))


def _stretched(refit: Refit, values: Floats) -> tuple[int, Floats]:
    """The length of a stretch after more rows, and the sums of all stretches: the last may not be full."""
    length, old = refit.length, np.array(refit.sums).reshape(-1, values.shape[1])
    while refit.rows + len(values) > 2 * STRETCHES * length:
        length *= 2
        old = np.add.reduceat(old, np.arange(0, len(old), 2), axis=0) if len(old) else old
    at = (refit.rows + np.arange(len(values))) // length
    sums = np.zeros((int(at[-1]) + 1, values.shape[1]))
    sums[: len(old)] = old
    np.add.at(sums, at, values)
    return length, sums
