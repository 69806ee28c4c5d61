"""Identical work that is under way is done once, and nobody inherits the bad luck of whoever does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from roadworthy.core.errors import BadData, Late
from roadworthy.serve.flights import ALONE, LEAD, Flights

KEY = b"key"


async def waiting(flights: Flights[str], n: int, deadline: float | None = None) -> list[asyncio.Task[str]]:
    """So many who wait for the one who works already."""
    assert flights.begin(KEY)
    assert not flights.begin(KEY)
    tasks = [asyncio.ensure_future(flights.wait(KEY, deadline)) for _ in range(n)]
    await asyncio.sleep(0)
    return tasks


def run(test: Callable[[Flights[str]], Any]) -> None:
    asyncio.run(test(Flights()))


async def done(tasks: list[asyncio.Task[str]]) -> list[Any]:
    """What those who are done were told."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [task.result() for task in tasks if task.done() and not task.cancelled()]


def test_all_who_wait_are_given_what_landed() -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 3)
        flights.land(KEY, "answer")
        assert await done(tasks) == ["answer"] * 3
        assert len(flights) == 0
        assert flights.begin(KEY)

    run(test)


@pytest.mark.parametrize("wrong", [asyncio.CancelledError(), GeneratorExit(), Late("late"), BadData("broken")])
def test_one_takes_over_from_whoever_was_cancelled_late_or_failed(wrong: BaseException) -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 3)
        flights.crash(KEY, wrong)
        assert await done(tasks) == [LEAD]
        assert not flights.begin(KEY)
        flights.land(KEY, "answer")
        assert sorted(map(str, await done(tasks))) == sorted([str(LEAD), "answer", "answer"])

    run(test)


def test_after_a_second_failure_each_works_for_itself() -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 4)
        flights.crash(KEY, BadData("broken"))
        flights.crash(KEY, BadData("still broken"))
        assert (await done(tasks)).count(ALONE) == 3
        assert len(flights) == 0

    run(test)


def test_any_number_may_be_cancelled_one_after_the_other() -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 4)
        for led in range(1, 5):
            flights.crash(KEY, asyncio.CancelledError())
            assert await done(tasks) == [LEAD] * led
        flights.crash(KEY, asyncio.CancelledError())
        assert len(flights) == 0

    run(test)


def test_a_failure_of_another_day_is_forgotten() -> None:
    async def test(flights: Flights[str]) -> None:
        for _ in range(3):
            tasks = await waiting(flights, 1)
            flights.crash(KEY, BadData("broken"))
            assert await done(tasks) == [LEAD]
            flights.land(KEY, "answer")

    run(test)


def test_who_was_chosen_and_goes_away_hands_on() -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 3)
        flights.crash(KEY, asyncio.CancelledError())
        # Told to take over, and cancelled before it could: `done` is called only after that.
        tasks[0].cancel()
        assert await done(tasks[1:]) == [LEAD]
        assert tasks[0].cancelled()

    run(test)


def test_who_no_longer_waits_is_passed_over() -> None:
    async def test(flights: Flights[str]) -> None:
        tasks = await waiting(flights, 3)
        tasks[0].cancel()
        await asyncio.sleep(0)
        flights.crash(KEY, asyncio.CancelledError())
        assert await done(tasks[1:2]) == [LEAD]
        tasks[2].cancel()
        await asyncio.sleep(0)
        flights.crash(KEY, asyncio.CancelledError())
        assert len(flights) == 0

    run(test)


def test_who_waits_past_its_own_deadline_is_late_alone() -> None:
    async def test(flights: Flights[str]) -> None:
        patient = await waiting(flights, 1)
        hasty = asyncio.ensure_future(flights.wait(KEY, time.monotonic() + 0.01))
        with pytest.raises(Late, match="identical request is under way"):
            await hasty
        flights.land(KEY, "answer")
        assert await done(patient) == ["answer"]

    run(test)
