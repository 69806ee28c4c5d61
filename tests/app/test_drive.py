"""A coroutine is driven to its end without a Task."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.drive import drive


def outcome(work_of) -> tuple:
    async def main():
        ended = asyncio.get_running_loop().create_future()
        drive(work_of(), lambda result, error: ended.set_result((result, error)))
        return await ended

    return asyncio.run(main())


def test_a_coroutine_that_waits_for_nothing_ends_before_drive_returns():
    async def at_once():
        return 7

    async def main():
        ended = []
        drive(at_once(), lambda *end: ended.append(end))
        return ended

    assert asyncio.run(main()) == [(7, None)]


def test_futures_sleeps_and_other_coroutines_may_be_awaited():
    async def inner():
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 3

    async def work():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 4)
        return await inner() + await future + await asyncio.ensure_future(inner())

    assert outcome(work) == (10, None)


def test_what_a_future_raises_comes_up_where_it_is_awaited():
    async def work():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(KeyError("k"))
        try:
            await future
        except KeyError:
            raise ValueError("seen") from None

    result, error = outcome(work)
    assert result is None
    assert isinstance(error, ValueError)


def test_a_cancelled_future_ends_the_work_with_that_error():
    async def work():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    assert isinstance(outcome(work)[1], asyncio.CancelledError)


def test_what_is_no_future_is_refused_with_a_sentence():
    class Odd:
        def __await__(self):
            yield "odd"

    async def work():
        await Odd()

    _, error = outcome(work)
    assert str(error) == "a handler may await futures and coroutines, not 'odd'"


def test_an_exit_is_not_swallowed():
    async def work():
        raise SystemExit(3)

    async def main():
        drive(work(), lambda *_: None)

    with pytest.raises(SystemExit):
        asyncio.run(main())
