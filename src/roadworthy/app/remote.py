"""Asks another process over a pipe what a deployment would be asked here, streams included."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from roadworthy.app.exchange import Call, Reply
from roadworthy.app.messages import (
    WINDOW,
    Answered,
    Asked,
    Called,
    Cancelled,
    Ended,
    Failed,
    Message,
    More,
    Part,
    Piece,
    Replied,
    error_of,
)
from roadworthy.app.pipe import Pipe
from roadworthy.core.errors import Overloaded, RoadworthyError
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Handler, Request, Response

T = TypeVar("T")

# More requests than this do not wait for the other process.
MOST_OWED = 8192

# The largest power of ten that a float can hold.
MOST = 10**308


class RemoteHandler:
    """A Handler, and an Answer for every other call, over a pipe: what a front serves in place of a deployment."""

    versions: tuple[str, ...] = ()  # the other side answers what is about versions, and about being ready
    ready = True

    def __init__(self, name: str, signature: Signature, most: int = MOST_OWED) -> None:
        self.name, self.signature = name, signature
        self.pipe: Pipe | None = None
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._ids = count(1)
        self._owed: dict[int, asyncio.Future[Any]] = {}
        self._feeds: dict[int, Feed] = {}

    def version(self, release: str) -> Handler:
        """Calls about a version go to the other side whole."""
        raise RoadworthyError(f"a front does not know versions, got {release!r}")

    def __call__(self, request: Request) -> asyncio.Future[Response]:
        """The other side's answer. Raises Overloaded where that does not keep up, or is gone."""
        id = next(self._ids)
        return self._exchange(id, Asked(id, request))

    async def forward(self, call: Call) -> Reply:
        """The other side's reply to a call as it came."""
        id = next(self._ids)
        reply: Reply = await self._exchange(id, Called(id, call))
        return reply

    def take(self, message: Any) -> bool:
        """An answer, or a part of one; False for what is none."""
        kind = type(message)
        if kind is Piece:
            self._fed(message.id, message.tensor)
        elif kind is Part:
            self._fed(message.id, message.body)
        elif kind is Answered:
            self._settle(message.id, self._response(message))
        elif kind is Replied:
            self._settle(message.id, self._reply(message))
        elif kind is Ended or kind is Failed:
            self._end(message.id, error_of(message) if kind is Failed else None)
        else:
            return False
        return True

    def unsaid(self, message: Any) -> Message | None:
        """JSON has numbers beyond 64 bits and MessagePack has not; in front of a model they are floats anyway."""
        if isinstance(message, Asked):
            return Asked(message.id, _small(message.request))
        return None

    def left(self) -> None:
        """The other process is gone: nothing that it owes will come."""
        self.pipe = None
        gone = Overloaded("the process of the model is gone; ask again")
        for future in tuple(self._owed.values()):
            if not future.done():
                future.set_exception(gone)
        for feed in tuple(self._feeds.values()):
            feed.end(gone)
        self._feeds.clear()

    def _exchange(self, id: int, message: Message) -> asyncio.Future[Any]:
        pipe = self.pipe
        if pipe is None or pipe.lost:
            raise Overloaded("the process of the model is gone; ask again")
        if len(self._owed) >= self._most or pipe.full:
            raise Overloaded(f"{len(self._owed)} requests wait for the process of the model; ask again")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._owed[id] = future
        future.add_done_callback(partial(self._over, id))
        pipe.send(message)
        return future

    def _over(self, id: int, future: asyncio.Future[Any]) -> None:
        del self._owed[id]
        if future.cancelled():
            self.tell(Cancelled(id))

    def tell(self, message: Message) -> None:
        """Say something, if there is still somebody."""
        if self.pipe is not None:
            self.pipe.send(message)

    def _settle(self, id: int, answer: Any) -> None:
        future = self._owed.get(id)
        if future is not None and not future.done():
            future.set_result(answer)

    def _end(self, id: int, error: BaseException | None) -> None:
        feed = self._feeds.pop(id, None)
        if feed is not None:
            feed.end(error)
            return
        future = self._owed.get(id)
        if future is not None and not future.done() and error is not None:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)

    def _fed(self, id: int, piece: Any) -> None:
        feed = self._feeds.get(id)
        if feed is not None:
            feed.put(piece)

    def _stream(self, id: int) -> AsyncGenerator[Any, None]:
        feed = self._feeds[id] = Feed(self._loop, partial(self._taken, id), partial(self._hung_up, id))
        return Pieces(feed)

    def _taken(self, id: int, pieces: int) -> None:
        self.tell(More(id, pieces))

    def _hung_up(self, id: int) -> None:
        if self._feeds.pop(id, None) is not None:
            self.tell(Cancelled(id))

    def _response(self, told: Answered) -> Response:
        outputs: Any = told.outputs if told.outputs is not None else self._stream(told.id)
        return Response(
            told.request,
            outputs,
            told.release,
            told.arm,
            told.confidence,
            told.prediction_set,
            told.path,
            told.seconds,
            told.usd,
            told.parameters,
            told.paths,
        )

    def _reply(self, told: Replied) -> Reply:
        stream = None if told.body is not None else self._stream(told.id)
        return Reply(told.status, told.body or b"", told.content_type, told.headers, stream)


class Feed:
    """The pieces of one stream that have come and are not taken. `taken` says how many were, `hung_up` that it ends."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, taken: Callable[[int], None], hung_up: Callable[[], None]
    ) -> None:
        self._loop, self._taken, self.hang_up = loop, taken, hung_up
        self._pieces: deque[Any] = deque()
        self._came: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._count = 0

    def put(self, piece: Any) -> None:
        """One more has come."""
        self._pieces.append(piece)
        self._wake()

    def end(self, error: BaseException | None) -> None:
        """No more will come."""
        self._ended, self._error = True, error
        self._wake()

    async def next(self) -> Any:
        """The next piece. Raises what ended the stream, StopAsyncIteration where it ended as it should."""
        while not self._pieces:
            if self._ended:
                raise self._error or StopAsyncIteration
            self._came = self._loop.create_future()
            await self._came
        self._count += 1
        if self._count * 2 >= WINDOW and not self._ended:
            self._taken(self._count)
            self._count = 0
        return self._pieces.popleft()

    def _wake(self) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)


class Pieces(AsyncGenerator[T, None], Generic[T]):
    """A stream for its reader. One that is dropped before it was begun tells the other side, as no generator could."""

    def __init__(self, feed: Feed) -> None:
        self._feed: Feed | None = feed

    async def __anext__(self) -> T:
        if self._feed is None:
            raise StopAsyncIteration
        try:
            piece: T = await self._feed.next()
        except BaseException:
            self._drop()
            raise
        return piece

    async def asend(self, value: None) -> T:
        return await self.__anext__()

    async def athrow(self, kind: Any, value: Any = None, at: TracebackType | None = None, /) -> T:
        self._drop()
        raise kind if value is None else value

    async def aclose(self) -> None:
        self._drop()

    def __del__(self) -> None:
        self._drop()

    def _drop(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.hang_up()


def _small(value: Any) -> Any:
    """The same with whole numbers beyond 64 bits as floats."""
    if isinstance(value, Request):
        inputs = {name: replace(tensor, data=_small(tensor.data)) for name, tensor in value.inputs.items()}
        return replace(value, inputs=inputs, parameters=_small(value.parameters))
    if isinstance(value, dict):
        return {key: _small(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_small(each) for each in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(min(max(value, -MOST), MOST))
    return value
