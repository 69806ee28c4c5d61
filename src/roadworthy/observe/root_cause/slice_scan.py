"""Looks at every slice in one and two dimensions for the one that got worse more than its like, and names it shortly.

The score is the gain in log-likelihood of "this slice moved, the rest did not move with it" over "all moved alike", for
normal errors around what was expected of each row; a slice of two dimensions must say what neither of its parts says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from msgspec import Struct

from roadworthy.observe.root_cause.dimensions import Dimension
from roadworthy.observe.root_cause.expected import PRIOR_ROWS, Expected
from roadworthy.observe.root_cause.metric_rows import Floats

LEAST_ROWS = 10
# Pairs are looked for among so many dimensions, those in which single values moved most.
MOST_PAIRED = 10
# A part explains a slice unless more than so much of the slice's move lies outside of it, all of that or for each row.
LEFT_BEHIND, LEFT_BEHIND_A_ROW = 0.35, 0.2
# A name in one dimension says at least so much of what the one in two says.
PARENT_GAIN = 0.1
KEPT = 40
# The noise is the best slice of stretches of the baseline, which has no cause: so many are looked at, of so many rows.
NULL_STRETCHES, MOST_NULL_ROWS = 4, 20_000
NOISE_TIMES = 1.5


class Slice(Struct, frozen=True, omit_defaults=True):
    """Rows that agree in something, `where` being as `tenant=acme & text length>512`.

    `shift` is what they have beyond what was expected, `others` what the other rows have, in the first scale of the
    metric; `share_of_excess` is the part of the whole increase that lies in these rows. `aliases` say the same rows.
    """

    where: str
    parts: tuple[str, ...]
    rows: int
    rows_before: int
    share_of_rows: float
    shift: float
    others: float
    share_of_excess: float
    gain: float
    likeness: float = 0.0
    aliases: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sums:
    """Rows and sums over the slices of a table, each an array of the table's shape; one sum a scale."""

    rows: Floats
    rows_before: Floats
    sums: tuple[Floats, ...]
    sums_before: tuple[Floats, ...]
    squares_before: tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class _Table:
    """The slices of one dimension, or of two, with their scores."""

    dims: tuple[Dimension, ...]
    of: _Sums
    gains: Floats
    shifts: tuple[Floats, ...]
    others: tuple[Floats, ...]


