"""What a batch of n rows is expected to take: a line `fixed + per_row * n`, fitted again after every batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, z_of

# A batch that is off by more than three times the usual is counted as off by three: a pause of the machine is not the
# model. The usual grows when all are off, so that a model that did become slower is followed.
CLIP = 3.0
LEAST_SPREAD, MOST_SPREAD, FIRST_SPREAD = 0.02, 1.0, 0.2
# How far the slope is believed to be from the one known before, as a part of it (a standard deviation). Batches of
# about one size tell nothing of the slope; what they do not tell stays as it was.
SLOPE_BELIEF = 0.3


class CostLine:
    """Least squares with forgetting: the last `memory` batches count, older ones fade (exponential weights).

    `spread` is the usual relative deviation of a batch from the line. Until something was learnt, everything is
    expected to take no time, and `n` is 0.
    """

    __slots__ = (
        "_covariance",
        "_gain",
        "_mean",
        "_noise",
        "_rows",
        "_slope",
        "_variance",
        "fixed",
        "n",
        "per_row",
        "spread",
    )

    def __init__(self, memory: int = 32) -> None:
        if memory < 2:
            raise ValueError(f"`memory` must be at least 2 batches, got {memory!r}")
        self._gain = 1.0 / memory
        self._slope: float | None = None
        self._forget()

    def __call__(self, rows: int) -> float:
        """Seconds that a batch of `rows` is expected to take."""
        return self.fixed + self.per_row * rows

    def __repr__(self) -> str:
        return f"CostLine({self.fixed * 1e3:.3g} ms + {self.per_row * 1e6:.3g} us a row, n={self.n})"

    def start(self, points: Sequence[tuple[int, float]]) -> None:
        """Begin with measured (rows, seconds), as a warm-up gives them; what was learnt before is forgotten."""
        self._forget()
        for rows, seconds in points:
            self._add(rows, seconds)
            self.n += 1
        if self._variance:
            self._slope = max(0.0, self._covariance / self._variance)
        self._fit()

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of `rows` took `seconds`."""
        if self.n:
            seconds = self._clipped(self.fixed + self.per_row * rows, seconds)
        self.n += 1
        self._add(rows, seconds)
        self._fit()

    def measurements(self) -> tuple[Measurement, Measurement]:
        """`batch_seconds` (the fixed part) and `row_seconds`, with the standard error of the weighted fit."""
        told = self._told()
        if self.n < 2 or not told:
            return nothing("batch_seconds", "s"), nothing("row_seconds", "s")
        slope = math.sqrt(self._noise / told)
        fixed = math.sqrt(self._noise * (1 / self._behind() + self._rows**2 / told))
        half = z_of(0.95)
        return (
            Measurement("batch_seconds", self.fixed, self.n, *_around(self.fixed, half * fixed), "s"),
            Measurement("row_seconds", self.per_row, self.n, *_around(self.per_row, half * slope), "s"),
        )

    def _forget(self) -> None:
        self.fixed = self.per_row = 0.0
        self.n, self.spread = 0, FIRST_SPREAD
        self._rows = self._mean = self._variance = self._covariance = self._noise = 0.0
        self._slope = None

    def _clipped(self, expected: float, seconds: float) -> float:
        off, usual = seconds - expected, self.spread * expected
        most = CLIP * usual
        relative = min(abs(off), most) / expected if expected > 0.0 else 0.0
        spread = self.spread + 0.1 * (relative - self.spread)
        self.spread = min(max(spread, LEAST_SPREAD), MOST_SPREAD)
        if expected > 0.0 and not -most <= off <= most:
            off = most if off > 0 else -most
        self._noise += self._gain * (off * off - self._noise)
        return expected + off

    def _add(self, rows: int, seconds: float) -> None:
        """West's recurrence for weighted moments, with a weight that falls to 1 / memory."""
        gain = max(self._gain, 1.0 / (self.n + 1))
        away, off = rows - self._rows, seconds - self._mean
        self._rows += gain * away
        self._mean += gain * off
        keep = 1.0 - gain
        self._variance = keep * (self._variance + gain * away * away)
        self._covariance = keep * (self._covariance + gain * away * off)

    def _fit(self) -> None:
        """Least squares, with the slope known before as a Gaussian prior (ridge regression)."""
        most = self._mean / self._rows if self._rows else 0.0
        if self._slope is None:  # one size only so far: half of it may well be fixed
            self._slope = 0.5 * most
        told, data = self._told(), self._behind() * self._variance
        slope = self._slope + self._behind() * (self._covariance - self._slope * self._variance) / told if told else 0.0
        self.per_row = min(max(0.0, slope), most)
        self.fixed = self._mean - self.per_row * self._rows
        if told:
            self._slope += self._gain * data / told * (self.per_row - self._slope)

    def _behind(self) -> float:
        """How many batches the exponential weights amount to."""
        return min(float(self.n), 2.0 / self._gain)

    def _told(self) -> float:
        """What is known of the slope, in squared rows: the spread of the sizes, and the belief in the slope before."""
        believed = SLOPE_BELIEF * (self._slope or 0.0)
        return self._behind() * self._variance + (self._noise / believed**2 if believed else 0.0)


def _around(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), value + half
