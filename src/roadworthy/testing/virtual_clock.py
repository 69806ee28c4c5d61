"""An event loop on a virtual clock: hours of timers pass in a moment, and the same seed gives the same run.

>>> async def nap() -> float:
...     await asyncio.sleep(3600)
...     return asyncio.get_running_loop().time()
>>> run(lambda loop: nap())
3600.0

What shall be simulated takes its time from `loop.time` and, where it blocks, blocks with `loop.sleep`. Real sockets and
real threads are not looked at: they would bring in the real clock.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where others wait for the next timer, this one goes there at once. It begins at second 0.

    It moves only when nothing is left to do; when nothing is scheduled either, it says that everybody waits for ever.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._aside: float | None = None
        super().__init__(_Still(self))

    def time(self) -> float:
        """The virtual time in seconds; on a `VirtualThread` that thread's own."""
        return self._seconds if self._aside is None else self._aside

    def sleep(self, seconds: float) -> None:
        """Block whoever calls, as a model at work does: the loop itself, or the `VirtualThread` that is running."""
        if self._aside is None:
            self._seconds += seconds
        else:
            self._aside += seconds

    def skip(self, seconds: float | None) -> None:
        """Nothing is ready, and the next timer is due in `seconds`; None: there is none."""
        if seconds is None:
            raise RuntimeError(f"nothing is scheduled any more at second {self._seconds:g}, and somebody still waits")
        self._seconds += seconds

    def aside(self, work: Callable[[], object], at: float) -> float:
        """Do `work` now as if it began at second `at` on another thread; the second at which it ends."""
        self._aside = at
        try:
            work()
            return self._aside
        finally:
            self._aside = None

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """From a `VirtualThread`: at the time that it has reached."""
        if self._aside is None:
            return self.call_soon(callback, *args, context=context)
        return self.call_at(self._aside, callback, *args, context=context)


class VirtualThread:
    """A worker whose work takes virtual time while the loop goes on; one piece of work after the other."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._free_at = 0.0

    def __call__(self, work: Callable[[], object]) -> None:
        """Begins now, or when what it was handed before ends."""
        self._free_at = self._loop.aside(work, max(self._free_at, self._loop.time()))

    @property
    def alive(self) -> bool:
        """Is it still at work?"""
        return self._free_at > self._loop.time()

    def close(self) -> None:
        """Nothing is to be done: there is no thread."""


class _Still(selectors.SelectSelector):
    """A selector that looks at no file and waits for nothing."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._loop.skip(timeout)
        return []


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """What `main(loop)` returns. Raises RuntimeError when all that is left waits for something that never comes."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
