"""The requests that wait for a model, in a line for each priority, and which of them make the next batch."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from msgspec import Struct

from roadworthy.core.wire import Request, Response

# Whoever has waited `ages_seconds` shares one place in eight with others like him, whatever his priority.
AGED_SHARE = 0.125
# How far behind the head a line is searched for the best company, in batches.
WINDOW = 2


class Caller(Struct, frozen=True, gc=False):
    """A request that waits for the model, since when, and the future that its sender waits for.

    Nothing points back at it, so the garbage collector, which would visit thousands of them, need not.
    """

    request: Request
    rows: int
    answer: asyncio.Future[Response]
    since: float


class Lines:
    """Priority 1 before 2 before 3, first come first served within one.

    Where more wait than fit, the oldest of a line leads and takes along, from a few batches' worth behind it, those
    nearest to its text length (`alike` names the text input), or else those whose deadlines are nearest. `drop` is
    told of callers that are no longer worth running: their sender went away, or their deadline passed.

    Whoever joins is appended to `lines[priority]`, and his rows are added to `rows_of[priority]` and to `rows`: Batch
    does so itself, as a call would cost every request more than that.
    """

    __slots__ = ("_credit", "ages_seconds", "alike", "drop", "lines", "rows", "rows_of", "taken")

    def __init__(self, drop: Callable[[Caller, float], None], alike: str = "", ages_seconds: float = 0.5) -> None:
        self.drop, self.alike, self.ages_seconds = drop, alike, ages_seconds
        self.rows = self.taken = 0
        self.rows_of = [0, 0, 0, 0]  # by priority, of which there is no 0
        self.lines: tuple[deque[Caller], ...] = (deque(), deque(), deque(), deque())
        self._credit = 0.0

    def __len__(self) -> int:
        _, first, second, third = self.lines
        return len(first) + len(second) + len(third)

    def __bool__(self) -> bool:
        _, first, second, third = self.lines
        return bool(second or first or third)

    @property
    def arrived(self) -> int:
        """How many requests have ever joined."""
        return self.taken + len(self)

    def clear(self) -> list[Caller]:
        """Everybody leaves; in order of priority."""
        everybody = [caller for line in self.lines for caller in line]
        for line in self.lines:
            line.clear()
        self.taken += len(everybody)
        self.rows, self.rows_of = 0, [0, 0, 0, 0]
        return everybody

    def since(self, place: int) -> float:
        """When the request at `place` joined (0 is the head of the first line); infinity where nobody stands."""
        for line in self.lines:
            if place < len(line):
                return line[place].since
            place -= len(line)
        return math.inf

    def ahead(self, priority: int, deadline: float) -> int:
        """The rows of this priority and of those before, and of any later one whose head has an earlier deadline."""
        rows = sum(self.rows_of[1 : priority + 1])
        for lower in range(priority + 1, 4):
            line = self.lines[lower]
            if line and line[0].request.deadline is not None and line[0].request.deadline < deadline:
                rows += self.rows_of[lower]
        return rows

    def earliest(self) -> float:
        """The first deadline of all that wait; infinite where nobody has one."""
        deadlines = (caller.request.deadline for line in self.lines for caller in line)
        return min((deadline for deadline in deadlines if deadline is not None), default=math.inf)

    def take(self, most: int, now: float, soon: float) -> list[Caller]:
        """The next batch of at most `most` rows; a larger request comes alone. Empty when nobody is left.

        Lower priorities who have to be answered before `soon` go before all others.
        """
        if self.rows <= most:
            return self._all(now)
        callers: list[Caller] = []
        room = self._before_others(callers, most, now, soon)
        for priority, line in enumerate(self.lines):
            if self.rows_of[priority] > room > 0 and len(line) > 1:
                self._arrange(line, room)
            while line:
                if line[0].rows > room and callers:
                    return callers
                caller = self._next(line, priority, now)
                if caller is not None:
                    callers.append(caller)
                    room -= caller.rows
        return callers

    def _all(self, now: float) -> list[Caller]:
        """Everybody: the common case, and the only one that must be fast."""
        everybody: list[Caller] = []
        for line in self.lines:
            if line:
                everybody += line
                line.clear()
        self.taken += len(everybody)
        self.rows, self.rows_of = 0, [0, 0, 0, 0]
        for caller in everybody:
            deadline = caller.request.deadline
            if (deadline is not None and now > deadline) or caller.answer.done():
                return self._alive(everybody, now)
        return everybody

    def _alive(self, everybody: list[Caller], now: float) -> list[Caller]:
        dead = [self._dead(caller, now) for caller in everybody]
        for caller, gone in zip(everybody, dead, strict=True):
            if gone:
                self.drop(caller, now)
        return [caller for caller, gone in zip(everybody, dead, strict=True) if not gone]

    def _next(self, line: deque[Caller], priority: int, now: float) -> Caller | None:
        """The head of the line, or None where it is not worth running."""
        caller = line.popleft()
        rows = caller.rows
        self.rows -= rows
        self.rows_of[priority] -= rows
        self.taken += 1
        deadline = caller.request.deadline
        if (deadline is not None and now > deadline) or caller.answer.done():
            self.drop(caller, now)
            return None
        return caller

    def _before_others(self, callers: list[Caller], most: int, now: float, soon: float) -> int:
        """Seat those of lower priority who cannot wait any longer, and forget the dead; the places that are left.

        First who was let in on the promise of an answer in time, then a few of those who have waited long.
        """
        self._credit = min(self._credit + AGED_SHARE * most, float(most))
        room = self._seat(callers, most, now, (2, 3), lambda caller: _before(caller, soon))
        return self._seat(callers, room, now, (3, 2), lambda caller: self._aged(caller, now))

    def _seat(
        self, callers: list[Caller], room: int, now: float, order: Sequence[int], due: Callable[[Caller], bool]
    ) -> int:
        for priority in order:
            line = self.lines[priority]
            while line and (self._dead(line[0], now) or (line[0].rows <= room and due(line[0]))):
                caller = self._next(line, priority, now)
                if caller is not None:
                    callers.append(caller)
                    room -= caller.rows
        return room

    def _dead(self, caller: Caller, now: float) -> bool:
        deadline = caller.request.deadline
        return (deadline is not None and now > deadline) or caller.answer.done()

    def _aged(self, caller: Caller, now: float) -> bool:
        if now - caller.since <= self.ages_seconds or caller.rows > self._credit:
            return False
        self._credit -= caller.rows
        return True

    def _arrange(self, line: deque[Caller], room: int) -> None:
        """Bring the best company of the head to the front; all others keep their order."""
        window = list(islice(line, WINDOW * room))
        order = self._by_length(window) if self.alike else _by_deadline(window)
        if order is None:
            return
        chosen, rows = {0}, window[0].rows
        for k in order:
            if rows + window[k].rows <= room:
                rows += window[k].rows
                chosen.add(k)
        for _ in window:
            line.popleft()
        line.extendleft(window[k] for k in reversed(range(len(window))) if k not in chosen)
        line.extendleft(window[k] for k in sorted(chosen, reverse=True))

    def _by_length(self, window: Sequence[Caller]) -> list[int]:
        lengths = [_length(caller.request, self.alike) for caller in window]
        return sorted(range(1, len(window)), key=lambda k: abs(lengths[k] - lengths[0]))


def _before(caller: Caller, soon: float) -> bool:
    deadline = caller.request.deadline
    return deadline is not None and deadline < soon


def _by_deadline(window: Sequence[Caller]) -> list[int] | None:
    """The others, earliest deadline first; None where they stand so already, as with one time-out for all."""
    deadlines = [caller.request.deadline or math.inf for caller in window]
    others = deadlines[1:]
    if others == sorted(others):
        return None
    return sorted(range(1, len(window)), key=deadlines.__getitem__)


def _length(request: Request, name: str) -> int:
    """The longest text of the request, to which its rows will be padded; 0 where it has none."""
    tensor = request.inputs.get(name)
    return 0 if tensor is None else max((len(text) for text in tensor.data if text), default=0)
