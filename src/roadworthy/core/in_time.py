"""InTime waits for some work until a moment and no longer, without a Task and without `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from roadworthy.core.errors import Late

Done = TypeVar("Done")


class InTime(Generic[Done]):
    """`await InTime(work, until)` gives what `work` gives, or raises Late at `until` (on the clock of `now`).

    What is late is cancelled as a Task would: the future that it waits for is cancelled, and it may tidy up. Work that
    is done within its first step costs no timer. A handler that waits for a future which others wait for too must
    shield it, as everywhere in asyncio.
    """

    __slots__ = ("_cut", "_now", "_until", "_waits_for", "_work")

    def __init__(self, work: Awaitable[Done], until: float, now: Callable[[], float] = time.monotonic) -> None:
        self._work, self._until, self._now = work, until, now
        self._waits_for: Any = None
        self._cut = False

    def __await__(self) -> Generator[Any, Any, Done]:
        # A coroutine's and a future's iterators both have `send` and `throw`, which the type of `__await__` conceals.
        steps: Any = self._work.__await__()
        timer: asyncio.TimerHandle | None = None
        try:
            self._waits_for = steps.send(None)
            timer = asyncio.get_running_loop().call_later(self._until - self._now(), self._cut_short)
            while True:
                try:
                    yield self._waits_for
                except BaseException as thrown:
                    self._waits_for = steps.throw(thrown)
                else:
                    self._waits_for = self._next(steps)
        except StopIteration as end:
            done: Done = end.value
            return done
        except asyncio.CancelledError:
            if self._cut:
                raise Late(LATE) from None
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _next(self, steps: Any) -> Any:
        # A bare `yield` waits for nothing that could have been cancelled.
        if self._cut and self._waits_for is None:
            return steps.throw(asyncio.CancelledError(LATE))
        return steps.send(None)

    def _cut_short(self) -> None:
        self._cut = True
        if self._waits_for is not None:
            self._waits_for.cancel(LATE)


LATE = "no answer came before the deadline"
