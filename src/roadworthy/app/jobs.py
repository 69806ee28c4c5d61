"""Asynchronous requests: `Prefer: respond-async` answers 202 with a job, which is polled, watched, told or cancelled.

A job is the HTTP call itself, run later through the same route; so every protocol has jobs, and knows nothing of it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random, SystemRandom
from typing import Any, TypeVar, cast, get_args
from urllib.parse import parse_qs

import msgspec
from msgspec.structs import replace

from roadworthy.app.drive import drive
from roadworthy.app.exchange import EVENTS, Answer, Call, Refused, Reply, error_reply, json_reply
from roadworthy.app.job_watch import Watch, leave
from roadworthy.app.job_words import call_of, deferred, job_of, owner_of, reply_of, result_of, told
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Missing, Overloaded, nearest
from roadworthy.serve.jobs import Desk
from roadworthy.serve.queue import OPEN, End, Job, OpenQueue, Sent, Stage, Status, missing
from roadworthy.serve.webhooks import Allowed, Webhooks

Read = TypeVar("Read")

MOST_WAIT_SECONDS = 60.0
BEAT_SECONDS = 15.0  # of a quiet stream of events, which shows proxies that it lives
MOST_ON_A_PAGE = 200
MOST_RESULT_BYTES = 64 * 1024 * 1024

# A refusal for now is no answer: the job is tried again.
PASSING = frozenset({429, 502, 503, 504})

# Whose value signs what webhooks are told.
SECRET = "ROADWORTHY_WEBHOOK_SECRET"


class Jobs:
    """The routes, and what runs the jobs: at most `at_once` at a time, at priority 3 unless their caller says another.

    Made with an open queue; `add_to` the table last, `start` on the event loop, `drain` when the server begins to stop,
    and `close` when it has answered everybody. `owner` tells callers apart: each sees only their own jobs.
    """

    def __init__(
        self,
        queue: OpenQueue,
        webhooks: Sequence[str] = (),
        at_once: int = 32,
        owner: Callable[[Call], str] = owner_of,
        secret: str | None = None,
        now: Callable[[], float] = time.time,
        rng: Random | None = None,
        courier: Callable[..., Webhooks] = Webhooks,
    ) -> None:
        self._queue, self._owner, self._now, self._rng = queue, owner, now, rng or SystemRandom()
        self._allowed = Allowed(webhooks)
        secret = os.environ.get(SECRET, "") if secret is None else secret
        self._webhooks = courier(self._allowed, self._body_of, self._report, secret)
        self._desk = Desk(queue, self, self._webhooks, at_once)
        self._readers = ThreadPoolExecutor(1, "reader of the jobs")
        self._watch = Watch(lambda ids: self._read(queue.versions, ids))
        self._draining = self._closed = False
        self._running = 0

    def add_to(self, routes: Routes, paths: Iterable[str]) -> None:
        """The routes below /v2/jobs, and in `paths` (of POST routes that are there already) the choice to wait."""
        self._routes = routes
        for path in paths:
            routes.add("POST", path, self._or_later(routes.find(b"POST", path.rstrip("*").encode())))
        routes.add("GET", "/v2/jobs", self._list)
        routes.add("GET", "/v2/jobs/*", self._show)
        routes.add("DELETE", "/v2/jobs/*", self._cancel)

    def start(self) -> None:
        """Go on where the last server stopped; jobs are kept before that. On the event loop, once models can answer."""
        self._desk.start()

    @property
    def running(self) -> int:
        """How many jobs are being run."""
        return self._running

    def drain(self) -> None:
        """Start no more jobs and let go of whoever waits for one; new ones are still kept, for the next server."""
        self._draining = True
        self._desk.rest()
        self._watch.wake()

    async def close(self, grace_seconds: float = 10.0) -> None:
        """Let jobs end for a while; the others are given back to the queue as if they had not been tried."""
        self.drain()
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_seconds
        while self._running and loop.time() < until:  # noqa: ASYNC110 an event would cost every job
            await asyncio.sleep(0.01)
        self._watch.close()
        await loop.run_in_executor(None, self._webhooks.close)
        self._closed = True
        await self._desk.close()
        self._readers.shutdown(wait=False)

    def begin(self, job: Job) -> None:
        """Run a job through its route. Called by the desk."""
        self._running += 1
        try:
            call = call_of(job)
            work = self._routes.find(b"POST", call.path)(call)
        except Exception as error:  # the desk has others to start
            self._ended(job, None, error)
        else:
            drive(_whole(work), partial(self._ended, job))

    def changed(self, ids: Sequence[str]) -> None:
        """Wake whoever watches these. Called by the desk."""
        self._watch.changed(ids)

    def _ended(self, job: Job, reply: Reply | None, error: BaseException | None) -> None:
        self._running -= 1
        reply = error_reply(error or RuntimeError("no reply")) if reply is None else reply
        at = self._now()
        again_at = at + self._pause(job, reply) if reply.status in PASSING else None
        if again_at is not None and self._draining:
            return  # we are the reason, not the job: it is given back
        self._desk.end(End(job.id, job.attempts, result_of(reply), at, again_at))

    def _pause(self, job: Job, reply: Reply) -> float:
        """What the refusal asks for, and more with each attempt; jitter parts those that failed together."""
        after = dict(reply.headers).get(b"retry-after", b"")
        least = float(after) if after.isdigit() else 1.0
        return max(least, min(60.0, 2.0 ** (job.attempts - 1))) * self._rng.uniform(1.0, 1.5)

    def _or_later(self, answer: Answer) -> Answer:
        def answered(call: Call) -> Coroutine[Any, Any, Reply]:
            # Not a coroutine itself: whoever waits for the answer pays one look into a dictionary.
            return self._accept(call) if b"prefer" in call.headers and deferred(call) else answer(call)

        return answered

    async def _accept(self, call: Call) -> Reply:
        at = self._now()
        # In the order of time, and not to be guessed: who has no credentials has only this.
        id = f"{int(at * 1000):012x}-{self._rng.getrandbits(96):024x}"
        job = job_of(call, id, at, self._owner(call))
        if job.webhook:
            self._allowed.check(job.webhook)
        ticket = await self._desk.put(job)
        if ticket.outcome == "full":
            raise Overloaded("the queue of jobs is full; send it again later, or without `prefer: respond-async`", 5.0)
        if ticket.outcome == "large":
            raise Refused(413, "the queue cannot hold so large a request; send it without `prefer: respond-async`")
        if ticket.outcome == "clash":
            raise Refused(
                422,
                f"`idempotency-key` {job.key!r:.80} stands for another request (job {ticket.id!r}); "
                "allowed: the same request again, or a new key",
            )
        where = f"/v2/jobs/{ticket.id}"
        body = {"id": ticket.id, "state": ticket.state, "location": where, "events": f"{where}/events"}
        told_so = ((b"location", where.encode()), (b"preference-applied", b"respond-async"))
        return replace(json_reply(body, 202), headers=told_so)

    async def _show(self, call: Call) -> Reply:
        id, _, verb = _below(call).partition("/")
        if verb == "events":
            return await self._watched(call, id)
        if verb == "result":
            return self._verbatim(await self._get(call, id))
        if verb:
            raise Missing(f"no {verb!r} below a job{nearest(verb, ('events', 'result'))} (known: events, result)")
        seconds = _number(call, "wait", 0.0, MOST_WAIT_SECONDS)
        return json_reply(told(await self._settled(call, id, seconds) if seconds else await self._get(call, id)))

    async def _settled(self, call: Call, id: str, seconds: float) -> Status:
        """The job as soon as it ends, or as it is when the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            # Before it is read: a change in between must not be missed.
            change = self._watch.next(id, until - loop.time())
            status = await self._get(call, id, change)
            if status.state not in OPEN or self._draining or loop.time() >= until:
                leave(change)
                return status
            await change

    def _verbatim(self, status: Status) -> Reply:
        if status.result is not None:
            return reply_of(status.result)
        if status.state in OPEN:
            raise Refused(409, f"job {status.id!r} is {status.state}; ask `/v2/jobs/{status.id}?wait=30` first")
        gone = 410 if status.state == "cancelled" else 500
        raise Refused(gone, f"job {status.id!r} is {status.state}: {status.reason}")

    async def _watched(self, call: Call, id: str) -> Reply:
        status = await self._get(call, id)
        seen = call.headers.get(b"last-event-id", b"")
        after = int(seen) if seen.isdigit() and len(seen) < 19 else 0
        if status.state not in OPEN and after > status.version:
            return Reply(204)  # which tells a browser to stop
        return Reply(200, content_type=EVENTS, stream=self._events(call, id, after))

    async def _events(self, call: Call, id: str, after: int) -> AsyncGenerator[bytes, None]:
        """Each change of state that is seen, then the end. The number of an event is the job's version."""
        while not self._draining:
            change = self._watch.next(id, BEAT_SECONDS)
            try:
                status = await self._get(call, id, change)
            except Missing as gone:
                yield _event(after, "error", {"error": str(gone)})
                return
            if status.version > after:
                yield _event(status.version, "state", told(replace(status, result=None)))
                after = status.version
            if status.state not in OPEN:
                leave(change)
                # What the client saw last may have been the last state: the end has the number after it.
                yield _event(status.version + 1, "result", told(status))
                return
            if not await change:
                yield b": still here\n\n"

    async def _cancel(self, call: Call) -> Reply:
        id = _below(call)
        await self._get(call, id)
        was = await self._desk.cancel(id)
        if was not in OPEN:
            raise Refused(409, f"job {id!r} is {was} already; what has ended is not cancelled")
        note = "it never runs" if was == "queued" else "it was running: its result is dropped when it ends"
        return json_reply({**told(await self._get(call, id)), "was": was, "note": note})

    async def _list(self, call: Call) -> Reply:
        n = int(_number(call, "n", 50, MOST_ON_A_PAGE)) or 1
        state = _given(call, "state") or None
        if state is not None and state not in get_args(Stage):
            raise BadRequest(f"`state` is {state!r:.60}; allowed: {', '.join(get_args(Stage))}")
        page = await self._read(
            self._queue.page, self._owner(call), _given(call, "cursor"), n, cast("Stage | None", state)
        )
        return json_reply({"jobs": [told(status) for status in page.jobs], "cursor": page.cursor or None})

    async def _get(self, call: Call, id: str, change: asyncio.Future[bool] | None = None) -> Status:
        """A caller's own job. Raises Missing; another's job is as good as none. A failure ends the watch."""
        try:
            status = await self._read(self._queue.get, id)
            if status.owner != self._owner(call):
                raise missing(id)
        except BaseException:
            if change is not None:
                leave(change)
            raise
        self._watch.saw(id, status.version)
        return status

    def _read(self, function: Callable[..., Read], *given: Any) -> asyncio.Future[Read]:
        if self._closed:
            raise Overloaded("the server stops; ask the next one", 5.0)
        return asyncio.get_running_loop().run_in_executor(self._readers, function, *given)

    def _body_of(self, id: str) -> bytes:
        """What a webhook is told of a job. Called on the threads of the webhooks."""
        return msgspec.json.encode(told(self._queue.get(id)))

    def _report(self, sent: Sent) -> None:
        self._desk.report(sent)


