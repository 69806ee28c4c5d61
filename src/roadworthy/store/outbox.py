"""Where one event loop hands in what shall be written: a caller pays a microsecond and gets a future.

While a group is written the next one gathers, so that groups grow with load. Rows are made on the loop, in one go and
just before they are written: made on the writer's thread, the two would fight for the interpreter's lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import Any, Protocol

from roadworthy.store.files import StoreError
from roadworthy.store.writer import MOST_ROWS, Group, Row

Make = Callable[[], Iterable[Any]]
RowsOf = Callable[[Iterable[Any]], Sequence[Row]]


class Disk(Protocol):
    """Where groups go: `put` says whether a group is written already, and otherwise has its `then` called."""

    def put(self, group: Group) -> bool: ...


# A group of so many callers has others on their way.
COMPANY = 4


class Outbox:
    """Belongs to one loop; only `flush` may be called on another thread.

    After a group of several callers the next one is handed over no sooner than `pace_seconds` later: a disk that is
    synced for every second row takes more of the processor than the rows do. Who comes alone never waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk, rows_of: RowsOf, pace_seconds: float = 0.0) -> None:
        self.pace_seconds, self._not_before = pace_seconds, 0.0
        self.loop = loop
        self._disk = disk
        self._rows_of = rows_of
        self._thread = get_ident()
        self._waiting: deque[tuple[Make, asyncio.Future[None]]] = deque()
        self._busy = False

    @property
    def here(self) -> bool:
        """Does its loop run this very thread? To ask asyncio for the running loop is a system call in Python 3.11."""
        return self._thread == get_ident() and self.loop.is_running()

    def append(self, make: Make) -> asyncio.Future[None]:
        """A future that is done when the rows of what `make` makes are committed."""
        written = self.loop.create_future()
        self._waiting.append((make, written))
        if not self._busy:
            self._busy = True
            self._next()
        return written

    def flush(self) -> None:
        """Hand over all that waits, without regard to what is under way."""
        while self._waiting:
            self._hand_over()

    def _hand_over(self) -> None:
        rows: list[Row] = []
        written: list[asyncio.Future[None]] = []
        while self._waiting and len(rows) < MOST_ROWS:
            make, future = self._waiting.popleft()
            # The rows of one caller are complete before they join the others: a fault in their maker is theirs alone.
            try:
                rows += self._rows_of(make())
            except Exception as fault:
                self._call(_refuse, future, fault)
            else:
                written.append(future)
        if self.pace_seconds:
            self._not_before = self.loop.time() + self.pace_seconds if len(written) >= COMPANY else 0.0
        if not written:
            self._busy = False
        elif self._disk.put(Group(rows, lambda failure: self._call(self._settle, written, failure))):
            # Whoever flushes may do so on another thread, or after the loop has ended.
            (self._settle if self.here else partial(self._call, self._settle))(written, None)

    def _settle(self, written: Sequence[asyncio.Future[None]], failure: str | None) -> None:
        for future in written:
            if failure is not None:
                _refuse(future, StoreError(failure))
            elif not future.done():
                future.set_result(None)
        if self._waiting:
            self._next()
        else:
            self._busy = False

    def _next(self) -> None:
        """Hand over in the next turn, so that whoever else hands in during this one is in the same group; or later."""
        wait = self._not_before - self.loop.time() if self._not_before else 0.0
        if wait > 0:
            self.loop.call_later(wait, self._hand_over)
        else:
            self.loop.call_soon(self._hand_over)

    def _call(self, function: Callable[..., None], *given: Any) -> None:
        # RuntimeError: the loop was closed, so that nobody waits any more; what was committed stays committed.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *given)


def _refuse(future: asyncio.Future[None], fault: Exception) -> None:
    if not future.done():
        future.set_exception(fault)
