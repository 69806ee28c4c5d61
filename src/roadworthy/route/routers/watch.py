"""A watch looks at each request as it comes and says when the stream is no longer what the router was fitted on."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from random import Random
from struct import Struct

# How strongly to bet that small values became commoner (below 0) or rarer, and how often to change one's mind.
_BETS = (-1.0, 0.0, 1.0)
_JUMP = 0.01
# Beyond so many values new ones are ranked among them but no longer kept: by then the ranks are uniform to within a
# hundredth, and the bets need a mean rank that is off by more than 0.04 to grow.
_MOST = 50_000


class Jumper:
    """Bets on one number of each request: the Simple Jumper (Vovk, Petej, Nouretdinov et al. 2021).

    The rank of each new value among all that came before is uniform while the stream stays exchangeable with the
    reference (Vovk, Gammerman & Shafer 2005); the capital is then a martingale, which began at 1.
    """

    def __init__(self, reference: Iterable[float]) -> None:
        self._values = sorted(reference)
        self._fewer = self._even = self._more = 1.0 / len(_BETS)

    @property
    def capital(self) -> float:
        """The evidence against an unchanged stream."""
        return self._fewer + self._even + self._more

    def see(self, value: float, chance: float) -> float:
        """Take the next value; `chance`, uniform, breaks ties. The capital that is left."""
        values = self._values
        low, size = bisect_left(values, value), len(values)
        high = bisect_right(values, value, low)
        stake = (low + chance * (high - low + 1)) / (size + 1) - 0.5
        if size < _MOST:
            insort(values, value, low, high)
        moved, kept = _JUMP / len(_BETS) * (self._fewer + self._even + self._more), 1 - _JUMP
        self._fewer = (kept * self._fewer + moved) * (1 - stake)
        self._even = kept * self._even + moved
        self._more = (kept * self._more + moved) * (1 + stake)
        return self._fewer + self._even + self._more


class Watch:
    """Sounds in at most a share `alpha` of the streams that stay what they were, however long anybody watches.

    Several numbers of each request are bet on. The mean of the capitals is a martingale, too, and reaches 1 / alpha
    with probability at most alpha (Ville 1939). An alarm stays. Numbers are compared in single precision, in which a
    router's file keeps the reference: else a number that never changes would lie beside itself, and sound at once.
    """

    def __init__(self, reference: Sequence[Sequence[float]], alpha: float = 0.01, rng: Random | None = None) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {alpha!r}")
        if not reference or not all(len(column) for column in reference):
            raise ValueError("a watch needs at least one column of reference values, none of them empty")
        self.alpha, self._rng = alpha, rng or Random()
        self._jumpers = [Jumper(array("f", column)) for column in reference]
        single = Struct(f"{len(reference)}f")
        self._packed, self._unpacked = single.pack, single.unpack
        self.n, self.alarmed_at = 0, 0

    def __repr__(self) -> str:
        return f"Watch(n={self.n}, capital={self.capital:.3g}, alarmed_at={self.alarmed_at or None})"

    @property
    def capital(self) -> float:
        """The evidence against an unchanged stream, which began at 1."""
        return sum(jumper.capital for jumper in self._jumpers) / len(self._jumpers)

    @property
    def alarmed(self) -> bool:
        """Has it sounded?"""
        return self.alarmed_at > 0

    def see(self, values: Sequence[float]) -> bool:
        """Take the next request's numbers; True once the alarm has sounded."""
        if self.alarmed_at:
            return True
        self.n += 1
        capital = 0.0
        try:
            values = self._unpacked(self._packed(*values))
        except OverflowError:  # one lies beyond all that single precision holds, which `array` takes for infinite
            values = array("f", values)
        for jumper, value in zip(self._jumpers, values, strict=True):
            capital += jumper.see(value, self._rng.random())
        if capital >= len(self._jumpers) / self.alpha:
            self.alarmed_at = self.n
            return True
        return False

    @property
    def because(self) -> str:
        """What it has found, in words."""
        if not self.alarmed:
            return f"{self.n:,} requests like those that the router was fitted on"
        return f"requests became unlike those that the router was fitted on: alarm after {self.alarmed_at:,}"
