"""Streams over real generators and threads, driven as the server drives its handlers: without asyncio Tasks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from roadworthy.app.drive import drive
from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, RoadworthyError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.streamed import Streamed, streams

SIGNATURE = Signature({"n": Field("integer")}, {"word": Field("text")})


@dataclass
class Counting:
    """Says `n` words, each when `gate` is open, and remembers how many it made and that it was closed."""

    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1000))
    fails_at: int = -1
    made: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    streams = True

    def stream(self, columns: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        try:
            for k in range(int(columns["n"][0, 0])):
                self.gate.acquire()
                if k == self.fails_at:
                    raise ArithmeticError("no word for this")
                self.made += 1
                yield {"word": np.array([f"w{k}"], dtype=object)}
        finally:
            self.closed.set()


def asks(n: int, rows: int = 1, deadline: float | None = None) -> Request:
    return Request("r", {"n": Tensor("n", "INT64", (rows, 1), [n] * rows)}, 0.0, deadline=deadline)


def run(work: Callable[[], Any]) -> Any:
    """Drive a coroutine as the protocol core does: no Task runs it."""

    async def outer() -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def then(result: Any, error: BaseException | None) -> None:
            done.set_exception(error) if error is not None else done.set_result(result)

        async def inner() -> Any:
            assert asyncio.current_task() is None
            return await work()

        asyncio.get_running_loop().call_soon(drive, inner(), then)
        return await done

    # Only a defect comes near this limit.
    return asyncio.run(asyncio.wait_for(outer(), 20))


def outputs(response: Response) -> AsyncIterator[Tensor]:
    assert not isinstance(response.outputs, Mapping)
    return response.outputs


async def words(response: Response) -> list[str]:
    return [tensor.data[0] async for tensor in outputs(response)]


async def until(true: Callable[[], bool]) -> None:
    """Wait without a Task until something is so; the test's own limit is what ends a wait in vain."""
    loop = asyncio.get_running_loop()
    for _ in range(5000):
        if true():
            return
        step = loop.create_future()
        loop.call_later(0.002, step.set_result, None)
        await step
    raise AssertionError("it never became so")


def test_the_pieces_arrive_in_order_and_the_stream_ends() -> None:
    async def work() -> None:
        handler = Streamed(Counting(), SIGNATURE, "digest")
        response = await handler(asks(40))
        assert (response.id, response.release, list(response.seconds)) == ("r", "digest", ["first"])
        assert await words(response) == [f"w{k}" for k in range(40)]
        await until(lambda: handler.running == 0)
        await handler.close()

    run(work)


def test_an_empty_stream_is_an_answer() -> None:
    async def work() -> None:
        handler = Streamed(Counting(), SIGNATURE)
        assert await words(await handler(asks(0))) == []
        await handler.close()

    run(work)


def test_a_slow_reader_stops_the_engine() -> None:
    async def work() -> None:
        engine = Counting()
        handler = Streamed(engine, SIGNATURE, ahead=4)
        pieces = outputs(await handler(asks(1000)))
        await until(lambda: engine.made == 4)
        assert (await anext(pieces)).data == ["w0"]
        await until(lambda: engine.made == 5)
        await until(lambda: engine.made == 5)
        await pieces.aclose()  # type: ignore[attr-defined]
        await handler.close()
        assert engine.made == 5

    run(work)


def test_a_reader_who_leaves_stops_the_engine_within_one_piece() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(3))
        handler = Streamed(engine, SIGNATURE)
        pieces = outputs(await handler(asks(1000)))
        await until(lambda: engine.made == 3)
        await pieces.aclose()  # type: ignore[attr-defined]
        engine.gate.release(100)
        await until(engine.closed.is_set)
        assert engine.made <= 4
        await handler.close()

    run(work)


def test_a_response_that_nobody_reads_or_closes_stops_the_engine_too() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(2))
        handler = Streamed(engine, SIGNATURE)
        await handler(asks(1000))
        gc.collect()
        engine.gate.release(100)
        await until(engine.closed.is_set)
        assert engine.made <= 4
        await handler.close()

    run(work)


def test_a_failure_before_the_first_piece_is_the_answer() -> None:
    async def work() -> None:
        handler = Streamed(Counting(fails_at=0), SIGNATURE)
        with pytest.raises(RoadworthyError, match="failed in its stream: ArithmeticError: no word for this"):
            await handler(asks(3))
        await handler.close()

    run(work)


