"""Streamed turns a streaming engine into a Handler: its pieces arrive as the engine makes them, never many ahead.

Each stream has a thread of its own for its whole life, because engines keep things per thread (torch's inference mode)
that a generator must find again at its next piece. The thread waits where its reader is slow, and ends within one piece
when the reader goes away.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard

from numpy.typing import NDArray

from roadworthy.core.errors import BadRequest, Late, Overloaded, RoadworthyError
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import Engine, Streaming
from roadworthy.serve.columns import blocks_of, gather, made_up, scatter

Piece = Mapping[str, NDArray[Any]]
Now = Callable[[], float]


def streams(engine: Engine) -> TypeGuard[Streaming]:
    """Whether an engine answers in streams, and so goes into Streamed and not into Batch."""
    return isinstance(engine, Streaming) and engine.streams


class Streamed:
    """A Handler around a streaming engine; it belongs to one event loop at a time.

    `most_streams` run at once, others are told to ask again. `ahead` pieces may wait for their reader before the engine
    is stopped until they are taken.
    """

    def __init__(
        self,
        engine: Streaming,
        signature: Signature,
        release: str = "",
        most_streams: int = 8,
        ahead: int = 16,
        now: Now = time.monotonic,
    ) -> None:
        if most_streams < 1 or ahead < 1:
            raise ValueError(f"`most_streams` and `ahead` must be at least 1, got {most_streams!r} and {ahead!r}")
        self.engine, self.signature, self.release = engine, signature, release
        self.most_streams, self.ahead, self.running = most_streams, ahead, 0
        self._now = now
        self._blocks = blocks_of(signature)
        self._threads = ThreadPoolExecutor(most_streams, "roadworthy-stream")
        self._idle: asyncio.Future[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Streamed({self.engine!r}, most_streams={self.most_streams}, ahead={self.ahead})"

    async def __call__(self, request: Request) -> Response:
        """A response whose outputs are an async iterator; it comes when the first piece does.

        Raises BadRequest for more than one row, Overloaded, Late, and what the engine raises before its first piece.
        """
        started = self._now()
        stream = self._begin(request, started)
        await stream.first()
        return Response(request.id, stream, self.release, seconds={"first": self._now() - started})

    def warm_up(self, columns: Piece | None = None) -> None:
        """Load the model and see that it makes a piece of a made-up row. Blocks; call it before serving."""
        pieces = self.engine.stream(made_up(self.signature, 1) if columns is None else columns)
        next(iter(pieces), None)
        _close(pieces)

    async def close(self) -> None:
        """Take no more streams, and wait until those that run have ended or their readers have left."""
        self._closed = True
        if self.running:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await self._idle
        self._threads.shutdown()

    def _begin(self, request: Request, started: float) -> Pieces:
        if self._closed:
            raise Overloaded("the model is shutting down and takes no more requests; ask again")
        if self.running >= self.most_streams:
            raise Overloaded(f"{self.running} streams run, and at most {self.most_streams} may; ask again")
        if request.n != 1:
            raise BadRequest(f"a model that streams answers one row at a time; got {request.n}")
        if request.deadline is not None and request.deadline <= started:
            raise Late(f"request {request.id!r} came {started - request.deadline:.3f} s after its deadline")
        found = gather([request], self._blocks, 1)
        columns = {name: found[name] for name in self.signature.inputs}
        self.running += 1
        left = None if request.deadline is None else request.deadline - started
        belt = Belt(asyncio.get_running_loop(), self.ahead, self._ended)
        # The thread knows the belt alone, so that it does not keep alive what nobody reads any more.
        self._threads.submit(belt.fill, lambda: self.engine.stream(columns))
        return Pieces(belt, left)

    def _ended(self) -> None:
        self.running -= 1
        if not self.running and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


class Pieces:
    """The pieces of one answer, an async iterator of Tensors. `aclose`, or letting go of it, stops the engine."""

    def __init__(self, belt: Belt, left: float | None) -> None:
        self._belt = belt
        self._late = None if left is None else belt.loop.call_later(left, belt.expire, left)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Tensor:
        """The next tensor. Raises what the engine raised, and Late when the deadline has passed."""
        await self.first()
        try:
            return self._belt.take()
        except BaseException:
            self.stop()
            raise

    async def aclose(self) -> None:
        """Stop the engine within one piece; whoever reads on is told that the stream ended."""
        self.stop()

    async def first(self) -> None:
        """Wait until there is a piece, or none will come. Raises what the engine raised where no piece came before."""
        while not self._belt.ready:
            await self._belt.news()
        self._belt.see()

    def stop(self) -> None:
        """Tell the thread that nobody reads any more. May be called again, and from any thread."""
        if self._late is not None:
            self._late.cancel()
        self._belt.stop()

    def __del__(self) -> None:
        # A response that nobody ever read is not closed by anybody either.
        self._belt.stop()


class Belt:
    """What the thread puts pieces on and the loop takes them from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ahead: int, ended: Callable[[], None]) -> None:
        self.loop, self._ended = loop, ended
        self._room = threading.Semaphore(ahead)
        self._waiting: deque[list[Tensor]] = deque()
        self._current: deque[Tensor] = deque()
        self._news: asyncio.Future[None] | None = None
        self._over: BaseException | None = None
        self._stopped = False

    @property
    def ready(self) -> bool:
        return bool(self._current or self._waiting or self._over is not None)

    def news(self) -> asyncio.Future[None]:
        """A future that is done when something has changed."""
        if self._news is None or self._news.done():
            self._news = self.loop.create_future()
        return self._news

    def see(self) -> None:
        """Raise the failure that came instead of a first piece."""
        if not (self._current or self._waiting) and self._over is not None and not self._ends_well():
            raise self._over

    def take(self) -> Tensor:
        """The next tensor, or what ends the stream."""
        if not self._current and self._waiting:
            self._current.extend(self._waiting.popleft())
            self._room.release()
        if self._current:
            return self._current.popleft()
        raise self._over or StopAsyncIteration

    def stop(self) -> None:
        self._stopped = True
        self._room.release()

    def expire(self, seconds: float) -> None:
        """The deadline has passed: what is on the belt is not delivered any more."""
        if self._over is None:
            self._end(Late(f"the stream did not end within its {seconds:.3f} s"))
            self._waiting.clear()
            self._current.clear()
        self.stop()

    def fill(self, start: Callable[[], Iterator[Piece]]) -> None:
        """On the thread: make pieces while there is room for them and a reader."""
        over: BaseException = StopAsyncIteration()
        try:
            pieces = start()
            try:
                self._make(iter(pieces))
            finally:
                _close(pieces)
        except RoadworthyError as refused:
            over = refused
        except BaseException as wrong:
            # Whatever it is, somebody waits for the end of this stream, and for its place among the others.
            over = RoadworthyError(f"the model failed in its stream: {type(wrong).__name__}: {wrong}")
            over.__cause__ = wrong
        self._tell(self._finish, over)

    def _make(self, pieces: Iterator[Piece]) -> None:
        while True:
            if not self._may_go_on():
                return
            piece = next(pieces, None)
            if piece is None:
                return
            tensors = list(scatter(piece, [1])[0].values())
            if tensors:
                self._tell(self._put, tensors)

    def _may_go_on(self) -> bool:
        """Wait for room. A loop that was closed takes nothing any more, and its process wants to end."""
        while not self._room.acquire(timeout=1.0):
            if self.loop.is_closed():
                return False
        return not self._stopped

    def _put(self, tensors: list[Tensor]) -> None:
        if self._over is None:
            self._waiting.append(tensors)
            self._wake()

    def _finish(self, over: BaseException) -> None:
        self._end(over)
        self._ended()

    def _end(self, over: BaseException) -> None:
        self._over = self._over or over
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _ends_well(self) -> bool:
        return isinstance(self._over, StopAsyncIteration)

    def _tell(self, what: Callable[..., None], told: Any) -> None:
        """Do something on the loop; nothing where the loop has closed meanwhile."""
        try:
            self.loop.call_soon_threadsafe(what, told)
        except RuntimeError:
            self._stopped = True


def _close(pieces: Any) -> None:
    """Let a generator run its `finally`; other iterators have nothing to close."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
