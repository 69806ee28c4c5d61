from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData, Overloaded
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.answers import answers, ask, tensor


def only_answer(values: Any, name: str = "probability") -> Handler:
    async def answer(request: Request) -> Response:
        return Response(request.id, {name: Tensor(name, "FP64", (len(values),), values)})

    return answer


def test_every_row_is_answered_in_order(handler: Handler, sample: Sample, signature: Signature) -> None:
    whole = answers(handler, sample, signature)
    single = answers(handler, sample.take(slice(0, 50)), signature, batch_rows=1)
    assert whole.shape == (sample.n,)
    np.testing.assert_allclose(whole[:50], single)


def test_answers_in_any_order_go_to_their_own_rows(
    handler: Handler, sample: Sample, signature: Signature, virtual: Callable[..., Any]
) -> None:
    chance = random.Random(0)

    async def slow(request: Request) -> Response:
        await asyncio.sleep(chance.random())
        return await handler(request)

    found = virtual(ask(slow, sample, signature, batch_rows=7, in_flight=50))
    np.testing.assert_allclose(found.values, answers(handler, sample, signature))


def test_answers_handed_to_the_wrong_caller_are_matched_by_their_id(
    handler: Handler, sample: Sample, signature: Signature, virtual: Callable[..., Any]
) -> None:
    held: list[tuple[Request, asyncio.Future[Response]]] = []

    async def swapping(request: Request) -> Response:
        mine = asyncio.get_running_loop().create_future()
        held.append((request, mine))
        if len(held) == 2:
            (first, one), (second, other) = held
            held.clear()
            one.set_result(await handler(second))
            other.set_result(await handler(first))
        return await mine

    found = virtual(ask(swapping, sample, signature, batch_rows=100, in_flight=2))
    assert not found.failed
    np.testing.assert_allclose(found.values, answers(handler, sample, signature))


def test_failed_rows_are_kept_with_their_reason(handler: Handler, sample: Sample, signature: Signature) -> None:
    async def flaky(request: Request) -> Response:
        if request.id.endswith("-100"):
            raise Overloaded("the queue is full")
        return await handler(request)

    found = asyncio.run(ask(flaky, sample, signature, batch_rows=100))
    assert set(found.failed) == set(range(100, 200))
    assert found.reasons == {"Overloaded: the queue is full": 100}
    assert np.isnan(found.values[100:200]).all()
    assert not np.isnan(found.values[200:]).any()
    assert found.error_rate.value == 0.05


@pytest.mark.parametrize(
    ("faulty", "because"),
    [
        (only_answer([0.1, 0.2]), "2 values came back for 5 rows"),
        (only_answer([0.1] * 5, "score"), "no output named 'probability' came back"),
        (only_answer([np.nan] * 5), "no answer, or NaN"),
    ],
)
def test_an_answer_of_the_wrong_shape_fails_its_rows(
    faulty: Handler, because: str, sample: Sample, signature: Signature
) -> None:
    found = asyncio.run(ask(faulty, sample.take(slice(0, 5)), signature))
    assert because in found.failed[0]
    with pytest.raises(BadData, match="none of 5 rows got an answer"):
        answers(faulty, sample.take(slice(0, 5)), signature)


def test_an_answer_to_a_question_never_asked_is_refused(handler: Handler, sample: Sample, signature: Signature) -> None:
    async def renaming(request: Request) -> Response:
        return msgspec.structs.replace(await handler(request), id="else")

    found = asyncio.run(ask(renaming, sample, signature))
    assert "'else', which was never asked" in found.failed[0]


WRITER = Signature({"heat": Field(nullable=True)}, {"text": Field("text")})


def streaming(*pieces: Tensor, breaks: bool = False) -> Handler:
    async def drip() -> Any:
        for piece in pieces:
            yield piece
        if breaks:
            raise ConnectionResetError("the server went away")

    async def answer(request: Request) -> Response:
        return Response(request.id, drip())

    return answer


def said(*texts: Any, name: str = "text") -> Tensor:
    return Tensor(name, "BYTES", (len(texts),), list(texts))


def test_a_stream_of_numbers_is_no_number(sample: Sample, signature: Signature) -> None:
    found = asyncio.run(ask(streaming(said("0.5 or so", name="probability")), sample.take(slice(0, 1)), signature))
    assert "no numbers" in found.failed[0]


def test_the_pieces_of_a_stream_are_one_text(sample: Sample) -> None:
    writer = streaming(said("So "), said("count", name="tokens"), said(b"it is "), said("42"))
    found = asyncio.run(ask(writer, sample.take(slice(0, 3)), WRITER, batch_rows=1))
    assert found.values.tolist() == ["So it is 42"] * 3
    assert not found.failed