class SliceScan:
    """All slices of some dimensions, scored once. Those with least doubt and fewest words come first."""

    def __init__(self, dims: Sequence[Dimension], given: Expected, excess: float, noise: float = 0.0) -> None:
        self._rest, self._rest_before = given.rest_now, given.rest_before
        self._squares_before = [rest**2 for rest in self._rest_before]
        self._excess, self._noise = excess, noise
        self.n, self.n_before = len(self._rest[0]), len(self._rest_before[0])
        self._totals = [float(r.sum()) for r in self._rest]
        self._totals_before = [float(r.sum()) for r in self._rest_before]
        self._variances = [_variance(a, b) for a, b in zip(self._rest, self._rest_before, strict=True)]
        singles = [self._table((d,)) for d in dims]
        best = sorted(singles, key=lambda t: -float(t.gains.max(initial=0.0)))[:MOST_PAIRED]
        paired = [table.dims[0] for table in singles if table in best]
        pairs = [self._table(pair) for pair in combinations(paired, 2)]
        self._tables = {tuple(d.name for d in t.dims): t for t in (*singles, *pairs)}
        self.slices = sum(t.gains.size for t in self._tables.values())

    @property
    def least_gain(self) -> float:
        """What the best of so many slices reaches by chance about once in a hundred times, and well above the noise."""
        # The gains of the scales are added up, and the scales go together.
        chance = len(self._variances) * (math.log(max(2, self.slices)) + math.log(100))
        return max(chance, NOISE_TIMES * self._noise)

    @property
    def most_gain(self) -> float:
        """The largest gain of any slice."""
        return max((float(t.gains.max(initial=0.0)) for t in self._tables.values()), default=0.0)

    def best(self) -> Slice | None:
        """The slice that explains itself best, if any moved beyond chance."""
        top = next(iter(self._ranked()), None)
        if top is None or top[2] < self.least_gain:
            return None
        return self._slice(*self._plainest(top[0], top[1]))

    def top(self, most: int = 10) -> list[Slice]:
        """The slices with the largest gains, of one and two dimensions alike, the best description first."""
        found: dict[str, Slice] = {}
        for table, place, gain in self._ranked():
            if gain < self.least_gain or len(found) >= most:
                break
            plain = self._slice(*self._plainest(table, place))
            found.setdefault(plain.where, plain)
        return list(found.values())

    def _table(self, dims: tuple[Dimension, ...]) -> _Table:
        of = self._sums(dims)
        shifts, others, gains = [], [], np.zeros(of.rows.shape)
        for k, variance in enumerate(self._variances):
            shift, other, gain = self._scored(of, k, variance)
            shifts.append(shift)
            others.append(other)
            gains = gains + gain
        # What all rows of the window have in common tells none apart, unless no row had it before.
        fit = (of.rows >= LEAST_ROWS) & ((self.n - of.rows >= LEAST_ROWS) | (of.rows_before == 0))
        return _Table(dims, of, np.where(fit, gains, 0.0), tuple(shifts), tuple(others))

    def _sums(self, dims: tuple[Dimension, ...]) -> _Sums:
        now, before, sizes = dims[0].now, dims[0].before, [d.size for d in dims]
        if len(dims) == 2:
            now, before = now * sizes[1] + dims[1].now, before * sizes[1] + dims[1].before
        cells = math.prod(sizes)

        def of(codes: np.ndarray[tuple[int], np.dtype[np.int64]], weights: Floats | None) -> Floats:
            found = np.bincount(codes, weights, cells).astype(np.float64).reshape(sizes)
            picked = dims[0].picks.astype(np.float64) @ found
            return picked if len(dims) == 1 else picked @ dims[1].picks.T.astype(np.float64)

        return _Sums(
            of(now, None),
            of(before, None),
            tuple(of(now, rest) for rest in self._rest),
            tuple(of(before, rest) for rest in self._rest_before),
            tuple(of(before, squares) for squares in self._squares_before),
        )

    def _scored(self, of: _Sums, k: int, variance: float) -> tuple[Floats, Floats, Floats]:
        """How much the slice moved, how much all others did, and the gain of telling them apart."""
        a, b = of.rows, of.rows_before
        c, d = self.n - a, self.n_before - b
        shift = _mean(of.sums[k], a) - _mean(of.sums_before[k], b)
        other = _mean(self._totals[k] - of.sums[k], c) - _mean(self._totals_before[k] - of.sums_before[k], d)
        # Rows that always varied more than others, such as long texts, say less.
        own = (of.squares_before[k] + PRIOR_ROWS * variance) / (b + PRIOR_ROWS) - _mean(of.sums_before[k], b) ** 2
        doubt = np.maximum(own, variance) * (_per(a) + _per(b)) + variance * (_per(c) + _per(d))
        apart = np.maximum(shift - np.maximum(other, 0.0), 0.0)
        return shift, other, apart**2 / (2 * np.maximum(doubt, 1e-300))

    def _ranked(self) -> Iterator[tuple[_Table, tuple[int, ...], float]]:
        flat = [
            (float(t.gains.flat[k]), t, k)
            for t in self._tables.values()
            for k in np.argsort(-t.gains, axis=None)[:KEPT].tolist()
        ]
        for gain, table, k in sorted(flat, key=lambda found: -found[0]):
            yield table, tuple(int(i) for i in np.unravel_index(k, table.gains.shape)), gain

    def _plainest(self, table: _Table, place: tuple[int, ...]) -> tuple[_Table, tuple[int, ...]]:
        """One of the two parts, where what it adds moved as well; else the slice itself."""
        if len(place) == 1:
            return table, place
        parents = []
        for side in (0, 1):
            parent, at = self._tables[(table.dims[side].name,)], (place[side],)
            enough = PARENT_GAIN * float(table.gains[place])
            if float(parent.gains[at]) > enough and self._moved_outside(parent, at, table, place):
                parents.append((float(parent.gains[at]), parent, at))
        if not parents:
            return table, place
        _, parent, at = max(parents, key=lambda found: found[0])
        return parent, at

    def _moved_outside(self, parent: _Table, at: tuple[int, ...], child: _Table, place: tuple[int, ...]) -> bool:
        """Did the parent move outside of the child too, in any scale?

        Almost no rows may lie outside: then the parent is the shorter name of the same rows.
        """
        outside = float(parent.of.rows[at] - child.of.rows[place])
        if outside < max(LEAST_ROWS, 0.02 * float(parent.of.rows[at])):
            return True
        before = float(parent.of.rows_before[at] - child.of.rows_before[place])
        for k in range(len(self._variances)):
            now = float(parent.of.sums[k][at] - child.of.sums[k][place]) / outside
            then = float(parent.of.sums_before[k][at] - child.of.sums_before[k][place]) / max(1.0, before)
            base = max(0.0, min(float(parent.others[k][at]), float(child.others[k][place])))
            left, own = max(0.0, now - then - base), max(0.0, float(child.shifts[k][place]) - base)
            whole = outside * left + float(child.of.rows[place]) * own
            if left > LEFT_BEHIND_A_ROW * own or outside * left > LEFT_BEHIND * whole:
                return True
        return False

    def _slice(self, table: _Table, place: tuple[int, ...]) -> Slice:
        parts = tuple(d.labels[k] for d, k in zip(table.dims, place, strict=True))
        rows = float(table.of.rows[place])
        shift, other = float(table.shifts[0][place]), float(table.others[0][place])
        ratios = [_ratio(o[place], s[place]) for s, o in zip(table.shifts, table.others, strict=True)]
        # The first scale holds the wait in the queue, which others suffer too.
        ratios = ratios[1:] or ratios
        return Slice(
            " & ".join(parts),
            parts,
            int(rows),
            int(table.of.rows_before[place]),
            rows / self.n,
            shift,
            other,
            rows * shift / (self.n * self._excess) if self._excess else 0.0,
            float(table.gains[place]),
            max(ratios),
            self._aliases(table, place),
            tuple(d.name for d in table.dims),
        )

    def _aliases(self, table: _Table, place: tuple[int, ...]) -> tuple[str, ...]:
        """Other single values that mean the very same rows of the window."""
        if len(place) > 1:
            return ()
        rows, name = table.of.rows[place], table.dims[0].name
        found = [f"{alias} (says the same as {name})" for alias in table.dims[0].aliases]
        for key, pair in self._tables.items():
            if len(key) == 2 and name in key:
                side = key.index(name)
                met = pair.of.rows[place[0]] if side == 0 else pair.of.rows[:, place[0]]
                other = self._tables[(key[1 - side],)]
                same = (met == rows) & (other.of.rows == rows)
                found += [other.dims[0].labels[k] for k in np.flatnonzero(same)]
        return tuple(found)


