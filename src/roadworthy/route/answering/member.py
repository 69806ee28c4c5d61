"""A Member is one of several models that answer together: timed, priced, and left alone while it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from roadworthy.core.breaker import Breaker
from roadworthy.core.errors import BadRequest, Late, Overloaded, RoadworthyError, TooMany
from roadworthy.core.in_time import InTime
from roadworthy.core.wire import Handler, Request, Response, Step

# Of the time until the deadline this much is left to answer in without the member, or a quarter if that is less.
MARGIN_SECONDS = 0.05

# The weight of the newest call in what a member costs and takes: the last dozen calls are half of it.
NEWEST = 0.06

# The caller's mistake, and the caller's own share used up: no other model would do better.
THEIRS = (BadRequest, TooMany)


class Member:
    """A Handler under its name, with what it costs and takes of late and what it is asked now.

    `said_usd` is what a row is said to cost (None: nobody said), `usd` what one costs of late and `worst_usd` at most,
    as answers tell. `in_flight` calls about `rows_in_flight` rows are under way; with `most_in_flight` calls it is full
    (0: never). `breaker` says when to leave it alone.
    """

    def __init__(
        self,
        name: str,
        handler: Handler,
        usd: float | None,
        now: Callable[[], float],
        breaker: Breaker,
        most_in_flight: int = 0,
    ) -> None:
        self.name, self.handler, self.breaker, self.most_in_flight = name, handler, breaker, most_in_flight
        self.said_usd = self.usd = self.worst_usd = usd
        self.in_flight = self.rows_in_flight = 0
        self._now = now
        self._seconds_alone: float | None = None

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.handler!r})"

    async def __call__(self, request: Request, until: float | None = None) -> Response:
        """Its answer. Raises what it raises, Late where none comes `until` then, NotAsked while its circuit is open.

        Who may give up is InTime's affair: without `until` this waits as long as the handler does.
        """
        ticket = self.breaker.admit()
        if ticket is None:
            seconds = self.breaker.retry_after
            told = f"{self.name!r} failed too often and is not asked for another {seconds:.1f} s"
            raise NotAsked(told, max(0.1, seconds))
        found, _ = await self._asked(request, until, ticket)
        if isinstance(found, Exception):
            raise found
        return found

    def ask(self, request: Request, until: float | None = None) -> Awaitable[tuple[Response | Exception, float]]:
        """Its answer or what it raised, and the seconds that this took; asked even while its circuit is open."""
        return self._asked(request, until, self.breaker.admit())

    def in_time(self, request: Request) -> float | None:
        """Until when it is waited for by somebody who has another answer; None where the request has no deadline."""
        return waits_until(request, 0.0, self._now(), True)

    @property
    def why_not(self) -> str:
        """Why it had better not be asked at this moment, "" where nothing speaks against it."""
        if self.most_in_flight and self.in_flight >= self.most_in_flight:
            return f"{self.name} has {self.in_flight} calls under way"
        ticket = self.breaker.admit()
        if ticket is None:
            return f"{self.name} failed too often and rests"
        self.breaker.forget(ticket)
        return ""

    @property
    def seconds(self) -> float:
        """What a call would take now: what one takes alone, times those before it in the queue; 0 while unknown."""
        return (self._seconds_alone or 0.0) * (self.in_flight + 1)

    def too_late(self, request: Request) -> bool:
        """Is its deadline over?"""
        return request.deadline is not None and self._now() >= request.deadline

    def bill(self, response: Response, rows: int) -> float | None:
        """What an answer to `rows` rows cost: as it tells, else at the price; None where nobody knows."""
        if response.usd is not None or self.said_usd is None:
            return response.usd
        return self.said_usd * rows

    def costs(self, response: Response, rows: int) -> list[float | None]:
        """What each row of an answer cost."""
        return [self.said_usd if told is None else told for told in response.usd_of_rows(rows)]

    async def _asked(
        self, request: Request, until: float | None, ticket: int | None
    ) -> tuple[Response | Exception, float]:
        rows, company, started = request.n, self.in_flight, self._now()
        self.in_flight += 1
        self.rows_in_flight += rows
        try:
            work: Awaitable[Response] = self.handler(request)
            response = await (work if until is None else InTime(work, until, self._now))
        except (asyncio.CancelledError, GeneratorExit):
            if ticket is not None:
                self.breaker.forget(ticket)
            raise
        except Exception as wrong:
            seconds = self._now() - started
            if ticket is not None:
                self._report(ticket, wrong)
            return wrong, seconds
        else:
            seconds = self._now() - started
            alone, before = seconds / (company + 1), self._seconds_alone
            self._seconds_alone = alone if before is None else before + NEWEST * (alone - before)
            if response.usd is not None and rows:
                self._note_price(response.usd / rows)
            if ticket is not None:
                self.breaker.report(ticket, False)
            return response, seconds
        finally:
            self.in_flight -= 1
            self.rows_in_flight -= rows

    def _note_price(self, row_usd: float) -> None:
        self.usd = row_usd if self.usd is None else self.usd + NEWEST * (row_usd - self.usd)
        self.worst_usd = row_usd if self.worst_usd is None else max(row_usd, self.worst_usd)

    def _report(self, ticket: int, wrong: Exception) -> None:
        """A caller's mistake and a full queue tell nothing about the model."""
        if isinstance(wrong, BadRequest) or (isinstance(wrong, Overloaded) and not isinstance(wrong, Late)):
            self.breaker.forget(ticket)
        else:
            self.breaker.report(ticket, failed=True)


class NotAsked(Overloaded):
    """A member is left alone for a while, because it failed too often."""


def is_theirs(wrong: Exception, request: Request, now: float) -> bool:
    """Would another model do no better: the caller's mistake, the caller's own share used up, or the caller's time?"""
    if isinstance(wrong, THEIRS):
        return True
    return isinstance(wrong, Late) and request.deadline is not None and request.deadline <= now


def reason(wrong: Exception) -> str:
    """Why a model did not answer, for the path. What escaped as a defect is named by its type alone."""
    return str(wrong) if isinstance(wrong, RoadworthyError) else f"it failed ({type(wrong).__name__})"


def waits_until(request: Request, wait_seconds: float, now: float, has_answer: bool) -> float | None:
    """The moment from which on there is no waiting; None where whoever is asked watches the deadline by itself."""
    limits = [now + wait_seconds] * (wait_seconds > 0)
    if has_answer and request.deadline is not None:
        limits.append(request.deadline - min(MARGIN_SECONDS, max(0.0, request.deadline - now) / 4))
    return min(limits, default=None)


def members_of(
    handlers: Mapping[str, Handler], usd_per_1k: Mapping[str, float], now: Callable[[], float], rng: Random
) -> dict[str, Member]:
    """Each handler as a member, at the price of a row."""
    prices = {name: usd / 1000 for name, usd in usd_per_1k.items()}
    return {name: Member(name, handler, prices.get(name), now, Breaker(now, rng)) for name, handler in handlers.items()}


def own_step(name: str, because: str, inner: tuple[Step, ...], usd: float | None, seconds: float) -> Step:
    """The stop at a member. What its inner stops tell of their cost is not told again."""
    if inner and usd is not None:
        usd = max(0.0, usd - sum(step.usd or 0.0 for step in inner))
    return Step(name, because, usd, seconds)
