"""Flights make one computation of identical requests that are under way at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from roadworthy.core.errors import Late, TooMany

Landed = TypeVar("Landed")

# What befell the one who asked, and says nothing about what another would be answered.
PRIVATE = (asyncio.CancelledError, GeneratorExit, Late, TimeoutError, TooMany)

LEAD: Any = object()
ALONE: Any = object()


class Flights(Generic[Landed]):
    """Who asks first under a key works (`begin`, then `land` or `crash`); who asks meanwhile waits for that.

    Nobody inherits another's bad luck: when the one who works is cancelled, late or fails, the next one takes over;
    when that one fails too, each of the rest works for itself. Needs no Task.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._under_way: dict[bytes, list[asyncio.Future[Landed]]] = {}
        self._failed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, key: bytes) -> bool:
        """True for whoever shall work; False where somebody does, whom to `wait` for."""
        if key in self._under_way:
            return False
        self._under_way[key] = []
        return True

    def land(self, key: bytes, result: Landed) -> None:
        """The work is done: all who wait are given `result`, which may be ALONE."""
        waiting = self._under_way.pop(key)
        self._failed.discard(key)
        for told in waiting:
            if not told.done():
                told.set_result(result)

    def crash(self, key: bytes, wrong: BaseException) -> None:
        """The work came to nothing: the next who waits takes over, or after a second failure all, each alone."""
        if not isinstance(wrong, PRIVATE):
            if key in self._failed:
                self.land(key, ALONE)
                return
            self._failed.add(key)
        self._hand_over(key)

    async def wait(self, key: bytes, deadline: float | None) -> Landed:
        """What landed; or LEAD for whoever takes over now, or ALONE. Raises Late past `deadline` (clock of `now`)."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Landed] = loop.create_future()
        self._under_way[key].append(told)
        timer = None if deadline is None else loop.call_later(deadline - self._now(), _late, told)
        try:
            return await told
        except BaseException:
            # Chosen to take over, and gone before it could.
            if told.done() and not told.cancelled() and told.exception() is None and told.result() is LEAD:
                self._hand_over(key)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _hand_over(self, key: bytes) -> None:
        waiting = self._under_way[key]
        while waiting:
            told = waiting.pop(0)
            if not told.done():
                told.set_result(LEAD)
                return
        self.land(key, ALONE)


def _late(told: asyncio.Future[Any]) -> None:
    if not told.done():
        told.set_exception(Late("an identical request is under way, and the deadline passed before it was answered"))
