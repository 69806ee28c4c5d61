from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadData, Late
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.evaluate.crowd.matching import Fault, Matched, ask_matched

Run = Callable[..., Any]
SIGNATURE = Signature({"x": Field()}, {"y": Field()})
SAMPLE = Sample({"x": np.arange(6.0)})


def y(request: Request) -> dict[str, Tensor]:
    return {"y": Tensor("y", "FP64", (request.n,), 10 * np.asarray(request.inputs["x"].data, dtype=float))}


async def ten_times(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(request.id, y(request))


def ask(handler: Handler, in_flight: int = 3, groups: Any = None, patience: float = 60.0) -> Any:
    singles = [np.array([row]) for row in range(SAMPLE.n)]
    return ask_matched(handler, SAMPLE, SIGNATURE, groups or singles, in_flight, "t", patience)


def test_answers_stand_in_the_order_of_the_sample_whatever_order_they_are_asked_in(virtual: Run) -> None:
    found = virtual(ask(ten_times, groups=[np.array([4, 1]), np.array([5, 0]), np.array([2, 3])]))
    assert found.values.tolist() == [0, 10, 20, 30, 40, 50]
    assert found.requests == 3
    assert not found.failed
    assert not found.faults


def test_the_order_of_completion_moves_no_answer(virtual: Run) -> None:
    async def backwards(request: Request) -> Response:
        await asyncio.sleep(10 - float(request.inputs["x"].data[0]))
        return Response(request.id, y(request))

    found = virtual(ask(backwards, in_flight=6))
    assert found.values.tolist() == [0, 10, 20, 30, 40, 50]
    assert found.faults == ()
    assert found.peak == 6


def test_a_handler_that_never_gives_way_has_one_in_flight(virtual: Run) -> None:
    async def at_once(request: Request) -> Response:
        return Response(request.id, y(request))

    assert virtual(ask(at_once, in_flight=6)).peak == 1


def test_an_id_that_was_never_asked_is_named_and_its_row_fails(virtual: Run) -> None:
    async def own_ids(request: Request) -> Response:
        return Response("chatcmpl-1" if request.id == "t-2" else request.id, y(request))

    found: Matched = virtual(ask(own_ids))
    assert found.faults == (Fault("never asked", "t-2", "chatcmpl-1"),)
    assert "'chatcmpl-1', which was never asked" in str(found.faults[0])
    assert found.failed == {2: "its answer carries an id that was never asked"}
    assert np.isnan(found.values[2])


def test_two_callers_with_each_others_ids_are_named_and_the_id_decides(virtual: Run) -> None:
    other = {"t-0": "t-1", "t-1": "t-0"}

    async def swapping(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(other.get(request.id, request.id), y(request))

    found = virtual(ask(swapping))
    assert found.faults == (Fault("swapped", "t-0", "t-1"), Fault("swapped", "t-1", "t-0"))
    assert found.values[:2].tolist() == [10, 0]
    assert not found.failed


@pytest.mark.parametrize("early", [True, False])
def test_an_id_that_is_answered_twice_is_named_and_its_own_caller_is_believed(virtual: Run, early: bool) -> None:
    async def twice(request: Request) -> Response:
        if request.id == "t-3":
            await asyncio.sleep(0 if early else 5)
            return Response("t-1", y(request))
        await asyncio.sleep(1)
        return Response(request.id, y(request))

    found = virtual(ask(twice, in_flight=6))
    assert {fault.kind for fault in found.faults} == {"swapped", "answered twice"}
    assert "the id 't-1' was answered twice" in map(str, found.faults)
    assert found.values[1] == 10
    assert found.failed == {3: "no answer came under its id"}


def test_what_fails_is_kept_with_its_reason(virtual: Run) -> None:
    async def failing(request: Request) -> Response:
        number = int(request.id[-1])
        if number == 0:
            raise ConnectionError("reset")
        if number == 1:
            raise Late("after the deadline")
        if number == 2:
            await asyncio.sleep(1000)
        if number == 3:
            return Response(request.id, {})
        data = [float("nan")] if number == 4 else [1.0, 2.0]
        return Response(request.id, {"y": Tensor("y", "FP64", (1,), data)})

    found = virtual(ask(failing, patience=5.0))
    assert found.failed == {
        0: "ConnectionError: reset",
        1: "Late: after the deadline",
        2: "no answer within 5 s",
        3: "BadData: no output named 'y' came back (outputs: none)",
        4: "null, or NaN, came back for the row",
    }
    assert found.answered.tolist() == [False] * 5 + [True]
    assert found.values[5] == 2.0, "the last column is the positive class"


def test_what_a_cache_remembered_is_counted(virtual: Run) -> None:
    async def cached(request: Request) -> Response:
        told = "miss" if request.id == "t-0" else "hit, 3 s old"
        return Response(request.id, y(request), path=(Step("cache", told),))

    assert virtual(ask(cached)).remembered == 5


def test_what_the_cache_of_one_of_several_models_remembered_is_counted(virtual: Run) -> None:
    async def parted(request: Request) -> Response:
        hit = (Step("cache", "hit, 3 s old"), Step("small", "kept"))
        return Response(request.id, y(request), paths=[(Step("small", "kept"),), hit])

    assert virtual(ask(parted, groups=[np.array([0, 1]), np.array([2, 3])])).remembered == 2


def test_the_parameters_go_with_every_request_and_a_stream_is_put_together(virtual: Run) -> None:
    async def streaming(request: Request) -> Response:
        async def pieces() -> AsyncIterator[Tensor]:
            for piece in ("gr", "üß", request.parameters["end"]):
                yield Tensor("y", "BYTES", (1,), [piece])

        return Response(request.id, pieces())

    signature = Signature({"x": Field()}, {"y": Field("text")})
    asked = ask_matched(streaming, SAMPLE, signature, [np.array([0])], 1, "t", parameters={"end": " dich"})
    found = virtual(asked)
    assert found.values[0] == "grüß dich"
    assert found.values[1] is None


def test_several_classes_make_a_table_and_a_null_is_no_answer(virtual: Run) -> None:
    async def classes(request: Request) -> Response:
        first = None if request.id == "t-0" else 0.25
        return Response(request.id, {"y": Tensor("y", "FP64", (1, 2), [first, 0.75])})

    signature = Signature({"x": Field()}, {"y": Field(width=2)})
    singles = [np.array([row]) for row in range(SAMPLE.n)]
    found = virtual(ask_matched(classes, SAMPLE, signature, singles, 2, "t"))
    assert found.values[1:].tolist() == [[0.25, 0.75]] * 5
    assert found.failed == {0: "null, or NaN, came back for the row"}


def test_a_sample_without_an_input_is_refused(virtual: Run) -> None:
    with pytest.raises(BadData, match="no column for the input 'x'"):
        virtual(ask_matched(ten_times, Sample({"z": np.ones(1)}), SIGNATURE, [np.array([0])], 1, "t"))
