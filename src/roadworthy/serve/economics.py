"""What a cache is worth: how often it answered, what it holds, and the model's time and money that it spared."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, proportion, z_of


class Tally(Struct):
    """Rows that a cache was asked about, since it was made. Tallies of several processes merge.

    `hits` were answered from memory, `shared` waited for an identical row under way, `misses` went to the model.
    `timed` misses took `seconds` of model time a row, with `squares` the sum of their squares.
    """

    hits: int = 0
    shared: int = 0
    misses: int = 0
    evictions: int = 0
    entries: int = 0
    bytes: int = 0
    timed: int = 0
    seconds: float = 0.0
    squares: float = 0.0

    @property
    def rows(self) -> int:
        """How many were looked up."""
        return self.hits + self.shared + self.misses

    def took(self, rows: int, seconds: float) -> None:
        """Note the model's time for some rows that had to be computed together."""
        each = seconds / rows
        self.timed += rows
        self.seconds += seconds
        self.squares += each * each * rows

    def merge(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


def measured(tally: Tally, usd_per_hour: float = 0.0, where: str = "") -> tuple[Measurement, ...]:
    """What the tally says, each with its interval; a cache that nobody asked gives measurements with n=0.

    A spared row is worth what a computed one took on average. That is the time of its whole batch, in which others may
    have been: milliseconds spared are a caller's, and dollars an upper bound, exact where requests come one by one.
    A price of 0 means that nobody said what the machine costs.
    """
    spared = tally.hits + tally.shared
    each = _mean_seconds(tally)
    return (
        proportion("cache_hit_share", spared, tally.rows, where),
        proportion("cache_shared_share", tally.shared, tally.rows, where),
        _counted("cache_bytes", tally.bytes, tally.entries, "bytes", where),
        _counted("cache_evictions", tally.evictions, tally.misses, "1", where),
        _scaled("cache_saved_ms", each, spared * 1e3, "ms", where, {}),
        _scaled("cache_saved_usd", each, spared * usd_per_hour / 3600, "usd", where, {"usd_per_hour": usd_per_hour})
        if usd_per_hour
        else nothing("cache_saved_usd", "usd", where),
    )


def _mean_seconds(tally: Tally) -> tuple[float, float, float, int]:
    """The mean model time of a computed row with its normal interval, and how many rows are behind it."""
    n = tally.timed
    if not n:
        return math.nan, math.nan, math.nan, 0
    mean = tally.seconds / n
    spread = max(0.0, tally.squares / n - mean * mean) * n / max(1, n - 1)
    half = z_of(0.95) * math.sqrt(spread / n) if n > 1 else math.inf
    return mean, max(0.0, mean - half), mean + half, n


def _scaled(
    name: str,
    each: tuple[float, float, float, int],
    by: float,
    unit: str,
    where: str,
    conditions: Mapping[str, float],
) -> Measurement:
    mean, low, high, n = each
    if not n:
        return nothing(name, unit, where)
    # Nothing spared is worth nothing, however little is known of the price.
    low, high = (low * by, high * by) if by else (0.0, 0.0)
    return Measurement(name, mean * by, n, low, high, unit, where, conditions)


def _counted(name: str, value: int, n: int, unit: str, where: str) -> Measurement:
    """A count, which has no error; of nothing it is unknown."""
    return Measurement(name, value, n, value, value, unit, where) if n else nothing(name, unit, where)
