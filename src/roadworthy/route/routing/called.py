"""One member asked, tries and all: what it answered or why it did not, and what that cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from roadworthy.core.charges import FAILED
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Request, Response, Step
from roadworthy.route.routing.members import Member


class Called:
    """A member's answer about some rows, or what it raised last; `failures` are the calls that gave none."""

    __slots__ = ("failures", "member", "response", "rows", "seconds", "usd", "wrong")

    def __init__(self, member: Member, rows: Sequence[int]) -> None:
        self.member, self.rows = member, rows
        self.response: Response | None = None
        self.wrong: Exception | None = None
        self.failures: list[Step] = []
        self.usd: float | None = None
        self.seconds = 0.0

    @property
    def all_usd(self) -> float:
        """What the answer and the failures before it cost, as far as anybody knows."""
        return (self.usd or 0.0) + sum(step.usd or 0.0 for step in self.failures)


async def call(
    member: Member, request: Request, rows: Sequence[int], tries: int, failed_share: float, now: Callable[[], float]
) -> Called:
    """Ask a member up to `tries` times. Raises at once what is the caller's own mistake, and never what is ours.

    A call that failed is billed `failed_share` of what a row costs of late. `rows` says which ones the request holds.
    """
    called = Called(member, rows)
    for _ in range(tries):
        started, company = now(), member.in_flight
        member.begin(started)
        try:
            response = await member.handler(request)
        except (asyncio.CancelledError, GeneratorExit):
            member.forget()
            raise
        except Exception as wrong:
            ended = now()
            if isinstance(wrong, RoadworthyError) and wrong.status < 500:
                member.forget()
                raise
            member.fail(ended)
            called.wrong = wrong
            called.failures.append(_failure(member, wrong, request.n, ended - started, failed_share))
            if request.deadline is not None and ended >= request.deadline:
                break
        else:
            called.seconds = now() - started
            called.response, called.wrong = response, None
            called.usd = member.answer(called.seconds, response.usd, request.n, company)
            break
    return called


def _failure(member: Member, wrong: Exception, rows: int, seconds: float, share: float) -> Step:
    told = str(wrong) if isinstance(wrong, RoadworthyError) else type(wrong).__name__
    usd = None if member.usd is None else member.usd * rows * share
    return Step(member.name, f"{FAILED}{told}", usd, seconds)
