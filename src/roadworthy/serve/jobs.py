"""The Desk: one thread between an event loop and an open queue, so that a caller pays microseconds for a durable job.

What many callers hand in while the store is busy is written in one group, and jobs are taken in the same group. It
does not know what a job does, nor who asks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from roadworthy.core.errors import Overloaded, RoadworthyError
from roadworthy.serve.queue import End, Job, Notice, OpenQueue, Sent, Stage, Ticket

log = logging.getLogger(__name__)

MOST_IN_A_GROUP = 500

# How long the desk leaves a store alone that has just failed.
PAUSE_SECONDS = 0.5

# A job that kills its process should not take along the answer that it was accepted, which leaves within so many turns
# of the loop: its future, its handler, its connection's flush, the transport.
TURNS_FIRST = 5


class Floor(Protocol):
    """Who runs the jobs, on the event loop."""

    def begin(self, job: Job) -> None:
        """Start a job; `Desk.end` is to be called when it ends."""

    def changed(self, ids: Sequence[str]) -> None:
        """These jobs have another state now, which can be read."""


class Courier(Protocol):
    """Who tells webhooks; called on the desk's thread, and calls `Desk.report` when a notice was sent or not."""

    @property
    def room(self) -> int:
        """How many more notices it takes now."""

    def carry(self, notice: Notice) -> None:
        """Send one, elsewhere."""


@dataclass
class _Group:
    """What was handed in, and what came of it."""

    puts: list[tuple[Job, asyncio.Future[Ticket]]] = field(default_factory=list)
    cancels: list[tuple[str, asyncio.Future[Stage]]] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    sents: list[Sent] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    stages: list[Stage | RoadworthyError] = field(default_factory=list)
    taken: list[Job] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.puts) + len(self.cancels) + len(self.ends) + len(self.sents)