def test_a_failure_later_reaches_the_reader_after_what_was_made() -> None:
    async def work() -> None:
        handler = Streamed(Counting(fails_at=2), SIGNATURE)
        pieces = outputs(await handler(asks(5)))
        assert [(await anext(pieces)).data[0] for _ in range(2)] == ["w0", "w1"]
        for _ in range(2):
            with pytest.raises(RoadworthyError, match="no word for this"):
                await anext(pieces)
        await handler.close()

    run(work)


def test_a_refusal_of_the_engine_is_told_as_it_is() -> None:
    class Refusing(Counting):
        def stream(self, columns: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            raise BadData("no such voice")

    async def work() -> None:
        handler = Streamed(Refusing(), SIGNATURE)
        with pytest.raises(BadData, match=r"^no such voice$"):
            await handler(asks(3))
        await handler.close()

    run(work)


def test_more_streams_than_there_may_be_are_turned_away() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(2))
        handler = Streamed(engine, SIGNATURE, most_streams=2, ahead=1)
        kept = [await handler(asks(9)), await handler(asks(9))]
        with pytest.raises(Overloaded, match="2 streams run, and at most 2 may"):
            await handler(asks(9))
        engine.gate.release(100)
        assert [len(await words(response)) for response in kept] == [9, 9]
        await until(lambda: handler.running == 0)
        assert len(await words(await handler(asks(3)))) == 3
        await handler.close()

    run(work)


def test_the_deadline_ends_a_stream_and_its_engine() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(1))
        handler = Streamed(engine, SIGNATURE)
        response = await handler(asks(9, deadline=time.monotonic() + 0.05))
        with pytest.raises(Late, match="did not end within its"):
            await words(response)
        engine.gate.release(100)
        await until(engine.closed.is_set)
        assert engine.made <= 2
        await handler.close()

    run(work)


def test_what_is_ready_after_the_deadline_is_not_delivered() -> None:
    async def work() -> None:
        engine = Counting()
        handler = Streamed(engine, SIGNATURE)
        pieces = outputs(await handler(asks(99, deadline=time.monotonic() + 0.05)))
        await until(engine.closed.is_set)
        with pytest.raises(Late):
            await anext(pieces)
        await handler.close()

    run(work)


def test_a_request_past_its_deadline_starts_nothing() -> None:
    async def work() -> None:
        engine = Counting()
        with pytest.raises(Late, match="after its deadline"):
            await Streamed(engine, SIGNATURE)(asks(9, deadline=time.monotonic() - 1))
        assert not engine.made

    run(work)


def test_a_caller_who_leaves_before_the_first_piece_stops_the_engine() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(0))
        handler = Streamed(engine, SIGNATURE)
        asked = handler(asks(9))
        asked.send(None)
        asked.close()
        engine.gate.release(100)
        await until(engine.closed.is_set)
        assert engine.made <= 1
        await handler.close()

    run(work)


def test_closing_waits_for_the_streams_that_run_and_takes_no_more() -> None:
    async def work() -> None:
        engine = Counting(threading.Semaphore(1))
        handler = Streamed(engine, SIGNATURE)
        response = await handler(asks(3))
        closing = handler.close()
        closing.send(None)
        with pytest.raises(Overloaded, match="shutting down"):
            await handler(asks(3))
        engine.gate.release(100)
        assert len(await words(response)) == 3
        await until(lambda: handler.running == 0)
        with pytest.raises(StopIteration):
            closing.send(None)

    run(work)


def test_a_stream_answers_one_row() -> None:
    async def work() -> None:
        with pytest.raises(BadRequest, match="one row at a time; got 2"):
            await Streamed(Counting(), SIGNATURE)(asks(3, rows=2))

    run(work)


def test_a_bad_value_is_refused_before_a_place_is_taken() -> None:
    async def work() -> None:
        handler = Streamed(Counting(), SIGNATURE)
        wrong = Request("r", {"n": Tensor("n", "INT64", (1, 1), ["three"])}, 0.0)
        with pytest.raises(BadRequest, match="input 'n' must hold 1 x 1 values"):
            await handler(wrong)
        assert handler.running == 0
        await handler.close()

    run(work)


def test_warming_up_makes_one_piece_and_no_more() -> None:
    engine = Counting()
    Streamed(engine, SIGNATURE).warm_up({"n": np.array([[5]])})
    assert (engine.made, engine.closed.is_set()) == (1, True)


def test_only_an_engine_that_says_so_streams() -> None:
    assert streams(Counting())  # type: ignore[arg-type]
    assert not streams(lambda columns: columns)
    assert "Counting" in repr(Streamed(Counting(), SIGNATURE))


@pytest.mark.parametrize("setting", ["most_streams", "ahead"])
def test_a_setting_of_nothing_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Streamed(Counting(), SIGNATURE, **{setting: 0})
