"""Futures of those who wait for a job to change, without a task or a thread each.

Changes that this server makes wake them at once; for those that another server makes, all are looked up together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

LOOK_SECONDS = 0.5


class Watch:
    """`next(id, seconds)` is a future: True when the job has perhaps changed, False when the time is over.

    `leave` ends a wait before either. `versions` reads the versions of jobs, off the loop.
    """

    def __init__(self, versions: Callable[[list[str]], Awaitable[Mapping[str, int]]]) -> None:
        self._read = versions
        self._waiting: dict[str, set[asyncio.Future[bool]]] = {}
        self._seen: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def next(self, id: str, seconds: float) -> asyncio.Future[bool]:
        """To be made before the job is read, and either awaited or left."""
        loop = asyncio.get_running_loop()
        change: asyncio.Future[bool] = loop.create_future()
        late = loop.call_later(max(0.0, seconds), _settle, change, False)
        change.add_done_callback(partial(self._drop, id, late))
        self._waiting.setdefault(id, set()).add(change)
        if self._timer is None and not self._closed:
            self._timer = loop.call_later(LOOK_SECONDS, self._look)
        return change

    def saw(self, id: str, version: int) -> None:
        """Whoever watches the job has seen it in this version."""
        if id in self._waiting:
            self._seen[id] = version

    def changed(self, ids: Iterable[str]) -> None:
        """Wake whoever watches these."""
        for id in ids:
            for change in tuple(self._waiting.get(id, ())):
                _settle(change, True)

    def wake(self) -> None:
        """Wake everybody."""
        self.changed(tuple(self._waiting))

    def close(self) -> None:
        """Wake everybody and look no more."""
        self._closed = True
        self.wake()
        if self._timer is not None:
            self._timer.cancel()

    def _drop(self, id: str, late: asyncio.TimerHandle, change: asyncio.Future[bool]) -> None:
        late.cancel()
        waiting = self._waiting.get(id)
        if waiting is not None:
            waiting.discard(change)
            if not waiting:
                del self._waiting[id]
                self._seen.pop(id, None)

    def _look(self) -> None:
        self._timer = None
        if self._waiting and not self._closed:
            asyncio.ensure_future(self._read(list(self._seen))).add_done_callback(self._looked)

    def _looked(self, read: asyncio.Future[Mapping[str, int]]) -> None:
        # A store that is away for a while is no reason to wake anybody: they are told when they read it themselves.
        versions = {} if read.cancelled() or read.exception() is not None else read.result()
        self.changed([id for id, seen in self._seen.items() if id in versions and versions[id] != seen])
        if self._waiting and self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


def leave(change: asyncio.Future[bool]) -> None:
    """Wait no longer."""
    _settle(change, False)


def _settle(change: asyncio.Future[bool], changed: bool) -> None:
    if not change.done():
        change.set_result(changed)
