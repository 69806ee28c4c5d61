"""A coroutine is driven to its end without a Task."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.drive import drive
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.batch import Batch
from roadworthy.serve.recorded import Recorded


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


def cancelled(work_of) -> tuple:
    """What is left of work that is cancelled in the second turn of the loop."""

    async def main():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        driven = drive(work_of(), lambda result, error: ended.set_result((result, error)))
        await asyncio.sleep(0)
        driven.cancel()
        async with asyncio.timeout(10):
            found = await ended
        driven.cancel()  # of no consequence
        await asyncio.sleep(0)
        return found

    return asyncio.run(main())


def test_cancelling_raises_where_the_work_waits_and_cancels_the_future():
    waited = []

    async def work():
        waited.append(asyncio.get_running_loop().create_future())
        await waited[0]

    result, error = cancelled(work)
    assert result is None
    assert isinstance(error, asyncio.CancelledError)
    assert waited[0].cancelled()


def test_cancelled_work_may_tidy_up_and_may_await_in_that():
    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0.001)
            tidied.append(True)

    tidied: list[bool] = []
    assert isinstance(cancelled(work)[1], asyncio.CancelledError)
    assert tidied == [True]


def test_work_that_gives_up_its_turn_is_cancelled_at_the_next():
    async def work():
        for _ in range(10_000):
            await asyncio.sleep(0)

    assert isinstance(cancelled(work)[1], asyncio.CancelledError)


def test_what_many_wait_for_is_shielded():
    async def main():
        loop = asyncio.get_running_loop()
        shared, ended = loop.create_future(), []

        async def work():
            return await asyncio.shield(shared)

        one, _ = (drive(work(), lambda *end: ended.append(end)) for _ in range(2))
        one.cancel()
        await asyncio.sleep(0)
        shared.set_result(5)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ended

    first, second = asyncio.run(main())
    assert isinstance(first[1], asyncio.CancelledError)
    assert second == (5, None)


def test_work_may_be_cancelled_from_inside_itself():
    async def main():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        handle = []

        async def work():
            await asyncio.sleep(0)
            handle[0].cancel()
            await loop.create_future()

        handle.append(drive(work(), lambda result, error: ended.set_result(error)))
        async with asyncio.timeout(10):
            return await ended

    assert isinstance(asyncio.run(main()), asyncio.CancelledError)


def test_a_cancelled_request_leaves_the_queue_and_a_record_that_says_why():
    signature = Signature({"x": Field()}, {"probability": Field()})
    asked, kept = [], []

    def engine(columns):
        asked.append(len(columns["x"]))
        return {"probability": columns["x"][:, 0]}

    async def keep(make):
        kept.extend(make())

    async def main():
        handler = Recorded(Batch(engine, signature), keep, "ab", "stable")
        requests = [Request(f"r{i}", {"x": Tensor("x", "FP32", (1,), [0.5])}, 1.0) for i in range(3)]
        ended = []
        driven = [drive(handler(request), lambda *end: ended.append(end)) for request in requests]
        driven[1].cancel()
        async with asyncio.timeout(10):
            while len(ended) < 3:  # noqa: ASYNC110 three ends have no event in common
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert asked == [2]
    assert {record.id: record.error for record in kept} == {
        "r0": None,
        "r1": "CancelledError: the caller went away",
        "r2": None,
    }
