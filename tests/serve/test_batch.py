from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData, BadRequest, Late, Overloaded, RoadworthyError, TooMany
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Priority, Request, Response, Tensor
from roadworthy.serve.batch import Batch, Place
from roadworthy.serve.batch_counts import Snapshot
from roadworthy.testing.wrappers import drive

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})
PLACES: list[Place] = ["auto", "loop", "thread"]


class Double:
    """An engine that answers x / 100 and remembers how many rows each batch had, and on which thread it ran."""

    def __init__(self, answer: Callable[[np.ndarray], Any] = lambda x: {"probability": x / 100}) -> None:
        self.answer = answer
        self.batches: list[int] = []
        self.threads: list[str] = []

    def __call__(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        self.batches.append(len(columns["x"]))
        self.threads.append(threading.current_thread().name)
        return self.answer(columns["x"][:, 0])


def ask(
    x: float | Sequence[float], deadline: float | None = None, identity: str = "r", priority: Priority = 2
) -> Request:
    rows = [x] if isinstance(x, int | float | str) else list(x)
    tensor = Tensor("x", "FP32", (len(rows), 1), rows)
    return Request(identity, {"x": tensor}, 0.0, deadline=deadline, priority=priority)


async def answers(batch: Batch, requests: Sequence[Request]) -> list[Response | BaseException]:
    got = await asyncio.gather(*[batch(request) for request in requests], return_exceptions=True)
    await batch.close()
    return got


def data(response: Response | BaseException) -> list[float]:
    assert isinstance(response, Response), response
    assert isinstance(response.outputs, Mapping)
    return [round(p, 6) for p in response.outputs["probability"].data]


@pytest.mark.parametrize("place", PLACES)
def test_requests_of_one_turn_are_one_batch_and_each_gets_its_own_rows(place: Place) -> None:
    engine = Double()
    requests = [ask(10, identity="a"), ask([20, 30], identity="b"), ask([], identity="c"), ask(40, identity="d")]
    got = asyncio.run(answers(Batch(engine, SIGNATURE, "digest", place=place), requests))
    assert [data(r) for r in got] == [[0.1], [0.2, 0.3], [], [0.4]]
    assert [r.id for r in got if isinstance(r, Response)] == ["a", "b", "c", "d"]
    assert engine.batches == [4]


def test_what_comes_while_the_model_runs_is_the_next_batch() -> None:
    engine, free, started = Double(), threading.Event(), threading.Event()

    def slow(x: np.ndarray) -> Any:
        started.set()
        assert free.wait(10)
        return {"probability": x / 100}

    engine.answer = slow

    async def run() -> list[Any]:
        batch = Batch(engine, SIGNATURE, place="thread")
        first = batch(ask(1))
        assert await asyncio.to_thread(started.wait, 10)
        later = [batch(ask(k)) for k in range(2, 7)]
        free.set()
        return await asyncio.gather(first, *later)

    assert [data(r) for r in asyncio.run(run())] == [[k / 100] for k in range(1, 7)]
    assert engine.batches == [1, 5]


def test_the_engine_gets_its_columns_in_the_order_of_the_signature() -> None:
    names = {"a": Field(), "b": Field("integer"), "c": Field(), "d": Field("text"), "e": Field("integer")}
    seen: list[list[str]] = []

    def engine(columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        seen.append(list(columns))
        return {"probability": columns["a"][:, 0] + columns["e"][:, 0]}

    inputs = {name: Tensor(name, field.datatype, (1,), [1]) for name, field in reversed(names.items())}
    batch = Batch(engine, Signature(names, SIGNATURE.outputs), place="loop")
    (got,) = asyncio.run(answers(batch, [Request("r", inputs, 0.0)]))
    assert data(got) == [2.0]
    assert seen == [["a", "b", "c", "d", "e"]]


def test_a_batch_has_at_most_most_rows_and_a_larger_request_runs_alone() -> None:
    engine = Double()
    requests = [ask([1, 2]), ask([3, 4]), ask(5), ask([6] * 9), ask(7)]
    got = asyncio.run(answers(Batch(engine, SIGNATURE, most_rows=4, place="loop"), requests))
    assert engine.batches == [4, 1, 9, 1]
    assert data(got[-1]) == [0.07]


def test_an_answer_carries_release_confidence_and_timings() -> None:
    (got,) = asyncio.run(answers(Batch(Double(), SIGNATURE, "digest", place="loop"), [ask([10, 90])]))
    assert isinstance(got, Response)
    assert got.release == "digest"
    assert got.confidence == pytest.approx([0.9, 0.9])
    assert set(got.seconds) == {"queue", "model"}
    assert all(s >= 0 for s in got.seconds.values())


def test_outputs_that_are_no_binary_probability_have_no_confidence() -> None:
    engine = Double(lambda x: {"probability": np.ones((len(x), 3))})
    (got,) = asyncio.run(answers(Batch(engine, SIGNATURE, place="loop"), [ask(1)]))
    assert isinstance(got, Response)
    assert got.confidence is None


def test_a_wrong_number_of_rows_is_an_error_with_both_numbers() -> None:
    (got,) = asyncio.run(answers(Batch(Double(lambda x: {"p": x[1:]}), SIGNATURE, place="loop"), [ask([1, 2, 3])]))
    assert "given 3 rows and answered 2 rows" in str(got)


@pytest.mark.parametrize("nonsense", [None, {"probability": np.array(["a"], object)}, {"probability": [[1], [2, 3]]}])
def test_an_engine_that_answers_nonsense_fails_the_request_and_not_the_server(nonsense: Any) -> None:
    (got,) = asyncio.run(answers(Batch(Double(lambda x: nonsense), SIGNATURE, place="loop"), [ask(1)]))
    assert isinstance(got, RoadworthyError)


def test_a_malformed_request_fails_alone() -> None:
    odd = Request("odd", {"y": Tensor("y", "FP32", (1,), [1.0])}, 0.0)
    got = asyncio.run(answers(Batch(Double(), SIGNATURE, place="loop"), [ask(1), odd, ask("text"), ask(2)]))
    assert [data(got[0]), data(got[3])] == [[0.01], [0.02]]
    assert isinstance(got[1], BadRequest)
    assert "no input named 'x'" in str(got[1])
    assert isinstance(got[2], BadRequest)


def test_a_full_queue_turns_away_with_the_time_to_wait() -> None:
    async def run() -> None:
        batch = Batch(Double(), SIGNATURE, queue=3, place="loop")
        kept = [batch(ask([1, 2])), batch(ask(3))]
        with pytest.raises(Overloaded, match="3 rows wait for the model and at most 3 may") as full:
            batch(ask(4))
        assert full.value.retry_after == 1.0
        await asyncio.gather(*kept)
        assert batch.rows_waiting == 0
        batch.warm_up()
        kept = [batch(ask([1, 2, 3]))]
        with pytest.raises(Overloaded) as measured:
            batch(ask(4))
        assert 0 < measured.value.retry_after < 1.0
        await asyncio.gather(*kept)
        assert data(await batch(ask(4))) == [0.04]

    asyncio.run(run())


def test_a_request_above_the_whole_queue_is_served_when_nothing_waits() -> None:
    (got,) = asyncio.run(answers(Batch(Double(), SIGNATURE, queue=2, place="loop"), [ask([1] * 5)]))
    assert len(data(got)) == 5


def test_a_request_past_its_deadline_is_not_run() -> None:
    engine, now = Double(), [0.0]
    batch = Batch(engine, SIGNATURE, place="loop", now=lambda: now[0])

    async def run() -> list[Any]:
        waiting = [batch(ask(1, deadline=5.0, identity="late")), batch(ask(2, deadline=15.0))]
        now[0] = 10.0
        return await asyncio.gather(*waiting, return_exceptions=True)

    late, in_time = asyncio.run(run())
    assert isinstance(late, TimeoutError)
    assert str(late) == "request 'late' waited 10.000 s for the model, past its deadline"
    assert data(in_time) == [0.02]
    assert engine.batches == [1]


def test_a_request_that_could_not_be_answered_in_time_is_refused_at_once_and_nothing_is_computed() -> None:
    engine = Double()

    async def run() -> None:
        batch = Batch(engine, SIGNATURE, most_rows=4, place="loop", now=lambda: 0.0)
        batch.line.start([(1, 0.5), (4, 0.8)])
        waiting = [batch(ask(k)) for k in range(8)]
        with pytest.raises(Late, match=r"would be answered in .* and allows 1.000 s; nothing was computed") as late:
            batch(ask(9, deadline=1.0))
        assert late.value.status == 504
        assert late.value.retry_after is not None
        waiting.append(batch(ask(10, deadline=30.0)))
        await asyncio.gather(*waiting)

    asyncio.run(run())
    assert sum(engine.batches) == 9


def test_the_last_priority_is_turned_away_first_and_the_first_goes_first() -> None:
    order: list[float] = []
    engine = Double(lambda x: (order.extend(x), {"probability": x})[1])

    async def run() -> None:
        batch = Batch(engine, SIGNATURE, most_rows=1, queue=10, place="loop")
        kept = [batch(ask(k, priority=priority)) for k, priority in enumerate((3, 2, 1, 2, 1))]
        with pytest.raises(TooMany, match="leaves no room for priority 3") as refused:
            batch(ask(9, priority=3))
        assert (refused.value.status, refused.value.retry_after) == (429, 1.0)
        await asyncio.gather(*kept)

    asyncio.run(run())
    assert order == [2, 4, 1, 3, 0]


def test_batches_are_cut_to_preferred_sizes_where_more_waits() -> None:
    engine = Double()
    batch = Batch(engine, SIGNATURE, most_rows=16, place="loop", preferred_rows=(4, 8, 99))
    asyncio.run(answers(batch, [ask(k) for k in range(15)]))
    assert engine.batches == [8, 4, 3]


def test_texts_of_one_length_share_a_batch() -> None:
    seen: list[list[int]] = []

    def engine(columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        seen.append([len(text) for text in columns["t"][:, 0]])
        return {"probability": np.zeros(len(columns["t"]))}

    batch = Batch(engine, Signature({"t": Field("text")}, SIGNATURE.outputs), most_rows=2, place="loop", alike="t")
    texts = [Tensor("t", "BYTES", (1,), ["x" * n]) for n in (3, 90, 4, 80)]
    asyncio.run(answers(batch, [Request("r", {"t": text}, 0.0) for text in texts]))
    assert seen == [[3, 4], [90, 80]]


def test_a_cancelled_request_is_not_run() -> None:
    engine = Double()

    async def run() -> None:
        batch = Batch(engine, SIGNATURE, place="loop")
        gone, stays = batch(ask(1)), batch(ask(2))
        gone.cancel()
        assert data(await stays) == [0.02]

    asyncio.run(run())
    assert engine.batches == [1]


def test_close_waits_for_the_running_batch_and_fails_the_queue() -> None:
    free, started = threading.Event(), threading.Event()

    def slow(x: np.ndarray) -> Any:
        started.set()
        assert free.wait(10)
        return {"probability": x / 100}

    async def run() -> None:
        batch = Batch(Double(slow), SIGNATURE, place="thread")
        running = batch(ask(1))
        assert await asyncio.to_thread(started.wait, 10)
        queued = batch(ask(2))
        closing = [asyncio.ensure_future(batch.close()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not running.done()
        assert isinstance(queued.exception(), Overloaded)
        free.set()
        await asyncio.gather(*closing)
        assert data(running.result()) == [0.01]
        with pytest.raises(Overloaded, match="shutting down"):
            batch(ask(3))

    asyncio.run(run())


def test_one_batch_serves_one_loop_after_another() -> None:
    batch = Batch(Double(), SIGNATURE, place="thread")

    async def left_behind() -> None:
        batch(ask(1))

    async def once(x: float) -> list[float]:
        return data(await batch(ask(x)))

    asyncio.run(left_behind())
    assert [asyncio.run(once(x)) for x in (2, 3)] == [[0.02], [0.03]]


def test_before_a_warm_up_the_model_runs_on_the_thread_and_after_it_where_it_costs_least() -> None:
    async def run(batch: Batch) -> None:
        await batch(ask(1))
        batch.warm_up()
        await batch(ask(1))
        await batch.close()

    quick, slow = Double(), Double(lambda x: (threading.Event().wait(0.002), {"probability": x})[1])
    for engine in (quick, slow):
        asyncio.run(run(Batch(engine, SIGNATURE)))
    assert quick.threads[0].startswith("roadworthy-model")
    assert quick.threads[-1] == "MainThread"
    assert slow.threads[-1].startswith("roadworthy-model")


def test_a_model_that_becomes_slow_leaves_the_loop() -> None:
    engine = Double()

    async def run() -> None:
        batch = Batch(engine, SIGNATURE)
        batch.warm_up()
        await batch(ask(1))
        for _ in range(100):
            batch.line.learn(1, 0.02)
        await batch(ask(1))
        await batch.close()

    asyncio.run(run())
    assert engine.threads[-2] == "MainThread"
    assert engine.threads[-1].startswith("roadworthy-model")


def test_fronts_run_the_model_on_the_thread() -> None:
    engine = Double()
    asyncio.run(answers(Batch(engine, SIGNATURE, place="fronts"), [ask(1)]))
    assert engine.threads[-1].startswith("roadworthy-model")


def test_a_snapshot_tells_what_went_on() -> None:
    async def run() -> Snapshot:
        batch = Batch(Double(), SIGNATURE, most_rows=4, queue=10, place="loop", now=lambda: 1.0)
        kept = [batch(ask([k] * 2, priority=1)) for k in range(3)]
        kept += [batch(ask(1, deadline=1.0)), batch(ask(1)), batch(ask(1))]
        kept[0].cancel()
        for priority in (2, 3):
            with pytest.raises(Overloaded):
                batch(ask(1, priority=priority))
        with pytest.raises(Late):
            batch(ask(1, deadline=0.5, priority=1))
        assert batch.snapshot().waiting == {1: 6, 2: 3, 3: 0}
        await asyncio.gather(*kept, return_exceptions=True)
        return batch.snapshot()

    seen = asyncio.run(run())
    assert (seen.batches, seen.rows, seen.sizes) == (2, 7, {4: 2})
    assert seen.shed == {"full": 2, "share": 0, "late": 1}
    assert (seen.gone, seen.late, seen.failed, seen.hung, seen.limit) == (1, 0, 0, 0, 10)
    assert [m.name for m in seen.line] == ["batch_seconds", "row_seconds"]
    assert msgspec.json.decode(msgspec.json.encode(seen))["waiting"] == {"1": 0, "2": 0, "3": 0}


def test_a_model_without_the_promised_output_is_refused_at_warm_up() -> None:
    with pytest.raises(BadData, match="no output 'probability'; did you mean 'probabilities'"):
        Batch(Double(lambda x: {"probabilities": x}), SIGNATURE).warm_up()


def test_it_needs_no_task_around_it() -> None:
    async def run() -> Response:
        return await drive(Batch(Double(), SIGNATURE), ask(5))

    assert data(asyncio.run(run())) == [0.05]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"most_rows": 0}, "`most_rows` and `queue` must be at least 1, got 0"),
        ({"preferred_rows": (8, 0)}, r"`preferred_rows` must be at least 1, got \(8, 0\)"),
        ({"alike": "y"}, r"`alike` must name a text input, got 'y' \(there is: none\)"),
        ({"hang_seconds": 0}, "`hang_seconds` must be above 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Batch(Double(), SIGNATURE, **settings)
