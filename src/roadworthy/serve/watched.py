"""Work is done on a thread under the eyes of a watchdog, which leaves a thread behind that does not come back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from roadworthy.serve.model_thread import ModelThread, Worker


class _Call:
    """One piece of work under way, and who is told of its end."""

    __slots__ = ("back", "hung", "result", "started", "work")

    def __init__(
        self, work: Callable[[], Any], back: Callable[[Any], None], hung: Callable[[], None], started: float
    ) -> None:
        self.work, self.back, self.hung, self.started = work, back, hung, started
        self.result: Any = None


class Watched:
    """One call at a time, of which either `back(result)` or, after `hang_seconds`, `hung()` is called on the loop.

    There is one timer while there is work, not one a call, and none when there is none: an idle model costs nothing.
    What a given-up call returns is forgotten.
    """

    def __init__(
        self, hang_seconds: float, worker: Callable[[], Worker] = ModelThread, now: Callable[[], float] = time.monotonic
    ) -> None:
        if not hang_seconds > 0:
            raise ValueError(f"`hang_seconds` must be above 0, got {hang_seconds!r}")
        self.hang_seconds = hang_seconds
        self._make, self._now = worker, now
        self._worker: Worker | None = None
        self._call: _Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left: list[Worker] = []

    @property
    def stuck(self) -> int:
        """How many threads were left behind and have not come back yet."""
        self._left = [worker for worker in self._left if worker.alive]
        return len(self._left)

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], Any],
        back: Callable[[Any], None],
        hung: Callable[[], None],
    ) -> None:
        """Start; `work` must not raise."""
        call = self._call = _Call(work, back, hung, self._now())
        if self._worker is None:
            self._worker = self._make()
        self._worker(lambda: self._work(call, loop))
        if self._timer is None:
            self._timer = loop.call_later(self.hang_seconds, self._look, loop)

    def forget(self) -> None:
        """The loop is gone, and with it whoever waits for a call under way."""
        self._call = self._timer = None

    def close(self) -> None:
        """No more work comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _work(self, call: _Call, loop: asyncio.AbstractEventLoop) -> None:
        call.result = call.work()
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            loop.call_soon_threadsafe(self._end, call)

    def _end(self, call: _Call) -> None:
        if call is self._call:
            self._call = None
            call.back(call.result)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        call = self._call
        if call is None:
            return
        left = call.started + self.hang_seconds - self._now()
        if left > 0:
            self._timer = loop.call_later(left, self._look, loop)
            return
        if self._worker is not None:
            self._worker.close()
            self._left.append(self._worker)
        self._worker = self._call = None
        call.hung()
