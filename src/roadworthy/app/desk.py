"""Answers one front: its requests by the deployment, its other calls by the routes, and streams piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

from roadworthy.app.drive import Driven, drive
from roadworthy.app.exchange import Reply, error_reply
from roadworthy.app.messages import (
    WINDOW,
    Answered,
    Asked,
    Called,
    Cancelled,
    Count,
    Ended,
    Failed,
    Message,
    More,
    Part,
    Piece,
    Ready,
    Replied,
    error_of,
    failed,
)
from roadworthy.app.openinference import Served
from roadworthy.app.pipe import Pipe
from roadworthy.app.routes import Routes
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Response


class Desk:
    """Answers the requests and the calls of one front. What its front waits for is cancelled when that is gone."""

    def __init__(self, served: Served, routes: Routes, left: Callable[[], None]) -> None:
        self.pipe: Pipe | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connections = self.in_flight = 0
        self._served, self._routes, self._tell_left = served, routes, left
        self._work: dict[int, Driven | None] = {}
        self._credit: dict[int, int] = {}  # of each stream: how many pieces it may be ahead
        self._short: dict[int, asyncio.Future[None]] = {}  # of those that are as far ahead as they may be

    def take(self, message: Any) -> None:
        """What the front says."""
        kind = type(message)
        if kind is Asked:
            self._do(message.id, self._ask(message))
        elif kind is Called:
            self._do(message.id, self._call(message))
        elif kind is More:
            self._more(message.id, message.pieces)
        elif kind is Cancelled:
            self._cancel(message.id)
        elif kind is Count:
            self.connections, self.in_flight = message.connections, message.in_flight
        elif not self.ready.done():
            if kind is Ready:
                self.ready.set_result(None)
            elif kind is Failed:
                self.ready.set_exception(error_of(message))

    def unsaid(self, message: Any, wrong: Exception) -> Message | None:
        """An answer that cannot travel is an error of ours."""
        return failed(message.id, RoadworthyError(f"the answer cannot be sent: {wrong}"))

    def left(self) -> None:
        """The front is gone."""
        self.connections = self.in_flight = 0
        for id in tuple(self._work):
            self._cancel(id)
        if not self.ready.done():
            self.ready.set_exception(RoadworthyError("a front ended before it was ready; its words are above"))
            self.ready.exception()  # it may be that nobody waits for it
        self._tell_left()

    def say(self, message: Message) -> None:
        """Tell the front something."""
        if self.pipe is not None and not self.pipe.lost:
            self.pipe.send(message)

    def _do(self, id: int, work: Any) -> None:
        self._work[id] = None
        driven = drive(work, partial(self._done, id))
        if id in self._work:  # it may have ended already
            self._work[id] = driven

    async def _ask(self, asked: Asked) -> None:
        response = await self._served(asked.request)
        outputs = response.outputs
        if isinstance(outputs, Mapping):
            self.say(_answered(asked.id, response, cast("dict[str, Any]", outputs)))
            return
        self.say(_answered(asked.id, response, None))
        await self._pump(asked.id, outputs, Piece)

    async def _call(self, called: Called) -> None:
        call = called.call
        reply: Reply = await self._routes.find(call.method, call.path)(call)
        body = reply.body if reply.stream is None else None
        self.say(Replied(called.id, reply.status, body, reply.content_type, reply.headers))
        if reply.stream is not None:
            await self._pump(called.id, reply.stream, Part)

    async def _pump(self, id: int, pieces: AsyncIterator[Any], kind: type[Piece] | type[Part]) -> None:
        """The pieces as they come, as far ahead of their reader as is agreed."""
        assert self.pipe is not None
        self._credit[id] = WINDOW
        try:
            async for piece in pieces:
                self.say(kind(id, piece))
                self._credit[id] -= 1
                if not self._credit[id]:
                    self._short[id] = asyncio.get_running_loop().create_future()
                    await self._short[id]
                await self.pipe.room()
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        self.say(Ended(id))

    def _done(self, id: int, _: None, error: BaseException | None) -> None:
        del self._work[id]
        if self._credit.pop(id, None) is not None:
            self._short.pop(id, None)
        if error is None:
            return
        error_reply(error)  # it logs what is a fault of ours
        self.say(failed(id, error))

    def _more(self, id: int, pieces: int) -> None:
        if id in self._credit:
            self._credit[id] += pieces
            short = self._short.pop(id, None)
            if short is not None and not short.done():
                short.set_result(None)

    def _cancel(self, id: int) -> None:
        work = self._work.get(id)
        if work is not None:
            work.cancel()


def _answered(id: int, response: Response, outputs: dict[str, Any] | None) -> Answered:
    return Answered(
        id,
        response.id,
        outputs,
        response.release,
        response.arm,
        response.confidence,
        response.prediction_set,
        response.path,
        cast("dict[str, float]", response.seconds),
        response.usd,
        cast("dict[str, Any]", response.parameters),
        None if response.paths is None else tuple(response.paths),
    )
