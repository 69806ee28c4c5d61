from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from roadworthy.core.wire import Request, Response
from roadworthy.serve.company import Company
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller, Lines
from roadworthy.serve.patience import Patience
from roadworthy.testing.overload import INPUTS
from roadworthy.testing.virtual_clock import VirtualLoop, run


class Waiting:
    """A model of 4 ms + 0.1 ms a row that has just answered 10 callers, all of whom usually return within 2 ms."""

    def __init__(self, loop: VirtualLoop, most_delay: float = 0.005, most_rows: int = 64) -> None:
        self.loop, self.ended = loop, []
        line = CostLine()
        line.start([(1, 0.0041), (64, 0.0104)])
        line.spread = 0.0
        self.lines = Lines(lambda caller, now: None)
        company = Company(line, most_delay)
        company.answered(loop.time(), self.callers(10), -1, self.lines)
        company.back, company.gap = 1.0, 0.0002
        self.patience = Patience(company, line, self.lines, most_rows, loop.time)

    def callers(self, many: int, deadline: float | None = None) -> Sequence[Caller]:
        request = Request("r", INPUTS, 0.0, deadline=deadline)
        answer: asyncio.Future[Response] = self.loop.create_future()
        return [Caller(request, 1, answer, self.loop.time()) for _ in range(many)]

    def join(self, many: int, deadline: float | None = None) -> None:
        for caller in self.callers(many, deadline):
            self.lines.lines[2].append(caller)
            self.lines.rows_of[2] += 1
            self.lines.rows += 1
            if self.patience.timer is not None:
                self.patience.joined(deadline)

    def holds(self) -> bool:
        return self.patience.holds(self.loop, lambda: self.ended.append(round(self.loop.time(), 6)))


def after(
    seconds: float, joins: int = 0, first: float | None = None, then: float | None = None, **settings: float
) -> list[float]:
    """When the wait of one caller (deadline `first`) ends if `joins` more (deadline `then`) come after `seconds`."""

    async def main(loop: VirtualLoop) -> list[float]:
        here = Waiting(loop, **settings)  # type: ignore[arg-type]
        here.join(1, first)
        if not here.holds():
            return []
        await asyncio.sleep(seconds)
        here.join(joins, then)
        await asyncio.sleep(1.0)
        return here.ended

    return run(main)


def test_it_ends_when_nearly_all_have_come_back() -> None:
    assert after(0.001, joins=9) == [0.001]


def test_it_ends_when_they_should_have_come_long_ago() -> None:
    assert after(0.001, joins=2) == [pytest.approx(1.5 * 0.95 * 10 * 0.0002)]


def test_it_ends_after_the_longest_delay() -> None:
    assert after(0.0005, most_delay=0.0015) == [0.0015]


def test_it_ends_when_a_batch_is_full() -> None:
    assert after(0.0005, joins=3, most_rows=4) == [0.0005]


def test_it_never_lasts_into_a_deadline_less_the_run() -> None:
    # Some ten rows take 5.1 ms.
    assert after(0.0, first=0.0075) == [pytest.approx(0.0075 - 0.0051, abs=0.0002)]
    assert after(0.0, first=0.0055) == []


def test_it_ends_at_once_for_one_who_cannot_wait() -> None:
    assert after(0.001, joins=1, then=0.0075) == [0.001]
    assert after(0.001, joins=1, then=0.1) != [0.001]


def test_it_is_not_begun_when_the_callers_come_too_slowly() -> None:
    async def main(loop: VirtualLoop) -> bool:
        here = Waiting(loop)
        here.patience.company.gap = 0.009
        here.join(1)
        return here.holds()

    assert run(main) is False