def test_a_stream_that_breaks_off_is_no_answer(sample: Sample) -> None:
    found = asyncio.run(ask(streaming(said("So it"), breaks=True), sample.take(slice(0, 2)), WRITER, batch_rows=1))
    assert found.values.tolist() == [None, None]
    assert found.reasons == {"ConnectionResetError: the server went away": 2}


def test_an_empty_stream_is_an_empty_text_and_a_foreign_one_none(sample: Sample) -> None:
    one = sample.take(slice(0, 1))
    assert asyncio.run(ask(streaming(), one, WRITER)).values.tolist() == [""]
    assert "no output named 'text'" in asyncio.run(ask(streaming(said("x", name="other")), one, WRITER)).failed[0]


def test_texts_come_row_by_row_and_a_null_is_no_answer(sample: Sample) -> None:
    async def writer(request: Request) -> Response:
        rows = request.inputs["heat"].data
        return Response(request.id, {"text": said(*(None if k == 1 else f"{v:.0f}" for k, v in enumerate(rows)))})

    found = asyncio.run(ask(writer, sample.take(slice(0, 4)), WRITER, batch_rows=2))
    heat = np.float32(sample.columns["heat"])
    assert found.values.tolist() == [f"{heat[0]:.0f}", None, f"{heat[2]:.0f}", None]
    assert set(found.failed) == {1, 3}
    short = asyncio.run(ask(streaming(said("one text")), sample.take(slice(0, 4)), WRITER, batch_rows=2))
    assert "1 texts came back for 2 rows" in short.failed[0]


def test_each_row_has_a_probability_for_each_class(sample: Sample) -> None:
    async def three(request: Request) -> Response:
        table = np.stack([np.asarray(request.inputs["heat"].data, np.float64)] * 3, axis=1) * [1, 2, 3]
        return Response(request.id, {"p": Tensor("p", "FP64", table.shape, table)})

    signature = Signature({"heat": Field(nullable=True)}, {"p": Field(width=3)})
    found = asyncio.run(ask(three, sample, signature, batch_rows=64))
    np.testing.assert_allclose(found.values, np.outer(np.float32(sample.columns["heat"]), [1, 2, 3]), rtol=1e-6)
    wrong = asyncio.run(ask(only_answer([0.1, 0.2, 0.3, 0.4], "p"), sample.take(slice(0, 2)), signature))
    assert "4 values came back for 2 rows of 3 each" in wrong.failed[0]
    assert wrong.values.shape == (2, 3)


def test_parameters_go_along_with_every_request(handler: Handler, sample: Sample, signature: Signature) -> None:
    heard: list[Any] = []

    async def listening(request: Request) -> Response:
        heard.append(request.parameters)
        return await handler(request)

    asyncio.run(ask(listening, sample, signature, 1000, parameters={"max_tokens": 7}))
    assert heard == [{"max_tokens": 7}] * 2


def test_of_two_probabilities_the_positive_class_counts(sample: Sample, signature: Signature) -> None:
    async def both(request: Request) -> Response:
        pairs = [0.8, 0.2] * request.n
        return Response(request.id, {"probability": Tensor("probability", "FP64", (request.n, 2), pairs)})

    assert set(answers(both, sample, signature)) == {0.2}


def test_a_missing_column_is_named_with_the_nearest_one(handler: Handler, sample: Sample, signature: Signature) -> None:
    short = replace(sample, columns={"heats": sample.columns["heat"]})
    with pytest.raises(BadData, match="no column for the input 'heat'; did you mean 'heats'"):
        answers(handler, short, signature)


def test_no_rows_give_no_answers(handler: Handler, sample: Sample, signature: Signature) -> None:
    assert answers(handler, sample.take(slice(0, 0)), signature).shape == (0,)


def test_nulls_travel_as_the_wire_has_them() -> None:
    numbers, holes = np.array([1.0, np.nan]), np.array(["a", None], dtype=object)
    assert tensor("x", Field(), numbers).data.dtype == np.float32
    assert tensor("x", Field("integer"), numbers).data == [1, None]
    assert tensor("x", Field("boolean"), numbers).data == [True, None]
    assert tensor("x", Field("category"), holes).data == ["a", None]


def test_a_vector_goes_flat_with_its_width() -> None:
    sent = tensor("x", Field(width=3), np.arange(6.0).reshape(2, 3))
    assert (sent.shape, sent.data.tolist()) == ((2, 3), [0, 1, 2, 3, 4, 5])
