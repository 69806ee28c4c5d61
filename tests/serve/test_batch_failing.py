"""Models that raise, hang, exit, eat memory or answer nonsense: who is harmed, and what the batch does next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import Late, Overloaded, RoadworthyError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import Engine
from roadworthy.serve.batch import Batch, Place
from roadworthy.testing.virtual_clock import VirtualLoop, VirtualThread, run

SIGNATURE = Signature({"x": Field()}, {"y": Field()})
PLACES: list[Place] = ["loop", "thread"]
CHEAP = [(1, 1e-4), (64, 1e-3)]


class Scripted:
    """An engine that echoes, unless one of its rows says otherwise; it remembers the batches it was given."""

    def __init__(self, trouble: Callable[[np.ndarray], object] = lambda x: None) -> None:
        self.trouble = trouble
        self.batches: list[list[float]] = []

    def __call__(self, columns: Mapping[str, np.ndarray]) -> Any:
        x = columns["x"][:, 0]
        self.batches.append(x.tolist())
        found = self.trouble(x)
        return {"y": x} if found is None else found


def raising(error: BaseException, row: float = -1.0) -> Callable[[np.ndarray], None]:
    def trouble(x: np.ndarray) -> None:
        if row in x:
            raise error

    return trouble


def ask(x: float, deadline: float | None = None) -> Request:
    return Request(f"r{x:g}", {"x": Tensor("x", "FP32", (1, 1), [x])}, 0.0, deadline=deadline)


def told(answer: Response | BaseException) -> float | str:
    if isinstance(answer, Response):
        assert isinstance(answer.outputs, Mapping)
        return float(answer.outputs["y"].data[0])
    assert isinstance(answer, RoadworthyError), answer
    return str(answer)


def batch_of(engine: Engine, points: Sequence[tuple[int, float]] = CHEAP, **settings: Any) -> Batch:
    batch = Batch(engine, SIGNATURE, **settings)
    batch.line.start(points)
    return batch


def answers(batch: Batch, xs: Sequence[float]) -> list[float | str]:
    async def main() -> list[float | str]:
        got = await asyncio.gather(*[batch(ask(x)) for x in xs], return_exceptions=True)
        await batch.close()
        return [told(answer) for answer in got]

    return asyncio.run(main())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [ArithmeticError("bad wind"), MemoryError("no room"), SystemExit("bye")])
def test_one_row_that_the_model_cannot_bear_fails_alone(error: BaseException, place: Place) -> None:
    engine = Scripted(raising(error))
    got = answers(batch_of(engine, place=place), [1, -1, 2, 3])
    assert got == [1, f"the model failed on a batch of 1 rows: {type(error).__name__}: {error}", 2, 3]
    assert engine.batches == [[1, -1, 2, 3], [1], [-1], [2], [3]]


def test_a_model_that_takes_one_row_only_still_answers_many() -> None:
    engine = Scripted(lambda x: {"y": x[:1]})
    assert answers(batch_of(engine, place="loop"), [1, 2, 3]) == [1, 2, 3]


def test_an_expensive_batch_is_not_run_again() -> None:
    engine = Scripted(raising(ArithmeticError("bad wind")))
    got = answers(batch_of(engine, [(1, 1.0), (64, 2.0)], place="loop"), [1, -1])
    assert got == ["the model failed on a batch of 2 rows: ArithmeticError: bad wind"] * 2
    assert len(engine.batches) == 1


def test_a_model_that_always_fails_is_retried_within_the_budget_only() -> None:
    engine = Scripted(lambda x: 1 / 0)
    batch = batch_of(engine, place="loop", most_rows=10)
    got = answers(batch, list(range(200)))
    assert all("ZeroDivisionError" in str(answer) for answer in got)
    assert len(engine.batches) == 20 + 10
    assert batch.snapshot().retried == 10


def test_nobody_is_retried_who_went_away_or_is_too_late() -> None:
    engine = Scripted()
    now = [0.0]

    async def main() -> list[Any]:
        batch = batch_of(engine, place="loop", now=lambda: now[0])
        kept = [batch(ask(1)), batch(ask(2, deadline=5.0)), batch(ask(3))]

        def trouble(x: np.ndarray) -> None:
            if len(x) > 1:
                now[0] = 9.0
                kept[0].cancel()
                raise ArithmeticError("bad wind")

        engine.trouble = trouble
        return await asyncio.gather(*kept, return_exceptions=True)

    gone, late, answered = asyncio.run(main())
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(late, Late)
    assert "its deadline passed before a retry" in str(late)
    assert told(answered) == 3
    assert engine.batches == [[1, 2, 3], [3]]


class Hanging(Scripted):
    """Sleeps for ever on a row below zero, on the virtual clock."""

    def __init__(self, loop: VirtualLoop, seconds: float = 1e6) -> None:
        super().__init__(lambda x: loop.sleep(seconds if (x < 0).any() else 0.01))


def hanging(scenario: Callable[[VirtualLoop, Batch], Any], **settings: Any) -> Any:
    async def main(loop: VirtualLoop) -> Any:
        engine = settings.pop("engine", Hanging)(loop)
        renew = settings.pop("renew", None)
        batch = batch_of(
            engine, place="thread", now=loop.time, worker=lambda: VirtualThread(loop), hang_seconds=60.0,
            renew=renew and (lambda: renew(loop)), **settings,
        )  # fmt: skip
        return await scenario(loop, batch)

    return run(main)


def test_a_call_that_hangs_is_given_up_and_the_others_are_answered() -> None:
    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        hung = batch(ask(-1))
        await asyncio.sleep(1.0)
        behind = batch(ask(2))
        with pytest.raises(RoadworthyError, match=r"did not return from a batch of 1 rows for 60 s and was given up"):
            await hung
        assert loop.time() == 60.0
        assert told(await behind) == 2
        assert (batch.hung, batch.given_up, batch.snapshot().stuck) == (1, False, 1)
        await batch.close()

    hanging(scenario)


def test_a_new_engine_is_made_for_one_that_hangs() -> None:
    made: list[Scripted] = []

    def renew(loop: VirtualLoop) -> Scripted:
        loop.sleep(5.0)
        made.append(Scripted())
        return made[-1]

    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        first = batch(ask(-1))
        await asyncio.sleep(1.0)
        behind = batch(ask(2))
        assert told(await behind) == 2
        assert loop.time() >= 65.0
        assert first.exception() is not None
        assert batch.engine is made[0]
        assert made[0].batches == [[2]]

    hanging(scenario, renew=renew)


def test_where_no_new_engine_can_be_made_the_same_is_asked_again() -> None:
    def renew(loop: VirtualLoop) -> Scripted:
        raise OSError("the disk is gone")

    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        engine = batch.engine
        first, behind = batch(ask(-1)), None
        await asyncio.sleep(1.0)
        behind = batch(ask(2))
        assert told(await behind) == 2
        assert first.exception() is not None
        assert batch.engine is engine

    hanging(scenario, renew=renew)


def test_a_load_that_hangs_is_given_up_like_any_other_call() -> None:
    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        first = batch(ask(-1))
        await asyncio.sleep(1.0)
        behind = batch(ask(2))
        await asyncio.sleep(300.0)
        assert first.exception() is not None
        assert isinstance(behind.exception(), Overloaded)
        assert (batch.hung, batch.given_up) == (2, True)

    hanging(scenario, renew=lambda loop: loop.sleep(1e6), most_stuck=2)


def test_after_too_many_stuck_threads_nothing_more_is_taken_until_they_come_back() -> None:
    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        for _ in range(2):
            with pytest.raises(RoadworthyError):
                await batch(ask(-1))
        assert batch.given_up
        with pytest.raises(Overloaded, match="2 threads are stuck in it, and it takes no more requests until"):
            batch(ask(1))
        await asyncio.sleep(2000.0)
        assert not batch.given_up
        assert told(await batch(ask(1))) == 1
        await batch.close()
        with pytest.raises(Overloaded, match="shutting down"):
            batch(ask(1))

    hanging(scenario, engine=lambda loop: Hanging(loop, 1000.0), most_stuck=2)


def test_a_close_waits_no_longer_for_a_hung_model_than_the_watchdog() -> None:
    async def scenario(loop: VirtualLoop, batch: Batch) -> None:
        hung = batch(ask(-1))
        await asyncio.sleep(1.0)
        await batch.close()
        assert loop.time() == 60.0
        assert hung.exception() is not None

    hanging(scenario, renew=lambda loop: Scripted())


@pytest.mark.parametrize("place", PLACES)
def test_a_model_elsewhere_that_is_busy_says_so_to_whoever_asked(place):
    async def main() -> RoadworthyError:
        batch = Batch(Scripted(raising(Overloaded("the remote queue is full", 7.0))), SIGNATURE, place=place)
        with pytest.raises(RoadworthyError) as failed:
            await batch(Request("r", {"x": Tensor("x", "FP32", (1,), [-1.0])}, 0.0))
        await batch.close()
        return failed.value

    failed = asyncio.run(main())
    assert (failed.status, failed.retry_after) == (503, 7.0)
    assert "the remote queue is full" in str(failed)
