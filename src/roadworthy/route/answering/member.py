"""A Member is one of several models that answer together: it is timed, priced, and left alone while it fails."""

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


class Member:
    """A Handler under its name, with what a row of it costs. `in_flight` are the rows that it is asked about now."""

    def __init__(self, name: str, handler: Handler, usd: float | None, now: Callable[[], float], rng: Random) -> None:
        self.name, self.handler, self.usd, self.now = name, handler, usd, now
        self.breaker = Breaker(now, rng)
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.handler!r})"

    async def __call__(self, request: Request, until: float | None = None) -> Response:
        """Its answer. Raises what it raises, Late where none comes `until` then, Overloaded while its circuit is open.

        Who may give up is InTime's affair: without `until` this waits as long as the handler does.
        """
        ticket = self.breaker.admit()
        if ticket is None:
            seconds = self.breaker.retry_after
            told = f"{self.name!r} failed too often and is not asked for another {seconds:.1f} s"
            raise NotAsked(told, max(0.1, seconds))
        rows = request.n
        self.in_flight += rows
        try:
            work: Awaitable[Response] = self.handler(request)
            response = await (work if until is None else InTime(work, until, self.now))
        except (asyncio.CancelledError, GeneratorExit):
            self.breaker.forget(ticket)
            raise
        except Exception as wrong:
            self._report(ticket, wrong)
            raise
        else:
            self.breaker.report(ticket, failed=False)
            return response
        finally:
            self.in_flight -= rows

    def cost(self, response: Response, row: int, rows: int) -> float | None:
        """What a row of an answer cost: as the answer tells, else the price; None where nobody knows."""
        told = response.row_usd(row, rows)
        return self.usd if told is None else told

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
    if isinstance(wrong, BadRequest | TooMany):
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
    return {name: Member(name, handler, prices.get(name), now, rng) for name, handler in handlers.items()}


def own_step(name: str, because: str, inner: tuple[Step, ...], usd: float | None, seconds: float) -> Step:
    """The stop at a member. What its inner stops tell of their cost is not told again."""
    if inner and usd is not None:
        usd = max(0.0, usd - sum(step.usd or 0.0 for step in inner))
    return Step(name, because, usd, seconds)