class Desk:
    """Keeps jobs and hands out at most `at_once` of them at a time; of those that were tried before, one.

    A job that kills its process would else take its neighbours along again and again, until they are all dead.
    """

    def __init__(
        self, queue: OpenQueue, floor: Floor, courier: Courier | None, at_once: int = 32, poll_seconds: float = 0.25
    ) -> None:
        self._queue, self._floor, self._courier = queue, floor, courier
        self._at_once, self._poll_seconds = at_once, poll_seconds
        self._errands: SimpleQueue[Callable[[_Group], None] | None] = SimpleQueue()
        self._running: dict[str, int] = {}  # the attempt of each job that is out; only the thread touches it
        self._taking = self._closing = self._troubled = False
        self._ended: asyncio.Future[None]
        self._thread = threading.Thread(target=self._run, name="desk of the jobs", daemon=True)

    def start(self) -> None:
        """Begin to hand out jobs. To be called on the event loop."""
        self._taking = True
        self._awake()

    def put(self, job: Job) -> asyncio.Future[Ticket]:
        """The ticket of a job, once it is durable. Raises what the store raises."""
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._hand_in(lambda group: group.puts.append((job, future)), future)
        return future

    def cancel(self, id: str) -> asyncio.Future[Stage]:
        """Cancel a job; the state in which it was. Raises Missing, and what the store raises."""
        future: asyncio.Future[Stage] = asyncio.get_running_loop().create_future()
        self._hand_in(lambda group: group.cancels.append((id, future)), future)
        return future

    def end(self, end: End) -> None:
        """A job that was begun has ended; any thread. Where the store fails it is tried again until it is kept."""
        self._errands.put(lambda group: group.ends.append(end))

    def report(self, sent: Sent) -> None:
        """What became of a notice; any thread."""
        self._errands.put(lambda group: group.sents.append(sent))

    def rest(self) -> None:
        """Hand out no more jobs; what is handed in is kept."""
        self._taking = False

    async def close(self) -> None:
        """Write what was handed in, give back what has not ended, and end. To be called on the event loop."""
        if not self._closing:
            self._closing = True
            self._ended = asyncio.get_running_loop().create_future()
            self._errands.put(None)
            self._awake()
        await self._ended

    def _awake(self) -> None:
        """The thread runs from the first thing that it is asked: jobs are kept before anybody can run them."""
        if self._thread.ident is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()

    def _hand_in(self, errand: Callable[[_Group], None], future: asyncio.Future[Any]) -> None:
        if self._closing:
            future.set_exception(Overloaded("the server stops and keeps no more jobs; send it again", 5.0))
        else:
            self._errands.put(errand)
            self._awake()

    def _run(self) -> None:
        group = _Group()
        while self._gather(group):
            group = self._turn(group)
        # Once more, should it fail: the answers of models are dear.
        left = self._turn(group)
        if left.size:
            self._turn(left)
        try:
            self._queue.close()
        except Exception as wrong:  # the leases will give back what this could not
            log.warning("the queue of jobs could not be closed", exc_info=wrong)
        self._on_loop(_finish, self._ended)

    def _gather(self, group: _Group) -> bool:
        """Wait for an errand or for the time to look, and add all that is there; False at the end."""
        wait, last = self._poll_seconds, False
        while group.size < MOST_IN_A_GROUP or last:
            try:
                errand = self._errands.get(timeout=wait) if wait else self._errands.get_nowait()
            except Empty:
                break
            wait = 0.0
            if errand is None:
                last = True
            else:
                errand(group)
        return not last

    def _turn(self, group: _Group) -> _Group:
        """Write the group and take jobs. Returns what is to be written in the next one."""
        try:
            with self._queue.together():
                self._write(group)
        except Exception as wrong:  # whatever it is, callers wait for it, and the thread must go on
            return self._failed(group, wrong)
        if self._troubled:
            self._troubled = False
            log.warning("the queue of jobs works again")
        for end in group.ends:
            self._running.pop(end.id, None)
        for job in group.taken:
            self._running[job.id] = job.attempts
        for notice in group.notices:
            if self._courier is not None:
                self._courier.carry(notice)
        if group.size or group.taken:
            self._on_loop(self._settle, group)
        return _Group()

    def _write(self, group: _Group) -> None:
        queue, taking = self._queue, self._taking and not self._closing
        group.tickets = queue.put([job for job, _ in group.puts]) if group.puts else []
        group.stages = [self._cancel(id) for id, _ in group.cancels]
        if group.ends:
            queue.end(group.ends)
        if group.sents:
            queue.sent(group.sents)
        ended = {end.id for end in group.ends}
        running = [attempt for id, attempt in self._running.items() if id not in ended]
        suspects = sum(attempt > 1 for attempt in running)
        room = self._at_once - len(running)
        group.taken = queue.take(max(0, room) if taking else 0, int(taking and room > 0 and not suspects))
        room = self._courier.room if self._courier is not None and taking else 0
        group.notices = queue.notices(room) if room else []

    def _cancel(self, id: str) -> Stage | RoadworthyError:
        try:
            return self._queue.cancel(id)
        except LookupError as wrong:
            return wrong if isinstance(wrong, RoadworthyError) else RoadworthyError(str(wrong))

    def _settle(self, group: _Group) -> None:
        """On the loop: answer who waits, start what was taken, tell who watches."""
        for (_, future), ticket in zip(group.puts, group.tickets, strict=True):
            if not future.done():
                future.set_result(ticket)
        for (_, waiting), stage in zip(group.cancels, group.stages, strict=True):
            if not waiting.done():
                _answer(waiting, stage)
        if group.taken:
            self._begin(group.taken, TURNS_FIRST)
        self._floor.changed([*(end.id for end in group.ends), *(id for id, _ in group.cancels)])
        self._floor.changed([job.id for job in group.taken])

    def _begin(self, jobs: Sequence[Job], turns: int) -> None:
        if turns:
            self._loop.call_soon(self._begin, jobs, turns - 1)
            return
        for job in jobs:
            if not self._closing:
                self._floor.begin(job)

    def _failed(self, group: _Group, wrong: Exception) -> _Group:
        if not self._troubled:
            self._troubled = True
            log.error("the queue of jobs cannot be used; it is tried again until it can", exc_info=wrong)
        self._on_loop(_refuse, [future for _, future in (*group.puts, *group.cancels)], wrong)
        threading.Event().wait(0.0 if self._closing else PAUSE_SECONDS)
        # Answers of models are dear, and whoever waits for them polls: these are kept until they can be written.
        return _Group(ends=group.ends, sents=group.sents)

    def _on_loop(self, function: Callable[..., None], *given: Any) -> None:
        # RuntimeError: the loop is closed, so that nobody waits any more; what is written stays written.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *given)


def _finish(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _answer(future: asyncio.Future[Stage], stage: Stage | RoadworthyError) -> None:
    if isinstance(stage, RoadworthyError):
        future.set_exception(stage)
    else:
        future.set_result(stage)


def _refuse(futures: Sequence[asyncio.Future[Any]], wrong: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(wrong if isinstance(wrong, RoadworthyError) else _unusable(wrong))


def _unusable(wrong: Exception) -> Overloaded:
    return Overloaded(f"the queue of jobs cannot be used now ({type(wrong).__name__}: {wrong}); ask again", 2.0)
