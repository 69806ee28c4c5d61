"""Work that is late is cut off at its moment, without a Task; work that is in time is not touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from roadworthy.core.errors import BadData, Late
from roadworthy.core.in_time import InTime
from roadworthy.core.wire import Request, Response
from roadworthy.testing.wrappers import drive

ASKED = Request("r", {}, 0.0)


async def answer(seconds: float, seen: list[str]) -> str:
    """The future's own answer after some seconds; what becomes of it stands in `seen`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(seconds, lambda: future.done() or future.set_result("answer"))
    try:
        return await future
    except asyncio.CancelledError as cut:
        seen.append(f"cut: {cut}")
        raise
    finally:
        seen.append("tidied")


def limited(work: Awaitable[Any], seconds: float) -> Any:
    """The work under a limit, driven as the server drives it."""

    async def ask(request: Request) -> Response:
        found: Response = await InTime(work, time.monotonic() + seconds)
        return found

    return drive(ask, ASKED)


def test_what_is_in_time_is_given() -> None:
    seen: list[str] = []

    async def test() -> Any:
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        return await limited(answer(0.001, seen), 5.0), [timer for timer in timers if not timer.cancelled()]

    assert asyncio.run(test()) == ("answer", [])
    assert seen == ["tidied"]


def test_what_is_late_is_cancelled_and_may_tidy_up() -> None:
    seen: list[str] = []

    async def test() -> Any:
        return await limited(answer(30.0, seen), 0.01)

    with pytest.raises(Late, match="no answer came before the deadline"):
        asyncio.run(test())
    assert seen == ["cut: no answer came before the deadline", "tidied"]


def test_a_bare_future_is_cut_off_too() -> None:
    async def test() -> bool:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with pytest.raises(Late):
            await limited(future, 0.01)
        return future.cancelled()

    assert asyncio.run(test())


def test_work_that_never_waits_needs_no_timer() -> None:
    async def at_once() -> str:
        return "answer"

    async def test() -> Any:
        loop = asyncio.get_running_loop()
        before = len(loop._scheduled)  # type: ignore[attr-defined]
        try:
            InTime(at_once(), 0.0).__await__().send(None)
        except StopIteration as end:
            return end.value, len(loop._scheduled) - before  # type: ignore[attr-defined]

    assert asyncio.run(test()) == ("answer", 0)


def test_work_that_only_gives_way_is_cut_off_at_its_next_step() -> None:
    async def endless() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def test() -> Any:
        return await limited(endless(), 0.01)

    with pytest.raises(Late):
        asyncio.run(test())


def test_an_error_comes_through_as_it_is() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise BadData("broken")

    async def test() -> Any:
        return await limited(failing(), 5.0)

    with pytest.raises(BadData, match="broken"):
        asyncio.run(test())


def test_a_caller_who_goes_away_is_no_lateness() -> None:
    seen: list[str] = []

    async def inner() -> str:
        return await InTime(answer(30.0, seen), time.monotonic() + 30.0)

    async def test() -> None:
        task = asyncio.ensure_future(inner())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(test())
    assert seen == ["cut: ", "tidied"]


def test_a_coroutine_that_is_closed_closes_its_work() -> None:
    seen: list[str] = []

    async def inner() -> str:
        return await InTime(answer(30.0, seen), time.monotonic() + 30.0)

    async def test() -> None:
        coroutine = inner()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(test())
    assert seen == ["tidied"]
