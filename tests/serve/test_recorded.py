from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.record import Record
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.serve.meter import Meter
from roadworthy.serve.recorded import Recorded
from roadworthy.store.rows import record_of, row_of


class Log:
    """A log that makes its records later and gives them back as the real one reads them; it says when they are kept."""

    def __init__(self, wrong: Exception | None = None) -> None:
        self.records: list[Record] = []
        self.kept: list[asyncio.Future[None]] = []
        self.wrong = wrong

    def __call__(self, make: Callable[[], Iterable[Record]]) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[None] = loop.create_future()
        self.kept.append(kept)

        def write() -> None:
            self.records += [record_of(*row_of(record)) for record in make()]
            loop.call_soon_threadsafe(kept.set_result if self.wrong is None else kept.set_exception, self.wrong)

        threading.Thread(target=write).start()
        return kept


def request(n: int = 1, x: Any = None) -> Request:
    data = [1.5, None, 3.5][:n] if x is None else x
    inputs = {
        "wind": Tensor("wind", "FP32", (n, 1), data),
        "pixels": Tensor("pixels", "FP32", (n, 2), np.arange(2 * n, dtype=np.float32)),
    }
    return Request("r", inputs, at=1000.0, key="k", tags={"carrier": "AA"})


async def inner(asked: Request) -> Response:
    p = [0.25 * (k + 1) for k in range(asked.n)]
    return Response(
        asked.id,
        {"probability": Tensor("probability", "FP64", (asked.n,), p)},
        confidence=[max(x, 1 - x) for x in p],
        prediction_set=[["late", "on time"]] * asked.n,
        path=(Step("cascade", "sure"),),
        seconds={"queue": 0.1, "model": 0.2},
        usd=0.3,
    )


def clock() -> Callable[[], float]:
    ticks = iter(range(100))
    return lambda: float(next(ticks))


def run(handler: Recorded, asked: Request) -> Response:
    async def ask() -> Response:
        return await handler(asked)

    return asyncio.run(ask())


def test_one_row_leaves_one_record_with_everything() -> None:
    log = Log()
    got = run(Recorded(inner, log, "digest", "canary", clock()), request())
    assert (got.release, got.arm, got.seconds) == ("digest", "canary", {"queue": 0.1, "model": 0.2, "total": 1.0})
    assert log.records == [
        Record(
            "r",
            1000.0,
            "digest",
            "canary",
            {"wind": 1.5, "pixels": [0.0, 1.0]},
            {"probability": 0.25},
            confidence=0.75,
            prediction_set=("late", "on time"),
            path=(Step("cascade", "sure"),),
            seconds={"queue": 0.1, "model": 0.2, "total": 1.0},
            usd=0.3,
            tags={"carrier": "AA"},
        )
    ]


@pytest.mark.parametrize(("named", "told"), [("older", "older"), ("", "digest")])
def test_a_fallback_stays_one_and_keeps_the_release_that_it_names(named: str, told: str) -> None:
    async def fallen(asked: Request) -> Response:
        return replace(await inner(asked), arm="fallback", release=named)

    log = Log()
    handler = Recorded(fallen, log, "digest", "canary")
    got = run(handler, request())
    assert (got.arm, got.release, "total" in got.seconds) == ("fallback", told, True)
    assert [(r.arm, r.release) for r in log.records] == [("fallback", told)]
    assert handler.meter.fallbacks == 1


def test_the_meter_counts_answers_failures_and_streams() -> None:
    async def moody(asked: Request) -> Response:
        if asked.n == 2:
            raise ArithmeticError("no wind")
        return Response(asked.id, words()) if asked.n == 3 else await inner(asked)

    async def go() -> None:
        await handler(request())
        with pytest.raises(ArithmeticError):
            await handler(request(2))
        stream: Any = (await handler(request(3))).outputs
        assert meter.requests == 2, "a stream counts when it ends"
        async for _ in stream:
            pass

    meter = Meter()
    handler = Recorded(moody, Log(), "digest", "stable", meter=meter)
    asyncio.run(go())
    counted = meter.snapshot()
    assert (counted.requests, counted.rows, counted.errors) == (3, 6, {"ArithmeticError": 1})
    assert (counted.stages["total"].n, counted.stages["model"].seconds) == (2, 0.2)


