"""A Batch turns an engine into a Handler: whatever waits when the model becomes free runs as one batch.

There is no window. An idle model takes what the current turn of the event loop brought; a busy one finds at its return
all that came meanwhile, which is what makes batches grow exactly when there is load. It waits for more only for callers
whom it has just answered, and only where that pays (`serve/company.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import get_ident
from typing import Any, Literal

from numpy.typing import NDArray

from roadworthy.core.errors import BadData, Late, Overloaded, RoadworthyError, nearest
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Request, Response
from roadworthy.serve.admission import Admission
from roadworthy.serve.base import Engine
from roadworthy.serve.batch_counts import BatchCounts, Snapshot
from roadworthy.serve.columns import confidence_of, made_up
from roadworthy.serve.company import Company
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller, Lines
from roadworthy.serve.model_thread import ModelThread, Worker
from roadworthy.serve.patience import Patience
from roadworthy.serve.retry_budget import RetryBudget
from roadworthy.serve.runner import Answers, Runner
from roadworthy.serve.watched import Watched

log = logging.getLogger(__name__)

Place = Literal["auto", "loop", "thread", "fronts"]

# A hand-off to a thread and back costs 0.03 to 0.15 ms; from about here on, blocking the loop costs others more.
LOOP_SECONDS = 0.5e-3
# A batch that costs less than this besides its rows is not worth a wait, nor the thought of one.
LEAST_FIXED = 0.1e-3
# So many batches make the line sure enough that of tiny ones only every eighth is learnt from.
SURE, SELDOM = 64, 8


class Batch:
    """A Handler around a synchronous engine; it belongs to one event loop at a time.

    `most_rows` is the largest batch (a larger request runs alone), `preferred_rows` are sizes that it is cut to where
    more waits, and `alike` names a text input by whose length requests are put together. `queue` is the rows that may
    wait at most; before that, `admission` refuses whoever would be answered too late, and lower priorities first.
    `most_delay_seconds` bounds the wait for more. `place` says where the model runs: "auto" takes the loop for batches
    expected to last under 0.5 ms and one thread for the rest, which is also where everything runs before `warm_up` has
    measured ("fronts" is the thread, too). A call that does not return for `hang_seconds` is given up, and `renew`
    makes the next engine; after `most_stuck` such threads nothing more is taken. In the loop, nothing can be given up.
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
        *,
        preferred_rows: Sequence[int] = (),
        most_delay_seconds: float = 0.005,
        alike: str = "",
        hang_seconds: float = 60.0,
        renew: Callable[[], Engine] | None = None,
        most_stuck: int = 3,
        worker: Callable[[], Worker] = ModelThread,
    ) -> None:
        _check(most_rows, queue, preferred_rows, alike, signature)
        self.signature, self.most_rows, self.queue, self.place = signature, most_rows, queue, place
        self.preferred_rows = tuple(sorted(size for size in preferred_rows if size <= most_rows))
        self.renew, self.most_stuck = renew, most_stuck
        self.line, self.counts = CostLine(), BatchCounts()
        self.lines = Lines(self._drop, alike)
        self.admission = Admission(self.lines, self.line, most_rows, queue)
        self.retries = RetryBudget(most=max(10, most_rows))
        self._now = now
        self._runner = Runner(engine, signature, release, self.line, self.retries, now)
        self._patience = Patience(Company(self.line, most_delay_seconds), self.line, self.lines, most_rows, now)
        self._watched = Watched(hang_seconds, worker, now)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._busy = self._closed = self._warm = False
        self._refusal = ""
        self._idle: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Batch({self.engine!r}, most_rows={self.most_rows}, queue={self.queue}, place={self.place!r})"

    def __call__(self, request: Request) -> asyncio.Future[Response]:
        """A future of the answer. Raises at once Overloaded, TooMany or Late where the request may not join."""
        if self._refusal:
            self._refuse()
        loop = self._loop
        # To ask asyncio for the running loop is a system call in Python 3.11, so its thread is asked instead.
        if loop is None or self._thread != get_ident() or not loop.is_running():
            loop = self._here()
        rows, priority, deadline = request.n, request.priority, request.deadline
        lines, now = self.lines, self._now()
        if lines.rows + rows > self.admission.room:
            full = self.admission.full(priority, rows)
            if full is not None:
                raise full
        if deadline is not None and deadline - now < self.admission.ample:
            late = self.admission.late(request, deadline, rows, now)
            if late is not None:
                raise late
        answer: asyncio.Future[Response] = loop.create_future()
        lines.lines[priority].append(Caller(request, rows, answer, now))
        lines.rows_of[priority] += rows
        lines.rows += rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._turn)
        elif self._patience.timer is not None:
            self._patience.joined(deadline)
        return answer

    @property
    def engine(self) -> Engine:
        """What runs now; after a hang it may be another than was given."""
        return self._runner.engine

    @property
    def release(self) -> str:
        """Which release the answers name."""
        return self._runner.release

    @property
    def rows_waiting(self) -> int:
        """Rows in the queue."""
        return self.lines.rows

    @property
    def hung(self) -> int:
        """How many calls of the engine were given up."""
        return self.counts.hung

    @property
    def given_up(self) -> bool:
        """Are so many threads stuck in the model that it takes no more requests?"""
        return not self._closed and self._watched.stuck >= self.most_stuck

    def snapshot(self) -> Snapshot:
        """What an exporter wants to know, without a look at any request."""
        counts, admission = self.counts, self.admission
        return Snapshot(
            waiting=dict(enumerate(self.lines.rows_of[1:], 1)),
            batches=counts.batches,
            rows=counts.rows,
            sizes=counts.sizes,
            shed=dict(admission.shed),
            late=counts.late,
            gone=counts.gone,
            failed=counts.failed,
            hung=counts.hung,
            stuck=self._watched.stuck,
            retried=self.retries.spent,
            limit=admission.limit.rows,
            line=self.line.measurements(),
        )

    def warm_up(self, columns: Mapping[str, NDArray[Any]] | None = None) -> Mapping[str, NDArray[Any]]:
        """Load the model, see that it answers what the signature promises, and measure what a batch costs.

        `columns` are rows to warm up with, made up from the signature where not given. Blocks; call it before serving.
        Returns what the first of them was answered.
        """
        rows = made_up(self.signature, min(64, self.most_rows)) if columns is None else columns
        n = len(next(iter(rows.values()), ()))
        first = self.engine({name: values[:1] for name, values in rows.items()})
        self._see_outputs(first)
        sizes = sorted({size for size in (1, n // 8, n) if size})
        parts = [{name: values[:size] for name, values in rows.items()} for size in sizes]
        self.line.start([(size, self._fastest(part)) for size, part in zip(sizes, parts, strict=True)])
        self._warm = True
        return first

    async def close(self) -> None:
        """Wait for the running batch, turn away what is queued, and take nothing more."""
        self._closed = True
        self._refusal = "the model is shutting down and takes no more requests; ask again"
        self._turn_away("the model shut down before it came to this request; ask again")
        self._patience.give_up()
        if self._busy and self._loop is asyncio.get_running_loop():
            self._idle = self._idle or self._loop.create_future()
            await self._idle
        self._watched.close()

    def _turn(self) -> None:
        """Run one batch, or wait for company; `_next` asks for the next, so that the loop reads sockets in between."""
        if self.line.fixed < LEAST_FIXED or self._loop is None or not self._patience.holds(self._loop, self._begin):
            self._begin()

    def _begin(self) -> None:
        """Those of the next batch run; those that nobody waits for any more, or too late, are dropped."""
        lines, now = self.lines, self._now()
        waiting, most = lines.rows, self._size(lines.rows) if self.preferred_rows else self.most_rows
        before = lines.rows_of if waiting <= most else lines.rows_of.copy()
        callers = lines.take(most, now, self.admission.due_by(now, most) if waiting > most else now)
        if not callers or self._loop is None:
            self._next()
            return
        rows = sum([caller.rows for caller in callers])
        self.counts.batch(rows)
        self.admission.took(now, callers, before, waiting)
        early = -1 if lines.rows or self.line.fixed < LEAST_FIXED else self._patience.company.early(lines)
        if self._in_loop(rows):
            self._deliver(callers, rows, early, self._runner(callers, rows))
            return
        self.admission.began(now, rows)
        work, back = partial(self._runner, callers, rows), partial(self._returned, callers, rows, early)
        self._watched(self._loop, work, back, partial(self._hung, callers, rows))

    def _size(self, waiting: int) -> int:
        """The largest preferred size that can be filled, or else all that may run at once."""
        return max((size for size in self.preferred_rows if size <= waiting), default=self.most_rows)

    def _in_loop(self, rows: int) -> bool:
        if self.place != "auto" or not self._warm:
            return self.place == "loop"
        return self.line(rows) < LOOP_SECONDS

    def _returned(self, callers: Sequence[Caller], rows: int, early: int, result: tuple[Answers, float]) -> None:
        self.admission.ended()
        self.admission.answered(callers[0], self._now())
        self._deliver(callers, rows, early, result)

    def _deliver(self, callers: Sequence[Caller], rows: int, early: int, result: tuple[Answers, float]) -> None:
        """`early` of the callers came after the last answer, -1 where some of those still wait."""
        answers, seconds = result
        for caller, answer in zip(callers, answers, strict=True):
            if caller.answer.done():
                continue
            if isinstance(answer, Response):
                caller.answer.set_result(answer)
            else:
                self.counts.failed += 1
                caller.answer.set_exception(answer)
        line = self.line
        # A tiny batch is only looked at now and then: what is learnt of it would cost as much as it does.
        if seconds and (seconds > LOOP_SECONDS or line.n < SURE or not self.counts.batches % SELDOM):
            line.learn(rows, seconds)
        if line.fixed >= LEAST_FIXED:
            self._patience.company.answered(self._now(), callers, early, self.lines)
        self._next()

    def _next(self) -> None:
        if self.lines and self._loop is not None:
            self._loop.call_soon(self._turn)
            return
        self._busy = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _hung(self, callers: Sequence[Caller], rows: int) -> None:
        """The engine did not come back: its requests fail, and a new thread goes on if one may still be risked."""
        self.counts.hung += 1
        self.admission.ended()
        told = f"the model did not return from a batch of {rows} rows for {self._watched.hang_seconds:g} s"
        log.error("%s and is given up", told)
        for caller in callers:
            if not caller.answer.done():
                self.counts.failed += 1
                caller.answer.set_exception(RoadworthyError(f"{told} and was given up"))
        if self.given_up:
            stuck = f"{self._watched.stuck} threads are stuck in it"
            self._refusal = f"{told}; {stuck}, and it takes no more requests until it is loaded again"
            self._turn_away(self._refusal)
        elif self.renew is not None and self._loop is not None and not self._closed:
            self.admission.began(self._now(), 0)
            self._watched(self._loop, self._renewed, self._replaced, partial(self._hung, (), 0))
            return
        self._next()

    def _refuse(self) -> None:
        """Raise Overloaded, unless threads that were given up have come back meanwhile."""
        if self._closed or self.given_up:
            raise Overloaded(self._refusal)
        self._refusal = ""

    def _renewed(self) -> Engine | Exception:
        """On the thread: loading may take long."""
        try:
            return self.engine if self.renew is None else self.renew()
        except Exception as wrong:
            return wrong

    def _replaced(self, made: Engine | Exception) -> None:
        self.admission.ended()
        if isinstance(made, Exception):
            log.error("the model that hung cannot be made again, the same is asked once more: %s", made)
        else:
            self._runner.engine = made
        self._next()

    def _turn_away(self, because: str) -> None:
        for caller in self.lines.clear():
            if not caller.answer.done():
                caller.answer.set_exception(Overloaded(because))

    def _drop(self, caller: Caller, now: float) -> None:
        """One who was taken from the queue and is not worth running."""
        if caller.answer.done():
            self.counts.gone += 1
            return
        self.counts.late += 1
        self.admission.answered(caller, now)
        waited = f"request {caller.request.id!r} waited {now - caller.since:.3f} s for the model, past its deadline"
        caller.answer.set_exception(Late(waited, self.admission.clears_in()))

    def _here(self) -> asyncio.AbstractEventLoop:
        """The running loop, to which this batch belongs from now on."""
        loop = asyncio.get_running_loop()
        self._thread = get_ident()
        if loop is not self._loop:
            self._move_to(loop)
        return loop

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start afresh on another loop: what the old one still owed died with it."""
        self._loop, self._busy = loop, False
        self.lines.clear()
        self.admission.ended()
        self._watched.forget()
        self._patience.forget()

    def _fastest(self, columns: Mapping[str, NDArray[Any]]) -> float:
        """The least of five runs: other work on the machine only ever makes a run slower."""

        def seconds() -> float:
            started = self._now()
            self.engine(columns)
            return self._now() - started

        return min(seconds() for _ in range(5))

    def _see_outputs(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        for name in self.signature.outputs:
            if name not in outputs:
                raise BadData(
                    f"the model has no output {name!r}{nearest(name, outputs)} (it has: {', '.join(outputs)}); "
                    f"name it in the engine's `output`, or change the application's"
                )
        try:
            confidence_of(outputs)
        except (TypeError, ValueError) as wrong:
            raise BadData(
                f"`probability` and `probabilities` are outputs of numbers; this model's are not: {wrong}"
            ) from wrong


def _check(most_rows: int, queue: int, preferred_rows: Sequence[int], alike: str, signature: Signature) -> None:
    if most_rows < 1 or queue < 1:
        raise ValueError(f"`most_rows` and `queue` must be at least 1, got {most_rows!r} and {queue!r}")
    if any(size < 1 for size in preferred_rows):
        raise ValueError(f"`preferred_rows` must be at least 1, got {tuple(preferred_rows)!r}")
    if alike and (alike not in signature.inputs or signature.inputs[alike].kind not in ("text", "category")):
        texts = [name for name, field in signature.inputs.items() if field.kind in ("text", "category")]
        raise ValueError(f"`alike` must name a text input, got {alike!r} (there is: {', '.join(texts) or 'none'})")
