from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.crowd.equality import Equality, Likeness, agreement, beyond_noise, distances, equalities
from roadworthy.serve.wrappers.cache import Cache

Run = Callable[..., Any]
SIGNATURE = Signature({"x": Field()}, {"y": Field()})
SAMPLE = Sample({"x": np.linspace(-3, 3, 600)})


def answering(rule: Callable[[np.ndarray], np.ndarray]) -> Handler:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0)
        found = rule(np.asarray(request.inputs["x"].data, dtype=float))
        return Response(request.id, {"y": Tensor("y", "FP64", (request.n,), found)})

    return answer


def all_of(handler: Handler, **more: Any) -> Any:
    return equalities(handler, SAMPLE, SIGNATURE, np.random.default_rng(0), **more)


def decisions(found: tuple[Equality, ...]) -> list[str]:
    return [equality.verdict.decision for equality in found]


def test_a_plain_function_is_equal_in_every_way(virtual: Run) -> None:
    handler = answering(np.tanh)
    found = virtual(all_of(handler, cached=Cache()(handler)))
    assert decisions(found) == ["pass"] * 5
    assert all(equality.worst.value == 0 for equality in found)
    assert found[1].name == "alone against batches of 32"


def test_rounding_in_another_order_is_not_a_difference(virtual: Run) -> None:
    found = virtual(all_of(answering(lambda x: np.tanh(x) + 1e-7 * len(x))))
    assert decisions(found) == ["pass"] * 3
    assert found[1].worst.value == pytest.approx(31e-7, rel=0.3)
    assert found[1].differing.value == 0


def test_a_model_that_norms_over_its_batch_is_caught_alone_and_in_another_order(virtual: Run) -> None:
    found = virtual(all_of(answering(lambda x: x - x.mean())))
    assert decisions(found) == ["pass", "fail", "fail"]
    assert "alone against batches of 32: differing_beyond_noise" in found[1].verdict.because
    assert found[1].differing.value > 0.9
    assert found[1].examples[0].one == "0."
    assert len(found[1].examples) == 5


def test_chance_is_told_apart_from_the_batch(virtual: Run) -> None:
    rng = np.random.default_rng(1)
    found = virtual(all_of(answering(lambda x: np.where(rng.random(len(x)) < 0.1, -9.0, np.tanh(x)))))
    assert found[0].verdict.decision == "fail", "asked twice it answers differently"
    assert found[1].differing.value == pytest.approx(0.18, abs=0.05)
    assert abs(found[1].beyond_noise.value) < 0.05
    assert found[1].beyond_noise.conditions["noise"] == pytest.approx(0.18, abs=0.05)
    assert decisions(found[1:]) == ["wait", "wait"]


def test_a_cache_that_forgets_part_of_the_key_is_caught(virtual: Run) -> None:
    inner, shelf = answering(np.tanh), {}

    async def careless(request: Request) -> Response:
        key = round(float(request.inputs["x"].data[0]), 1)
        if key not in shelf:
            shelf[key] = (await inner(request)).outputs
        return Response(request.id, shelf[key])

    found = virtual(all_of(inner, cached=careless))
    assert [equality.name for equality in found[3:]] == ["cache filled against none", "cache hit against none"]
    assert decisions(found[3:]) == ["fail", "fail"]


def test_too_few_rows_wait(virtual: Run) -> None:
    few = SAMPLE.take(slice(0, 20))
    found = virtual(equalities(answering(np.tanh), few, SIGNATURE, np.random.default_rng(0)))
    assert decisions(found) == ["wait"] * 3


@pytest.mark.parametrize(("rows", "decision"), [(380, "wait"), (381, "pass")])
def test_381_equal_rows_are_enough_for_one_in_a_hundred(virtual: Run, rows: int, decision: str) -> None:
    handler = answering(np.tanh)
    found = virtual(agreement("same", handler, handler, SAMPLE.take(slice(0, rows)), SIGNATURE))
    assert found.verdict.decision == decision


