"""A Shadow answers from one handler and shows every request to another, whose answers nobody waits for."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from roadworthy.core.wire import Handler, Request, Response


class Shadow:
    """A Handler that answers as `inner` does, and afterwards asks `mirror` the same with `shadow` set.

    `mirror` can neither fail nor delay an answer: it is asked in a later turn of the loop, and when `most_in_flight`
    are under way a request is not mirrored but counted in `dropped`. What `mirror` raises is counted in `failed`; its
    records are its own affair. The mirrored request has no deadline, which `inner` has used up.
    """

    def __init__(self, inner: Handler, mirror: Handler, most_in_flight: int = 1024) -> None:
        if most_in_flight < 1:
            raise ValueError(f"`most_in_flight` must be at least 1, got {most_in_flight!r}")
        self.inner, self.mirror, self.most_in_flight = inner, mirror, most_in_flight
        self.in_flight = self.dropped = self.failed = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._drained: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"Shadow({self.inner!r}, mirror={self.mirror!r}, most_in_flight={self.most_in_flight})"

    async def __call__(self, request: Request) -> Response:
        """What `inner` answers or raises; either way the mirror is shown the request."""
        try:
            return await self.inner(request)
        finally:
            self._show(request)

    async def drain(self) -> None:
        """Wait until the mirror has answered all that it was shown."""
        while self.in_flight:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drained.append(done)
            await done

    def _show(self, request: Request) -> None:
        if self.in_flight >= self.most_in_flight:
            self.dropped += 1
            return
        self.in_flight += 1
        # Making a Task costs more than all else here, so that too happens after the answer is on its way.
        asyncio.get_running_loop().call_soon(self._start, request)

    def _start(self, request: Request) -> None:
        task = asyncio.ensure_future(self._ask(replace(request, shadow=True, deadline=None)))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _ask(self, request: Request) -> None:
        await self.mirror(request)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.in_flight -= 1
        if task.cancelled() or task.exception() is not None:
            self.failed += 1
        if not self.in_flight:
            waiting, self._drained = self._drained, []
            for done in waiting:
                if not done.done():
                    done.set_result(None)