async def _whole(work: Coroutine[Any, Any, Reply]) -> Reply:
    """The reply with its stream, where it has one, read to the end."""
    reply = await work
    if reply.stream is None:
        return reply
    pieces, size = [], 0
    try:
        async for piece in reply.stream:
            pieces.append(piece)
            size += len(piece)
            if size > MOST_RESULT_BYTES:
                raise Refused(500, f"the answer has more than the {MOST_RESULT_BYTES} bytes that a job keeps")
    finally:
        await reply.stream.aclose()
    return replace(reply, body=b"".join(pieces), stream=None)


def _event(number: int, kind: str, told: Any) -> bytes:
    data = msgspec.json.encode(told).replace(b"\r", b"").replace(b"\n", b"\ndata: ")
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, kind.encode(), data)


def _below(call: Call) -> str:
    return call.path.decode("utf-8", "replace").removeprefix("/v2/jobs/")


def _given(call: Call, name: str) -> str:
    """A parameter of the query, "" where it is not there."""
    return parse_qs(call.query.decode("utf-8", "replace")).get(name, [""])[-1]


def _number(call: Call, name: str, otherwise: float, most: float) -> float:
    raw = _given(call, name)
    try:
        number = float(raw) if raw else otherwise
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise BadRequest(f"`{name}` is {raw!r:.60}; allowed: a number from 0 to {most:g}")
    return number
