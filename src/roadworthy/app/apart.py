"""Apart runs a release in a process of its own, at the lowest priority: what it does there can hurt nobody here.

A thread would not do for a candidate: one that computes in Python keeps the interpreter lock, one that crashes takes
the server along, and one that hangs can only be left behind.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from roadworthy.app.exchange import Call
from roadworthy.app.messages import Failed, Message, Ready, error_of
from roadworthy.app.pipe import Pipe
from roadworthy.app.remote import RemoteHandler
from roadworthy.core.dials import Dial
from roadworthy.core.errors import Overloaded, RoadworthyError
from roadworthy.core.wire import Request, Response
from roadworthy.serve.assemble import Recipe

log = logging.getLogger(__name__)

START_SECONDS = 120.0
# Where the process takes dials.
DIALS = b"/dials"


class Apart:
    """A Handler that asks a process, which is started for the first request and again, `most_starts` times in all.

    It uses at most `most_cpu_share` of one core. A process that does not answer a request for `hang_seconds`, does not
    load, or dies, is ended; what it owes fails, and `stopped` says why no other is started. It ends after `close`, or
    with the last use of this object. Belongs to one event loop.
    """

    def __init__(
        self,
        recipe: Recipe,
        most_cpu_share: float = 0.5,
        most_starts: int = 3,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < most_cpu_share <= 1:
            raise ValueError(f"`most_cpu_share` must be above 0 and at most 1, got {most_cpu_share!r}")
        self.recipe, self.most_starts, self.now = recipe, most_starts, now
        self.hang_seconds = recipe.serving.hang_seconds
        self.stopped = ""
        self.starts = 0
        # A batch in its only thread's own loop: there is nobody else to hold up in that process.
        own = replace(recipe, serving=replace(recipe.serving, place="loop"))
        self._own, self._most_cpu_share = own, most_cpu_share
        self._dials: tuple[Dial, ...] = ()
        self._child: Child | None = None
        self._starting: asyncio.Future[Child] | None = None
        self._owed: dict[asyncio.Future[Response], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"Apart({self.recipe.release.digest[:12]!r}, starts={self.starts}, stopped={self.stopped!r})"

    async def __call__(self, request: Request) -> Response:
        """What the process answers. Raises what it raised; RoadworthyError where it was ended before that."""
        child = self._child or await self._ready()
        answer = child.handler(request)
        self._owed[answer] = self.now()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.hang_seconds, self._look)
        try:
            return await answer
        finally:
            del self._owed[answer]
            if not self._owed and self._timer is not None:
                self._timer.cancel()  # it would keep this alive
                self._timer = None

    async def start(self) -> None:
        """Return once the release is loaded there. Raises RoadworthyError with what kept it from that."""
        if self._child is None:
            await self._ready()

    async def turn(self, dials: tuple[Dial, ...]) -> None:
        """Where its dials stand from now on, in every process that it will have. Raises what the process raises."""
        if dials == self._dials:
            return
        self._dials = dials
        try:
            if self._child is not None:
                await self._child.handler.forward(Call(b"POST", DIALS, b"", {}, msgspec.json.encode(dials)))
        except BaseException:
            self._dials = ()  # to be told again
            raise

    @property
    def pid(self) -> int:
        """The process that runs now; 0 where none does."""
        return self._child.process.pid if self._child is not None else 0

    def close(self) -> None:
        """End the process; whoever waits for it is told so."""
        self.stopped = self.stopped or "it was closed"
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._child is not None:
            self._child.end()

    async def _ready(self) -> Child:
        if self._starting is None:
            if self.stopped:
                raise Overloaded(self.stopped)
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(_seen)
        return await asyncio.shield(self._starting)

    async def _start(self) -> Child:
        self.starts += 1
        task, told = msgspec.json.encode((self._own, self._most_cpu_share, self._dials)) + b"\n", self._dials
        try:
            child = await Child.start(task, self.recipe, weakref.WeakMethod(self._left))
        except Exception as wrong:
            self.stopped = f"the release cannot be loaded in a process of its own: {wrong}"
            log.exception("the mirrored release is not loaded")
            raise RoadworthyError(self.stopped) from wrong
        finally:
            self._starting = None
        self._child = child
        if self._dials != told:  # they were turned while it loaded
            self._dials, newer = told, self._dials
            with suppress(RoadworthyError):  # whoever turns them tells it again
                await self.turn(newer)
        weakref.finalize(self, child.end)
        return child

    def _left(self, child: Child) -> None:
        """The process is gone, by itself or because it was ended."""
        if self._child is not child:
            return
        self._child = None
        if self.starts >= self.most_starts and not self.stopped:
            self.stopped = f"its process ended {self.starts} times and is not started again"
        log.error(
            "the process of release %s is gone%s",
            self.recipe.release.digest[:12],
            f": {self.stopped}" * bool(self.stopped),
        )

    def _look(self) -> None:
        """End a process that owes an answer for too long."""
        self._timer = None
        left = next(iter(self._owed.values())) + self.hang_seconds - self.now()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
            return
        told = f"the release did not answer for {self.hang_seconds:g} s, and its process was ended"
        if self.starts >= self.most_starts:
            self.stopped = f"{told}, the {self.starts}. one; it is not started again"
        log.error("%s", self.stopped or told)
        for answer in tuple(self._owed):
            if not answer.done():
                answer.set_exception(RoadworthyError(told))
        if self._child is not None:
            child = self._child
            self._left(child)  # the next request shall not be asked of a process that is about to die
            child.end()


class Child:
    """The process and the pipe to it. It dies when this end of its standard input is closed, be it by our death."""

    def __init__(self, process: subprocess.Popen[bytes], recipe: Recipe, left: weakref.WeakMethod[Any]) -> None:
        self.process = process
        self.handler = RemoteHandler(recipe.release.name, recipe.release.signature)
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self._pipe: Pipe | None = None
        self._tell_left = left

    @classmethod
    async def start(cls, task: bytes, recipe: Recipe, left: weakref.WeakMethod[Any]) -> Child:
        """A process that has loaded the release. Raises what kept it from that."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.to_thread(_spawn, task, theirs.fileno())
        child = cls(process, recipe, left)
        try:
            pipe = child._pipe = Pipe(child)
            await asyncio.get_running_loop().create_connection(lambda: pipe, sock=ours)
            child.handler.pipe = pipe
            await asyncio.wait_for(child.ready, START_SECONDS)
        except BaseException as wrong:
            child.end()
            if isinstance(wrong, TimeoutError):
                raise RoadworthyError(f"it was not loaded after {START_SECONDS:g} s") from None
            raise
        return child

    def take(self, message: Any) -> None:
        """What the process says."""
        if self.handler.take(message) and self.ready.done():
            return
        if isinstance(message, Ready):
            self.ready.set_result(None)
        elif isinstance(message, Failed) and not self.ready.done():
            self.ready.set_exception(error_of(message))

    def unsaid(self, message: Any, wrong: Exception) -> Message | None:
        """What to say in place of a request that has no bytes."""
        return self.handler.unsaid(message)

    def left(self) -> None:
        """The process hung up."""
        self.handler.left()
        if not self.ready.done():
            self.ready.set_exception(RoadworthyError("its process ended while it loaded; its words are in the log"))
        tell = self._tell_left()
        if tell is not None:
            tell(self)
        self.end()

    def end(self) -> None:
        """Kill it and hang up; may be called from any thread, more than once."""
        with suppress(OSError):
            self.process.kill()
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            with suppress(RuntimeError):  # a loop that is closed has closed the pipe
                self._loop.call_soon_threadsafe(pipe.close)
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        # A killed process ends at once, unless the disk that it waits for does not answer.
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)


def _spawn(task: bytes, end: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "roadworthy.app.apart_process", str(end)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[end], env=environment)
    assert process.stdin is not None
    process.stdin.write(task)
    process.stdin.flush()
    return process


def _seen(starting: asyncio.Future[Child]) -> None:
    """Whoever asked may have gone away; the failure is told in `stopped`."""
    if not starting.cancelled():
        starting.exception()
