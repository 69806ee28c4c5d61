"""Runs the engine on the requests of a batch, and gives each its own answer or its own error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from roadworthy.core.errors import BadRequest, Late, Overloaded, RoadworthyError
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Response
from roadworthy.serve.base import Engine
from roadworthy.serve.columns import blocks_of, confidence_of, gather, scatter, sets_of
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller
from roadworthy.serve.retry_budget import RetryBudget

Answers = Sequence[Response | Exception]

# When a batch fails, its requests are run one by one if the line says that all others need not wait longer than this.
RETRY_SECONDS = 0.05


class Runner:
    """An engine with its signature; it knows nothing of futures being set, so it may run on the thread.

    A malformed request fails alone. When the engine fails on a batch of several, each is run once more by itself, so
    that one row that the model cannot bear does not fail its neighbours; `retries` bounds what that may cost.
    """

    def __init__(
        self,
        engine: Engine,
        signature: Signature,
        release: str,
        line: CostLine,
        retries: RetryBudget,
        now: Callable[[], float],
    ) -> None:
        self.engine, self.release, self.line, self.retries = engine, release, line, retries
        self._blocks, self._order = blocks_of(signature), tuple(signature.inputs)
        self._now = now

    def __call__(self, callers: Sequence[Caller], rows: int) -> tuple[Answers, float]:
        """A response or an error for every caller, in order, and the seconds that the model took (0: it failed).

        Never raises: a model that calls `sys.exit` must not end the thread either.
        """
        started = self._now()
        try:
            outputs = self.engine(self._columns(callers, rows))
            seconds = self._now() - started
            answers = self._responses(callers, outputs, started, seconds)
        except (Exception, SystemExit) as wrong:
            return self._failed(callers, rows, wrong), 0.0
        self.retries.earn(len(callers))
        return answers, seconds

    def _columns(self, callers: Sequence[Caller], rows: int) -> dict[str, NDArray[Any]]:
        found = gather([caller.request for caller in callers], self._blocks, rows)
        return {name: found[name] for name in self._order}

    def _responses(
        self, callers: Sequence[Caller], outputs: Mapping[str, NDArray[Any]], started: float, seconds: float
    ) -> list[Response]:
        cut, sure = scatter(outputs, [caller.rows for caller in callers]), confidence_of(outputs)
        sets = sets_of(outputs)
        answers, start, release = [], 0, self.release
        for caller, tensors in zip(callers, cut, strict=True):
            stop = start + caller.rows
            confidence = None if sure is None else sure[start:stop]
            held = None if sets is None else sets[start:stop]
            times = {"queue": started - caller.since, "model": seconds}
            answer = Response(
                caller.request.id, tensors, release, confidence=confidence, prediction_set=held, seconds=times
            )
            answers.append(answer)
            start = stop
        return answers

    def _failed(self, callers: Sequence[Caller], rows: int, wrong: BaseException) -> Answers:
        if isinstance(wrong, BadRequest):
            return [wrong] if len(callers) == 1 else self._without_malformed(callers, wrong)
        line, many = self.line, len(callers)
        cheap = line.n and many * line.fixed + rows * line.per_row <= RETRY_SECONDS
        if many == 1 or not cheap or not self.retries.spend(many):
            return [failure(wrong, rows) for _ in callers]
        return [self._once_more(caller, wrong) for caller in callers]

    def _without_malformed(self, callers: Sequence[Caller], wrong: BadRequest) -> Answers:
        """The culprits alone fail; whoever happened to be in their batch makes a smaller one."""
        errors: dict[int, Exception] = {}
        for place, caller in enumerate(callers):
            try:
                self._columns([caller], caller.rows)
            except BadRequest as malformed:
                errors[place] = malformed
            except Exception as broken:
                errors[place] = failure(broken, caller.rows)
        if not errors:  # each fits alone, and all together do not
            return [BadRequest(str(wrong)) for _ in callers]
        sound = [caller for place, caller in enumerate(callers) if place not in errors]
        answers = self(sound, sum(caller.rows for caller in sound))[0] if sound else ()
        others = iter(answers)
        return [errors[place] if place in errors else next(others) for place in range(len(callers))]

    def _once_more(self, caller: Caller, wrong: BaseException) -> Response | Exception:
        deadline, now = caller.request.deadline, self._now()
        if caller.answer.done():
            return failure(wrong, caller.rows)
        if deadline is not None and now > deadline:
            return Late(f"the batch of request {caller.request.id!r} failed, and its deadline passed before a retry")
        try:
            outputs = self.engine(self._columns([caller], caller.rows))
            return self._responses([caller], outputs, now, self._now() - now)[0]
        except (Exception, SystemExit) as again:
            return failure(again, caller.rows)


def failure(wrong: BaseException, rows: int) -> RoadworthyError:
    """One error for each caller: a shared one would gather the tracebacks of all who raise it."""
    told = f"the model failed on a batch of {rows} rows: {type(wrong).__name__}: {wrong}"
    failed = RoadworthyError(told)
    if isinstance(wrong, Overloaded):
        # A model elsewhere that is busy now may answer later, and its callers shall know when to ask again.
        failed.status, failed.retry_after = wrong.status, wrong.retry_after
    failed.__cause__ = wrong
    return failed