def test_batches_that_fail_are_counted_apart_and_judged(virtual: Run) -> None:
    def one_by_one(x: np.ndarray) -> np.ndarray:
        if len(x) > 1:
            raise ValueError("only batch size 1")
        return x

    found = virtual(all_of(answering(one_by_one)))
    assert found[1].differing.n == 0
    assert found[1].error_rate.value == 1
    assert found[1].failures == {"ValueError: only batch size 1": 600}
    assert found[1].verdict.decision == "fail"


def test_a_stream_that_garbles_a_character_differs_from_the_whole_text(virtual: Run) -> None:
    texts = Sample({"x": np.array(["ab", "añb", "añ", "日本"] * 100, dtype=object)})
    signature = Signature({"x": Field("text")}, {"y": Field("text")})

    async def whole(request: Request) -> Response:
        return Response(request.id, {"y": Tensor("y", "BYTES", (1,), request.inputs["x"].data)})

    async def byte_by_byte(request: Request) -> Response:
        async def pieces() -> AsyncIterator[Tensor]:
            for byte in request.inputs["x"].data[0].encode():
                yield Tensor("y", "BYTES", (1,), [bytes([byte]).decode("utf-8", "replace")])

        return Response(request.id, pieces())

    found = virtual(agreement("streamed against whole", whole, byte_by_byte, texts, signature))
    assert found.differing.value == 0.75
    assert found.worst.n == 0, "text has no distance"
    assert (found.examples[0].one, found.examples[0].other) == ("añb", "a\ufffd\ufffdb")
    assert found.verdict.decision == "fail"


def test_swapped_ids_fail_even_where_the_answers_agree(virtual: Run) -> None:
    async def crossed(request: Request) -> Response:
        prefix, _, number = request.id.rpartition("-")
        carried = f"{prefix}-{int(number) ^ 1}"
        return Response(carried, {"y": Tensor("y", "FP64", (1,), [1.0])})

    found = virtual(agreement("crossed", answering(np.ones_like), crossed, SAMPLE, SIGNATURE))
    assert found.differing.value == 0
    assert found.verdict.decision == "fail"
    assert "and 599 more such answers" in found.verdict.because


def test_a_row_of_classes_differs_by_its_worst_one() -> None:
    one, other = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.2, 0.8], [0.5, 0.7]])
    assert distances(one, other) == pytest.approx([0, 0.2])


def test_large_numbers_are_compared_relatively_and_infinities_equal_themselves() -> None:
    one, other = np.array([1e6, np.inf, np.inf, -np.inf]), np.array([1e6 + 1, np.inf, -np.inf, 0.0])
    assert distances(one, other).tolist() == pytest.approx([1e-6, 0, np.inf, np.inf], rel=1e-5)


@given(n=st.integers(1, 60), bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=60, max_size=60))
def test_the_interval_beyond_noise_holds_the_difference(n: int, bits: list[tuple[bool, bool]]) -> None:
    moved, noise = np.array(bits[:n]).T
    found = beyond_noise(moved, noise)
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.value == pytest.approx(moved.mean() - noise.mean())


@pytest.mark.parametrize(
    ("cells", "low", "high"), [((36, 12, 2, 0), 0.0569, 0.3404), ((20, 12, 2, 16), 0.0562, 0.3292)]
)
def test_the_interval_beyond_noise_is_that_of_newcombe(cells: tuple[int, ...], low: float, high: float) -> None:
    """Method 10 on two of the examples of the paper: rows that moved and were noise, moved, were noise, neither."""
    moved = np.repeat([True, True, False, False], cells)
    noise = np.repeat([True, False, True, False], cells)
    found = beyond_noise(moved, noise)
    assert (found.low, found.value, found.high) == pytest.approx((low, 0.2, high), abs=0.00005)


def test_an_equality_goes_to_json_and_back(virtual: Run) -> None:
    found = virtual(all_of(answering(lambda x: x - x.mean())))[1]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Equality) == found


@pytest.mark.parametrize("settings", [{"tolerance": -1.0}, {"most_differing": 0.0}, {"most_differing": 1.5}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="`tolerance` must be 0 or more and `most_differing` above 0"):
        Likeness(**settings)
