"""ADWIN: cuts off the older values where their mean differs from that of the newer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from roadworthy.core.errors import MissingExtra
from roadworthy.observe.base import stream


@stream("adwin", needs=(("river", "drift"),))
@dataclass(frozen=True)
class Adwin:
    """Alarms when the mean of the newest values left that of the older ones; quick, and of river.

    Bifet and Gavalda 2007: each value has a probability of at most `alpha` of a false alarm, and in practice a far
    smaller one. It needs no mean to compare with. With `side` "up", a mean that falls is forgotten without an alarm.
    River looks at every `clock`-th value.
    """

    alpha: float = 0.002
    side: Literal["up", "both"] = "up"
    clock: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        if self.clock < 1:
            raise ValueError(f"`clock` must be at least 1, got {self.clock!r}")

    def begin(self) -> Windowed:
        """A listener that has heard nothing. Raises MissingExtra."""
        try:
            from river.drift import ADWIN
        except ImportError as absent:
            raise MissingExtra("stream 'adwin'", "river", "drift") from absent
        # river is not typed.
        window: Any = ADWIN
        return Windowed(window(delta=self.alpha, clock=self.clock), self.side == "up")


class Windowed:
    """What ADWIN has heard: after an alarm it keeps the newer values, which are all of the new law."""

    def __init__(self, window: Any, only_up: bool) -> None:
        self._window = window
        self._only_up = only_up

    def add(self, value: float) -> bool:
        """Hear one value; True at an alarm. Raises ValueError for one that is not a number."""
        if value != value:
            raise ValueError(f"values must be numbers, got {value!r}: leave out what is not known")
        before = self._window.estimation
        self._window.update(value)
        cut = bool(self._window.drift_detected)
        return cut and (not self._only_up or self._window.estimation > before)