def test_several_rows_leave_one_record_each_in_order() -> None:
    log = Log()
    run(Recorded(inner, log, "digest", "stable"), request(3))
    assert [(r.id, r.inputs["wind"], r.inputs["pixels"], r.outputs["probability"]) for r in log.records] == [
        ("r.0", 1.5, [0.0, 1.0], 0.25),
        ("r.1", None, [2.0, 3.0], 0.5),
        ("r.2", 3.5, [4.0, 5.0], 0.75),
    ]
    assert math.fsum(r.usd or 0 for r in log.records) == pytest.approx(0.3)


def test_a_request_of_no_rows_leaves_none() -> None:
    log = Log()
    assert run(Recorded(inner, log, "digest", "stable"), request(0)).id == "r"
    assert log.records == []


def test_a_failed_request_is_recorded_and_raises_what_was_raised() -> None:
    async def failing(asked: Request) -> Response:
        raise ArithmeticError("no wind")

    log = Log()
    with pytest.raises(ArithmeticError, match="no wind"):
        run(Recorded(failing, log, "digest", "shadow", clock()), request(2))
    assert [(r.id, r.error, r.outputs, r.arm, r.seconds) for r in log.records] == [
        (f"r.{k}", "ArithmeticError: no wind", {}, "shadow", {"total": 1.0}) for k in range(2)
    ]


def test_a_handler_that_raises_before_it_awaits_is_recorded_too() -> None:
    def refusing(asked: Request) -> Awaitable[Response]:
        raise TimeoutError("full")

    log = Log()
    with pytest.raises(TimeoutError):
        run(Recorded(refusing, log, "digest", "stable"), request())
    assert log.records[0].error == "TimeoutError: full"


def test_no_answer_goes_out_before_its_record_is_kept() -> None:
    async def ask() -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer = asyncio.ensure_future(Recorded(inner, lambda make: kept, "digest", "stable")(request()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not answer.done()
        kept.set_result(None)
        assert (await answer).id == "r"

    asyncio.run(ask())


def test_an_answer_that_could_not_be_kept_is_an_error() -> None:
    with pytest.raises(OSError, match="disk full"):
        run(Recorded(inner, Log(OSError("disk full")), "digest", "stable"), request())


@pytest.mark.parametrize("how", ["throw", "close", "task"])
def test_a_caller_who_goes_away_is_recorded_and_not_waited_for(how: str) -> None:
    log = Log()

    async def never(asked: Request) -> Response:
        return await asyncio.get_running_loop().create_future()

    async def go() -> None:
        handler = Recorded(never, log, "digest", "stable")
        coroutine = handler(request())
        if how == "task":
            task = asyncio.ensure_future(coroutine)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            coroutine.send(None)
            if how == "close":
                coroutine.close()
            else:
                with pytest.raises(asyncio.CancelledError):
                    coroutine.throw(asyncio.CancelledError("disconnected"))
        await asyncio.gather(*log.kept)

    asyncio.run(go())
    assert [record.error for record in log.records] == ["CancelledError: the caller went away"]


async def words(stop: Exception | None = None) -> AsyncIterator[Tensor]:
    yield Tensor("text", "BYTES", (1,), ["fly"])
    if stop is not None:
        raise stop
    yield Tensor("text", "BYTES", (1,), ["away"])


def drain(log: Log, stop: Exception | None = None) -> list[str]:
    async def streaming(asked: Request) -> Response:
        return Response(asked.id, words(stop))

    async def go() -> list[str]:
        got = await Recorded(streaming, log, "digest", "stable")(request())
        assert isinstance(got.outputs, AsyncIterator)
        assert log.records == []
        return [tensor.data[0] async for tensor in got.outputs]

    return asyncio.run(go())


def test_a_stream_is_recorded_whole_when_it_ends() -> None:
    log = Log()
    assert drain(log) == ["fly", "away"]
    assert log.records[0].outputs == {"text": ["fly", "away"]}


def test_a_stream_that_breaks_is_recorded_with_its_error() -> None:
    log = Log()
    with pytest.raises(ArithmeticError):
        drain(log, ArithmeticError("broke"))
    assert [r.error for r in log.records] == ["ArithmeticError: broke"]
