"""A Batch turns an engine into a Handler: whatever waits when the model becomes free runs as one batch.

There is no window and no timer. An idle model takes what the current turn of the event loop brought; a busy one finds
at its return all that came meanwhile, which is what makes batches grow exactly when there is load.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, BadRequest, Overloaded, RoadworthyError, nearest
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import Engine
from roadworthy.serve.columns import blocks_of, gather, made_up, scatter

Place = Literal["auto", "loop", "thread"]

# A hand-off to a thread and back costs 0.03 to 0.15 ms; from about here on, blocking the loop costs others more.
LOOP_SECONDS = 0.5e-3


class Job(Struct, frozen=True, gc=False):
    """A request that waits for the model, since when, and the future that its caller waits for.

    Nothing points back at a job, so the garbage collector, which would visit thousands of them, need not.
    """

    request: Request
    rows: int
    answer: asyncio.Future[Response]
    since: float


class Cost(NamedTuple):
    """What a batch is expected to take: `seconds + per_row * rows`, measured in `warm_up`."""

    seconds: float
    per_row: float


class Batch:
    """A Handler around a synchronous engine; it belongs to one event loop at a time.

    `most_rows` is the largest batch (a larger request runs alone) and `queue` the rows that may wait before others are
    turned away. `place` says where the model runs: "auto" takes the loop for batches expected to last under 0.5 ms and
    one thread for the rest, which is also where everything runs before `warm_up` has measured.
    """

    def __init__(
        self,
        engine: Engine,
        signature: Signature,
        release: str = "",
        most_rows: int = 256,
        queue: int = 4096,
        place: Place = "auto",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if most_rows < 1 or queue < 1:
            raise ValueError(f"`most_rows` and `queue` must be at least 1, got {most_rows!r} and {queue!r}")
        self.engine, self.signature, self.release = engine, signature, release
        self.most_rows, self.queue, self.place = most_rows, queue, place
        self.rows_waiting = 0
        self._now = now
        self._blocks = blocks_of(signature)
        self._order = tuple(signature.inputs)
        self._waiting: deque[Job] = deque()
        self._cost: Cost | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = self._closed = False
        self._idle: asyncio.Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"Batch({self.engine!r}, most_rows={self.most_rows}, queue={self.queue}, place={self.place!r})"

    def __call__(self, request: Request) -> asyncio.Future[Response]:
        """A future of the answer. Raises Overloaded at once when the queue is full or the model is shutting down."""
        if self._closed:
            raise Overloaded("the model is shutting down and takes no more requests; ask again")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        rows = request.n
        # An empty queue takes anything: a request above `queue` rows would otherwise be told to retry for ever.
        if self.rows_waiting and self.rows_waiting + rows > self.queue:
            full = f"{self.rows_waiting} rows wait for the model and at most {self.queue} may; ask again"
            raise Overloaded(full, self._clears_in())
        answer: asyncio.Future[Response] = loop.create_future()
        self._waiting.append(Job(request, rows, answer, self._now()))
        self.rows_waiting += rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._turn)
        return answer

    def warm_up(self, columns: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Load the model, see that it answers what the signature promises, and measure what a batch costs.

        `columns` are rows to warm up with, made up from the signature where not given. Blocks; call it before serving.
        """
        rows = made_up(self.signature, min(64, self.most_rows)) if columns is None else columns
        n = len(next(iter(rows.values()), ()))
        one = {name: values[:1] for name, values in rows.items()}
        self._see_outputs(self.engine(one))
        first, many = self._fastest(one), self._fastest(rows)
        per_row = max(0.0, many - first) / max(1, n - 1)
        self._cost = Cost(max(0.0, first - per_row), per_row)

    async def close(self) -> None:
        """Wait for the running batch, turn away what is queued, and take nothing more."""
        self._closed = True
        while self._waiting:
            job = self._waiting.popleft()
            if not job.answer.done():
                job.answer.set_exception(Overloaded("the model shut down before it came to this request; ask again"))
        self.rows_waiting = 0
        if self._busy and self._loop is asyncio.get_running_loop():
            self._idle = self._idle or self._loop.create_future()
            await self._idle
        if self._thread is not None:
            self._thread.shutdown()

    def _turn(self) -> None:
        """Run one batch; `_deliver` asks for the next one, so that the loop can read sockets in between."""
        jobs = self._take()
        if not jobs or self._loop is None:
            self._deliver(jobs, [])
        elif self._in_loop(sum(job.rows for job in jobs)):
            self._deliver(jobs, self._answers(jobs))
        else:
            self._thread = self._thread or ThreadPoolExecutor(1, "roadworthy-model")
            self._thread.submit(self._work, jobs, self._loop)

    def _take(self) -> list[Job]:
        """The jobs of the next batch, oldest first; those that nobody waits for any more, or too late, are dropped."""
        jobs: list[Job] = []
        rows, now = 0, self._now()
        while self._waiting and (not jobs or rows + self._waiting[0].rows <= self.most_rows):
            job = self._waiting.popleft()
            self.rows_waiting -= job.rows
            deadline = job.request.deadline
            if job.answer.done():
                continue
            if deadline is not None and now > deadline:
                late = f"request {job.request.id!r} waited {now - job.since:.3f} s for the model, past its deadline"
                job.answer.set_exception(TimeoutError(late))
                continue
            jobs.append(job)
            rows += job.rows
        return jobs

    def _in_loop(self, rows: int) -> bool:
        if self.place != "auto" or self._cost is None:
            return self.place == "loop"
        return self._cost.seconds + self._cost.per_row * rows < LOOP_SECONDS

    def _work(self, jobs: list[Job], loop: asyncio.AbstractEventLoop) -> None:
        answers = self._answers(jobs)
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver, jobs, answers)

    def _answers(self, jobs: Sequence[Job]) -> Sequence[Response | Exception]:
        """A response or an error for every job, in order. Knows nothing of futures, so it may run on the thread."""
        started, rows = self._now(), [job.rows for job in jobs]
        try:
            found = gather([job.request for job in jobs], self._blocks, sum(rows))
            columns = {name: found[name] for name in self._order}
        except BadRequest as wrong:
            # The culprit alone shall fail, not those who happened to be in its batch.
            return [wrong] if len(jobs) == 1 else [answer for job in jobs for answer in self._answers([job])]
        try:
            outputs = self.engine(columns)
            model = self._now() - started
            return [
                self._response(job, answer, started - job.since, model)
                for job, answer in zip(jobs, scatter(outputs, rows), strict=True)
            ]
        except Exception as wrong:
            return [_failure(wrong, sum(rows)) for _ in jobs]

    def _response(self, job: Job, outputs: dict[str, Tensor], queue: float, model: float) -> Response:
        seconds = {"queue": queue, "model": model}
        return Response(job.request.id, outputs, self.release, confidence=confidence_of(outputs), seconds=seconds)

    def _deliver(self, jobs: Sequence[Job], answers: Sequence[Response | Exception]) -> None:
        for job, answer in zip(jobs, answers, strict=True):
            if job.answer.done():
                continue
            if isinstance(answer, Exception):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self._turn)
            return
        self._busy = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start afresh on another loop: what the old one still owed died with it."""
        self._loop, self._busy, self.rows_waiting = loop, False, 0
        self._waiting.clear()

    def _clears_in(self) -> float:
        """Seconds until the queue is worked off, as far as known: what a client should wait."""
        if self._cost is None:
            return 1.0
        batches = 1 + self.rows_waiting // self.most_rows
        return max(0.05, batches * self._cost.seconds + self.rows_waiting * self._cost.per_row)

    def _fastest(self, columns: Mapping[str, NDArray[Any]]) -> float:
        """The least of five runs: other work on the machine only ever makes a run slower."""

        def seconds() -> float:
            started = time.perf_counter()
            self.engine(columns)
            return time.perf_counter() - started

        return min(seconds() for _ in range(5))

    def _see_outputs(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        for name in self.signature.outputs:
            if name not in outputs:
                raise BadData(
                    f"the model has no output {name!r}{nearest(name, outputs)} (it has: {', '.join(outputs)}); "
                    f"name it in the engine's `output`, or change the application's"
                )


def confidence_of(outputs: Mapping[str, Tensor]) -> list[float] | None:
    """How sure a binary model is of the likelier class, row by row; None where nothing is called `probability`."""
    tensor = outputs.get("probability")
    if tensor is None or (len(tensor.shape) > 1 and tensor.shape[1] != 1):
        return None
    return [p if p > 0.5 else 1.0 - p for p in tensor.data]


def _failure(wrong: Exception, rows: int) -> RoadworthyError:
    """One error for each caller: a shared one would gather the tracebacks of all who raise it."""
    failed = RoadworthyError(f"the model failed on a batch of {rows} rows: {type(wrong).__name__}: {wrong}")
    failed.__cause__ = wrong
    return failed
