"""Beside waits for one piece of work while another runs too, without a Task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


class Beside(Generic[First, Second]):
    """`await Beside(first, second)` gives what both give: (first, second), each a value or the error that it raised.

    With `patient=False` nobody waits for `second`: what it has not answered when `first` has is cancelled, and None
    stands in its place. When the wait itself is cancelled, so are both.
    """

    __slots__ = ("_first", "_patient", "_second")

    def __init__(self, first: Awaitable[First], second: Awaitable[Second], patient: bool = True) -> None:
        self._first, self._second, self._patient = _Strand(first), _Strand(second), patient

    def __await__(self) -> Generator[Any, Any, tuple[First | BaseException, Second | BaseException | None]]:
        first, second = self._first, self._second
        try:
            first.step()
            second.step()
            while not first.ended or (self._patient and not second.ended):
                yield from _woken(first, second)
        except BaseException as thrown:
            first.close(thrown)
            second.close(thrown)
            raise
        if not second.ended:
            second.close(asyncio.CancelledError())
            return first.found, None
        return first.found, second.found


class _Strand:
    """One piece of work, stepped by hand: what it waits for, and what came of it."""

    __slots__ = ("_steps", "ended", "found", "waits_for")

    def __init__(self, work: Awaitable[Any]) -> None:
        # A coroutine's and a future's iterators both have `send` and `throw`, which their type conceals.
        self._steps: Any = work.__await__()
        self.waits_for: Any = None
        self.ended = False
        self.found: Any = None

    def step(self) -> None:
        """On to the next future, or to the end."""
        try:
            self.waits_for = self._steps.send(None)
        except StopIteration as end:
            self._end(end.value)
        except BaseException as wrong:
            if isinstance(wrong, KeyboardInterrupt | SystemExit):
                raise
            self._end(wrong)

    def close(self, thrown: BaseException) -> None:
        """Let it tidy up, and let go of what it waits for."""
        if self.ended:
            return
        if self.waits_for is not None:
            self.waits_for.cancel()
        try:
            self._steps.throw(thrown)
        except BaseException as end:
            self._end(end)
        else:  # it wants to wait once more, which nobody does for it
            self._steps.close()
            self._end(thrown)

    def _end(self, found: Any) -> None:
        self.ended, self.found, self.waits_for = True, found, None


def _woken(*strands: _Strand) -> Generator[Any, Any, None]:
    """Wait until one of the strands can go on, and let those that can."""
    waiting = [strand for strand in strands if not strand.ended]
    wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ready(_: Any) -> None:
        if not wake.done():
            wake.set_result(None)

    for strand in waiting:
        if strand.waits_for is None:  # a bare `yield`: its turn comes in the loop's next one
            asyncio.get_running_loop().call_soon(ready, None)
        else:
            strand.waits_for._asyncio_future_blocking = False
            strand.waits_for.add_done_callback(ready)
    try:
        yield from wake
    finally:
        for strand in waiting:
            if strand.waits_for is not None:
                strand.waits_for.remove_done_callback(ready)
    for strand in waiting:
        if strand.waits_for is None or strand.waits_for.done():
            strand.step()
