"""A Patience holds a batch back for a moment while more requests are worth waiting for: one timer a wait, none idle."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from roadworthy.serve.company import Company
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Lines

# Event loops wake no finer than this.
TICK_SECONDS = 1e-3


class Patience:
    """Ends when those for whom it waits have come, when a batch is full, when time is up, or for a tight deadline.

    It never lasts beyond the deadline of anybody who waits, less what the batch is expected to take.
    """

    __slots__ = ("_hurried", "_missing", "_then", "company", "line", "lines", "loop", "most_rows", "now", "timer")

    def __init__(
        self, company: Company, line: CostLine, lines: Lines, most_rows: int, now: Callable[[], float]
    ) -> None:
        self.company, self.line, self.lines, self.most_rows, self.now = company, line, lines, most_rows, now
        self.loop: asyncio.AbstractEventLoop | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._then: Callable[[], object] = lambda: None
        self._missing, self._hurried = 0, math.inf

    def holds(self, loop: asyncio.AbstractEventLoop, then: Callable[[], object]) -> bool:
        """True where the batch should wait, and `then` will be called when it should not any longer."""
        if self.lines.rows >= self.most_rows:
            return False
        now = self.now()
        wish = self.company.expected(now, len(self.lines))
        if wish is None:
            return False
        wanted, until = wish
        run = self.line(min(self.most_rows, self.lines.rows + wanted)) * (1.0 + self.line.spread)
        latest = self.lines.earliest() - run
        if latest < now + TICK_SECONDS:
            return False
        until = min(max(until, now + TICK_SECONDS), latest)
        self._missing, self._hurried = wanted - len(self.lines), until + run
        self._then, self.loop = then, loop
        self.timer = loop.call_later(until - now, self._end)
        return True

    def joined(self, deadline: float | None) -> None:
        """Somebody came meanwhile."""
        self._missing -= 1
        hurried = deadline is not None and deadline < self._hurried
        if hurried or self._missing < 1 or self.lines.rows >= self.most_rows:
            self.give_up()

    def give_up(self) -> None:
        """Call `then` at the next turn of the loop, which brings whoever else is about to come."""
        if self.timer is not None and self.loop is not None:
            self.timer.cancel()
            self.timer = None
            self.loop.call_soon(self._then)

    def forget(self) -> None:
        """Another loop has other callers, and the timer died with the old one."""
        self.timer = None
        self.company.forget()

    def _end(self) -> None:
        self.timer = None
        self._then()
