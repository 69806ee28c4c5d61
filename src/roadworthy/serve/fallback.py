"""A Fallback answers in place of a model that fails, is late, or is not asked because it failed too often."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from roadworthy.core.breaker import Breaker
from roadworthy.core.catalog import Catalog, read_plan
from roadworthy.core.errors import Late, Overloaded, RoadworthyError
from roadworthy.core.in_time import InTime
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Handler, Request, Response, Step


@dataclass(frozen=True)
class Given:
    """What a fallback is made with: the release that it stands in for, and where another answer may come from.

    `previous` answers as the release before did, and is None where there was none. `remembered` gives the last good
    answer to an input: it is `Caching.stale` where a cache is the outermost handler of the release (what stands around
    one that is further in would be left out of its answers). `root` is the project's folder.
    """

    signature: Signature
    root: Path = field(default_factory=Path)
    release: str = ""
    previous: Handler | None = None
    previous_release: str = ""
    remembered: Callable[[Request], Response | None] | None = None


class FallbackLeaf(Protocol):
    """Settings that, with what is given, make a Handler: quick, and raising where it has no answer.

    A handler with a method `learn(request, response)` is shown every good answer of the model. One with an attribute
    `release` names the release that its answers come from.
    """

    def __call__(self, given: Given) -> Handler: ...


fallback: Catalog[FallbackLeaf] = Catalog("fallback", "roadworthy.serve.fallbacks")


class Answer(NamedTuple):
    """A fallback under the name by which the response will tell of it. `release` says whose answers they are."""

    name: str
    handler: Handler
    release: str = ""


def answers_of(plans: Sequence[Any], given: Given) -> tuple[Answer, ...]:
    """The fallbacks of `spec.Serving.fallback`, in the order in which they are asked. Raises SpecError."""
    made = [(read_plan(plan)[0], fallback.make(plan, given.root)(given)) for plan in plans]
    return tuple(Answer(name, handler, getattr(handler, "release", given.release)) for name, handler in made)


def as_it_is(handler: Handler, release: str) -> Handler:
    """For fallbacks whose answers nobody records."""
    return handler


class Fallback:
    """A Handler that asks `inner`, and the first of `answers` that can answer when `inner` cannot.

    That is: when `inner` fails with a 5xx (a 4xx is the caller's own affair), has no answer `margin_seconds` before
    the request's deadline (or a quarter of the time that there was), or is not asked since `breaker` is open. The
    response then has the arm "fallback" and a step with the reason. Where no fallback answers, the first error goes
    out. `record` makes a Handler that keeps what another answers, under the release given; `inner` keeps its own rows,
    so that a failed try counts against the release that failed. A stream that breaks after its start is not replaced.
    """

    def __init__(
        self,
        inner: Handler,
        answers: Sequence[Answer],
        breaker: Breaker,
        margin_seconds: float = 0.05,
        record: Callable[[Handler, str], Handler] = as_it_is,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if margin_seconds < 0:
            raise ValueError(f"`margin_seconds` must be 0 or more, got {margin_seconds!r}")
        self.inner, self.answers, self.breaker, self.margin_seconds = inner, tuple(answers), breaker, margin_seconds
        self._record, self._now = record, now
        self._learn = tuple(answer.handler.learn for answer in answers if hasattr(answer.handler, "learn"))

    def __repr__(self) -> str:
        return f"Fallback({self.inner!r}, {[answer.name for answer in self.answers]}, {self.breaker!r})"

    async def __call__(self, request: Request) -> Response:
        """The answer of `inner` or of a fallback. Raises what `inner` raised where no fallback can answer."""
        started = self._now()
        # Nobody waits for what is mirrored, or came after its deadline: `inner` knows what to say to that.
        if request.shadow or (request.deadline is not None and request.deadline <= started):
            return await self.inner(request)
        ticket = self.breaker.admit()
        if ticket is None:
            return await self._instead(request, started, self._not_asked())
        try:
            response = await self._asked(request, started)
        except (asyncio.CancelledError, GeneratorExit):
            self.breaker.forget(ticket)
            raise
        except Exception as wrong:
            self._report(ticket, wrong)
            if not is_ours(wrong):
                raise
            failed = wrong
        else:
            self.breaker.report(ticket, failed=False)
            for learn in self._learn:
                learn(request, response)
            return response
        return await self._instead(request, started, failed)

    async def _asked(self, request: Request, started: float) -> Response:
        deadline = request.deadline
        if deadline is None:
            return await self.inner(request)
        return await InTime(self.inner(request), deadline - self._margin(deadline, started), self._now)

    async def _instead(self, request: Request, started: float, wrong: Exception) -> Response:
        """The first fallback that can answer; part of the margin is left for those behind it."""
        deadline = request.deadline
        until = None if deadline is None else deadline - self._margin(deadline, started) / 4
        for answer in self.answers:
            step = Step("fallback", f"{answer.name} answers, since {reason(wrong)}")
            handler = self._record(partial(_as_fallback, answer.handler, step), answer.release)
            try:
                work = handler(request)
                return await (work if until is None else InTime(work, until, self._now))
            # It is the next one's turn, whatever it was; the row of a recorded fallback holds the reason.
            except Exception:
                continue
        raise wrong

    def _margin(self, deadline: float, started: float) -> float:
        return min(self.margin_seconds, (deadline - started) / 4)

    def _report(self, ticket: int, wrong: Exception) -> None:
        """A caller's mistake and a full queue tell nothing about the model."""
        if is_ours(wrong) and (isinstance(wrong, Late) or not isinstance(wrong, Overloaded)):
            self.breaker.report(ticket, failed=True)
        else:
            self.breaker.forget(ticket)

    def _not_asked(self) -> Overloaded:
        seconds = self.breaker.retry_after
        told = f"the model failed too often and is not asked for another {seconds:.1f} s (the circuit is open)"
        return Overloaded(told, max(0.1, seconds))


def is_ours(wrong: Exception) -> bool:
    """Is it a fault of the server's side, which a fallback may make good? Refusals with a 4xx are not."""
    return not isinstance(wrong, RoadworthyError) or wrong.status >= 500


def reason(wrong: Exception) -> str:
    """Why a fallback answers, for the trace. What escaped as a defect is named by its type alone."""
    return str(wrong) if isinstance(wrong, RoadworthyError) else f"the model failed ({type(wrong).__name__})"


async def _as_fallback(handler: Handler, step: Step, request: Request) -> Response:
    response = await handler(request)
    return replace(response, arm="fallback", path=(step, *response.path))