def noise_of(dims: Sequence[Dimension], given: Expected, at: Floats) -> float:
    """The largest gain among stretches of the baseline as long as the window, each against the rest of it.

    Rows come in clumps: a tenant's burst may meet a slow minute. What that does to the best of all slices is measured
    here rather than assumed. `at` is when each row of the baseline was asked.
    """
    n, m = len(given.scales[0].now), len(given.scales[0].before)
    size = min(n, m // NULL_STRETCHES)
    if size < LEAST_ROWS:
        return 0.0
    order = np.argsort(at, kind="stable")
    every = max(1, size // MOST_NULL_ROWS)
    gains = []
    for k in range(NULL_STRETCHES):
        start = k * (m - size) // max(1, NULL_STRETCHES - 1)
        inside, outside = order[start : start + size : every], np.r_[order[:start:every], order[start + size :: every]]
        then = [d.then(inside, outside) for d in dims]
        gains.append(SliceScan(then, given.then(inside, outside), 0.0).most_gain)
    return max(gains) * every * max(1.0, n / size)


def _mean(sums: Floats, rows: Floats) -> Floats:
    return np.asarray(sums / np.maximum(rows, 1.0))


def _per(rows: Floats) -> Floats:
    """The doubt of a mean of so many rows; one that is of no rows is not subtracted, and adds none."""
    return np.asarray(np.where(rows > 0, 1.0 / np.maximum(rows, 1.0), 0.0))


def _ratio(other: float, shift: float) -> float:
    return float(max(0.0, other) / shift) if shift > 0 else 1.0


def _variance(now: Floats, before: Floats) -> float:
    both = (float(((now - now.mean()) ** 2).sum()) + float(((before - before.mean()) ** 2).sum())) / max(
        1, len(now) + len(before)
    )
    return max(both, 1e-12)
