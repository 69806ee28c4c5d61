"""The generator sends requests, by a schedule or as fast as callers are answered, and writes the Timeline.

The clock is the event loop's, so that a virtual one simulates hours in a moment. uvloop's clock ticks in milliseconds:
measure on the loop of asyncio.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.load_test.timeline import Floats, Timeline

# The server is gone after so many lost connections in a row over so many seconds; a restart may take less.
GONE_FAILURES, GONE_SECONDS = 10, 1.0
# A caller whose request failed at once must not spin.
BACK_OFF_SECONDS = 0.01

Keep = Callable[[int, Response], None]
Piece = Callable[[int, float, Tensor], None]


@dataclass(frozen=True)
class Sending:
    """How requests are sent, and who else looks at the answers.

    A request without an answer `patience_seconds` after the last was sent has failed; one that is due while
    `most_in_flight` are unanswered is dropped, which is a failure too. Request number k gets the id `{prefix}-{k}`.
    `piece(k, second, tensor)` sees each piece of a streamed answer as it comes, and `keep(k, response)` every whole
    answer, after its last piece.
    """

    patience_seconds: float = 30.0
    most_in_flight: int = 10_000
    prefix: str = "load"
    keep: Keep | None = None
    piece: Piece | None = None


async def send(
    handler: Handler, requests: Sequence[Request], due: Floats, seconds: float, how: Sending | None = None
) -> Timeline:
    """Open loop: request k goes out at second `due[k]`, whether or not earlier ones were answered.

    Ends early when the server is gone: nothing but refused or lost connections for a second.
    """
    journal = _Journal(handler, requests, how or Sending())
    for at in due.tolist():
        # Those that are due already go out in one go: a sleep of nothing would cost more than the sending.
        if (wait := at - journal.now()) > 0:
            await asyncio.sleep(wait)
        if journal.gone:
            break
        journal.start()
    # The last gap belongs to the schedule: nobody is due in it, but the run is not over before it.
    if not journal.gone and (rest := seconds - journal.now()) > 0:
        await asyncio.sleep(rest)
    share = journal.cpu_share()
    sent_for = min(seconds, journal.now()) if journal.gone else seconds
    await journal.finish()
    return journal.timeline(due[: journal.rows], sent_for, share)


async def ask_in_turn(
    handler: Handler,
    requests: Sequence[Request],
    callers: int,
    seconds: float,
    how: Sending | None = None,
    least: int = 0,
) -> Timeline:
    """Closed loop: `callers` ask again as soon as they are answered, for `seconds` and for at least `least` requests.

    A stall holds the callers up, and those who would have come meanwhile are never asked: see `validity.omission`.
    """
    journal = _Journal(handler, requests, how or Sending())

    async def caller() -> None:
        while not journal.gone and (journal.now() < seconds or journal.rows < least):
            number = journal.row()
            await journal.ask(number)
            # Others want their turn, also where the handler answers without ever waiting.
            await asyncio.sleep(BACK_OFF_SECONDS if journal.failure[number] else 0)

    alive = {asyncio.ensure_future(caller()) for _ in range(callers)}
    patience, before = seconds + journal.how.patience_seconds, -1
    while alive and journal.rows > before:
        before = journal.rows
        alive = (await asyncio.wait(alive, timeout=patience))[1]
        patience = journal.how.patience_seconds
    share, ended = journal.cpu_share(), journal.now()
    await _cancel(alive)
    return journal.timeline(np.full(journal.rows, np.nan), ended, share)


@dataclass
class _Journal:
    """What is known of each request so far, in lists: they are written one number at a time."""

    handler: Handler
    requests: Sequence[Request]
    how: Sending
    sent: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    failure: list[str] = field(default_factory=list)
    flying: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    gone: str = ""
    lost: int = 0
    lost_since: float = 0.0

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began, self.began_real, self.began_busy = self.loop.time(), time.monotonic(), time.thread_time()

    @property
    def rows(self) -> int:
        return len(self.sent)

    def now(self) -> float:
        return self.loop.time() - self.began

    def row(self) -> int:
        """A row for the next request; its number."""
        for column in (self.sent, self.first, self.done, self.over):
            column.append(math.nan)
        self.failure.append("")
        return len(self.sent) - 1

    def start(self) -> None:
        """Send the next request in a Task of its own, or drop it where too many are in flight."""
        number = self.row()
        if len(self.flying) < self.how.most_in_flight:
            self.flying[number] = self.loop.create_task(self.ask(number))
        else:
            self.failure[number] = f"dropped: {self.how.most_in_flight} others were unanswered when it was due"

    async def ask(self, number: int) -> None:
        """Send a request and wait for the last of its answer. Nothing is raised: a failure is a row."""
        request = self.requests[number % len(self.requests)]
        request = msgspec.structs.replace(request, id=f"{self.how.prefix}-{number}")
        self.sent[number] = self.now()
        try:
            response = await self.handler(request)
            if not isinstance(response.outputs, Mapping):
                await self.drain(number, response.outputs)
            self.done[number] = self.over[number] = self.now()
            self.lost = 0
            if self.how.keep:
                self.how.keep(number, response)
        # Whatever a handler raises is a failed request to whoever sent it, and counted with its reason.
        except Exception as wrong:
            self.fail(number, wrong)
        finally:
            self.flying.pop(number, None)

    async def drain(self, number: int, pieces: AsyncIterator[Tensor]) -> None:
        async for piece in pieces:
            now = self.now()
            if math.isnan(self.first[number]):
                self.first[number] = now
            if self.how.piece:
                self.how.piece(number, now, piece)

    def fail(self, number: int, wrong: Exception) -> None:
        self.failure[number] = f"{type(wrong).__name__}: {wrong}"
        # What `keep` raises is a failure too, after an answer.
        self.done[number], self.over[number] = math.nan, self.now()
        if not _connection_lost(wrong):
            self.lost = 0
            return
        if not self.lost:
            self.lost_since = self.now()
        self.lost += 1
        if self.lost >= GONE_FAILURES and self.now() - self.lost_since >= GONE_SECONDS:
            self.gone = (
                f"the server is gone since second {self.lost_since:.1f}: {self.lost} requests in a row had no "
                f"connection, the last with {self.failure[number]!r}"
            )

    def cpu_share(self) -> float:
        """How much of a core this thread used so far; NaN where the clock of the loop is not that of the machine."""
        simulated = abs(self.began - self.began_real) > 1.0
        return math.nan if simulated or not self.now() else (time.thread_time() - self.began_busy) / self.now()

    async def finish(self) -> None:
        """Wait for those in flight, and give up on them in the end; at once where the server is gone."""
        if self.flying and not self.gone:
            await asyncio.wait(self.flying.values(), timeout=self.how.patience_seconds)
        await _cancel(set(self.flying.values()))

    def timeline(self, due: Floats, seconds: float, cpu_share: float) -> Timeline:
        silent = f"no answer within {self.how.patience_seconds:g} s of the last arrival"
        pairs = zip(self.done, self.failure, strict=True)
        reasons = [why or (silent if math.isnan(done) else "") for done, why in pairs]
        columns = (self.sent, self.first, self.done, self.over)
        sent, first, done, over = (np.array(column, dtype=np.float64) for column in columns)
        return Timeline(due, sent, first, done, over, np.array(reasons, dtype=object), seconds, self.gone, cpu_share)


async def ask_whole(handler: Handler, request: Request) -> None:
    """Ask, and hear a stream to its end."""
    outputs = (await handler(request)).outputs
    if not isinstance(outputs, Mapping):
        async for _ in outputs:
            pass


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _connection_lost(wrong: BaseException | None) -> bool:
    """Is it, or was it caused by, a connection that was refused or lost?"""
    while wrong is not None:
        if isinstance(wrong, ConnectionError):
            return True
        wrong = wrong.__cause__ or wrong.__context__
    return False
