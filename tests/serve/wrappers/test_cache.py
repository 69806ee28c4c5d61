"""A cache answers what was asked before, computes what is under way once, and keeps only what may be kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from roadworthy.core.errors import BadData, Overloaded
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.serve.batch import Batch
from roadworthy.serve.shelf import ENTRY_BYTES
from roadworthy.serve.wrappers.cache import Cache, Caching
from roadworthy.testing.wrappers import drive

SIGNATURE = Signature({"x": Field(nullable=True), "word": Field("category", nullable=True)}, {"double": Field()})


class Model:
    """Doubles x, and remembers what it was asked; `wrong` is raised instead, and `gate` waited for first."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.wrong: BaseException | None = None
        self.gate: asyncio.Event | None = None
        self.more: dict[str, Any] = {}

    async def __call__(self, request: Request) -> Response:
        rows = list(request.inputs["x"].data)
        self.asked.append(rows)
        if self.gate is not None:
            await self.gate.wait()
        if self.wrong is not None:
            raise self.wrong
        doubles = [2.0 * x for x in rows]
        outputs: Any = {"double": Tensor("double", "FP64", (len(rows), 1), doubles)}
        answer = Response(request.id, outputs, "release", confidence=[x / 10 for x in rows], seconds={"model": 0.5})
        answer = replace(answer, path=(Step("model", "asked"),), prediction_set=[[str(x)] for x in rows])
        return replace(answer, **self.more)


class Clock:
    """A time that a test moves."""

    at = 50.0

    def __call__(self) -> float:
        return self.at


def request(*rows: float | int, id: str = "r", **others: Any) -> Request:
    return Request(id, {"x": Tensor("x", "FP32", (len(rows), 1), list(rows))}, 0.0, **others)


def caching(model: Any, clock: Clock | None = None, **settings: Any) -> Caching:
    return Caching(model, Cache(**settings), clock or Clock())


def run(test: Callable[[], Any]) -> Any:
    return asyncio.run(test())


def ask(handler: Caching, *requests: Request) -> list[Response]:
    """One after the other, as the server drives them."""

    async def all_() -> list[Response]:
        return [await drive(handler, one) for one in requests]

    answers: list[Response] = asyncio.run(all_())
    return answers


def data(answer: Response) -> list[Any]:
    assert isinstance(answer.outputs, dict)
    return list(answer.outputs["double"].data)


def test_the_same_input_again_is_answered_from_memory() -> None:
    model, clock = Model(), Clock()
    cache = caching(model, clock)
    (first,) = ask(cache, request(3.0, id="a"))
    clock.at += 7
    (again,) = ask(cache, request(3, id="b", key="other", tags={"ward": "north"}))
    assert model.asked == [[3.0]]
    assert first.path == (Step("cache", "miss"), Step("model", "asked"))
    assert (again.id, again.release, again.outputs) == ("b", "release", first.outputs)
    assert (again.confidence, again.prediction_set) == (first.confidence, first.prediction_set)
    assert again.path == (Step("cache", "hit, 7 s old"), Step("model", "asked"))
    assert again.parameters == {"cached": True, "cache_age_seconds": 7.0}
    assert (first.seconds, again.seconds) == ({"model": 0.5}, {})


def test_an_answer_that_is_handed_out_cannot_spoil_the_next_one() -> None:
    cache = caching(Model())
    for _ in range(2):
        (answer,) = ask(cache, request(3.0))
        assert data(answer) == [6.0]
        assert isinstance(answer.outputs, dict)
        answer.outputs["double"].data[0] = -1.0


def test_it_is_kept_for_its_time_and_stale_for_a_while() -> None:
    model, clock = Model(), Clock()
    cache = caching(model, clock, ttl_seconds=10, stale_seconds=5)
    ask(cache, request(3.0))
    clock.at += 11
    old = cache.stale(request(3.0, id="late"))
    assert old is not None
    assert (old.id, data(old), old.path[0]) == ("late", [6.0], Step("cache", "kept for 11 s"))
    ask(cache, request(3.0))
    assert len(model.asked) == 2
    clock.at += 15.1
    assert cache.stale(request(3.0)) is None


def test_a_time_of_0_is_for_ever() -> None:
    model, clock = Model(), Clock()
    cache = caching(model, clock, ttl_seconds=0)
    ask(cache, request(3.0))
    clock.at += 1e9
    ask(cache, request(3.0))
    assert len(model.asked) == 1


def test_of_ten_rows_only_the_unknown_are_computed() -> None:
    model = Model()
    cache = caching(model)
    ask(cache, request(*range(7)))
    (answer,) = ask(cache, request(7, 1, 2, 8, 3, 4, 5, 6, 0, 9, id="ten"))
    assert model.asked[1] == [7, 8, 9]
    assert data(answer) == [14.0, 2.0, 4.0, 16.0, 6.0, 8.0, 10.0, 12.0, 0.0, 18.0]
    assert answer.confidence == pytest.approx([0.7, 0.1, 0.2, 0.8, 0.3, 0.4, 0.5, 0.6, 0.0, 0.9])
    assert answer.prediction_set is not None
    assert [found[0] for found in answer.prediction_set] == ["7", "1", "2", "8", "3", "4", "5", "6", "0", "9"]
    assert (answer.id, answer.path[0]) == ("ten", Step("cache", "7 of 10 rows known"))
    assert isinstance(answer.outputs, dict)
    assert answer.outputs["double"].shape == (10, 1)
    tally = cache.tally
    assert (tally.hits, tally.misses, tally.entries) == (7, 10, 10)


def test_rows_that_are_all_known_are_answered_without_the_model() -> None:
    model = Model()
    cache = caching(model)
    ask(cache, request(1.0), request(2.0))
    (answer,) = ask(cache, request(2.0, 1.0))
    assert (len(model.asked), data(answer)) == (2, [4.0, 2.0])
    assert answer.path[0] == Step("cache", "hit, all 2 rows known, the oldest for 0 s")
    assert answer.parameters["cached"] is True


def test_a_row_that_stands_in_a_request_twice_is_computed_once() -> None:
    model = Model()
    (answer,) = ask(caching(model), request(5.0, 6.0, 5.0))
    assert (model.asked, data(answer)) == ([[5.0, 6.0]], [10.0, 12.0, 10.0])


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=6), max_size=12), st.integers(1, 4))
def test_whatever_is_asked_in_whatever_portions_the_answer_is_the_models(requests: list[list[int]], room: int) -> None:
    model = Model()
    entry = 10 * (ENTRY_BYTES + 200)  # a tenth is the least that the shelf gives to new ones
    cache = caching(model, megabytes=room * entry / 2**20, most_rows=5)
    for rows, answer in zip(requests, ask(cache, *(request(*rows) for rows in requests)), strict=True):
        assert data(answer) == [2.0 * x for x in rows]
        assert answer.confidence == pytest.approx([x / 10 for x in rows])
        assert answer.path[-1] == Step("model", "asked")


def test_arrays_stay_arrays_and_text_stays_text() -> None:
    model = Model()
    cache = caching(model)
    array, words = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32), ["yes", None]
    outputs = {"p": Tensor("p", "FP32", (2, 2), array), "w": Tensor("w", "BYTES", (2,), words)}
    model.more = {"outputs": outputs, "confidence": np.array([0.5, 0.25], np.float32)}
    ask(cache, request(1.0, 2.0))
    (answer,) = ask(cache, request(2.0, 1.0))
    assert isinstance(answer.outputs, dict)
    found = answer.outputs["p"].data
    assert (found.dtype, found.tolist()) == (np.float32, [*array[1].tolist(), *array[0].tolist()])
    assert answer.outputs["w"].data == [None, "yes"]
    assert list(answer.confidence or ()) == [0.25, 0.5]


async def together(handler: Caching, *requests: Request) -> list[asyncio.Future[Response]]:
    answers = [drive(handler, one) for one in requests]
    await asyncio.sleep(0.001)
    return answers


def test_identical_requests_under_way_make_one_computation() -> None:
    model = Model()
    cache = caching(model)

    async def test() -> list[Response]:
        model.gate = asyncio.Event()
        answers = await together(cache, *(request(3.0, id=f"r{k}") for k in range(5)))
        model.gate.set()
        return await asyncio.gather(*answers)

    answers = run(test)
    assert model.asked == [[3.0]]
    assert [answer.id for answer in answers] == [f"r{k}" for k in range(5)]
    assert [answer.path[0].because for answer in answers] == ["miss"] + ["waited for an identical request"] * 4
    assert [data(answer) for answer in answers] == [[6.0]] * 5
    assert [answer.seconds for answer in answers] == [{"model": 0.5}] * 5
    assert len({id(answer.outputs["double"].data) for answer in answers}) == 5
    assert (cache.tally.misses, cache.tally.shared) == (1, 4)


def test_requests_that_lack_the_same_rows_share_their_computation() -> None:
    model = Model()
    cache = caching(model)

    async def test() -> list[Response]:
        await cache(request(1.0))
        await cache(request(2.0))
        model.gate = asyncio.Event()
        answers = await together(cache, request(1.0, 8.0, 9.0), request(8.0, 2.0, 9.0), request(8.0, 9.0))
        model.gate.set()
        return await asyncio.gather(*answers)

    answers = run(test)
    assert model.asked == [[1.0], [2.0], [8.0, 9.0]]
    assert [data(answer) for answer in answers] == [[2.0, 16.0, 18.0], [16.0, 4.0, 18.0], [16.0, 18.0]]


@pytest.mark.parametrize("wrong", [asyncio.CancelledError(), BadData("broken"), TimeoutError("late")])
def test_when_the_first_one_fails_another_takes_over_and_the_rest_get_its_answer(wrong: BaseException) -> None:
    model = Model()
    cache = caching(model)

    async def test() -> list[Any]:
        gate = model.gate = asyncio.Event()
        model.wrong = wrong
        tasks = [asyncio.ensure_future(cache(request(3.0, id=f"r{k}"))) for k in range(4)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.sleep(0)  # the first one meets its end; whoever asks from here on is answered
        model.wrong = None
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run(test)
    assert isinstance(first, type(wrong))
    assert [answer.id for answer in others] == ["r1", "r2", "r3"]
    assert model.asked == [[3.0], [3.0]]


def test_a_caller_who_goes_away_takes_nobody_along() -> None:
    model = Model()
    cache = caching(model)

    async def test() -> list[Response]:
        model.gate = asyncio.Event()
        tasks = [asyncio.ensure_future(cache(request(3.0, id=f"r{k}"))) for k in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        model.gate.set()
        return await asyncio.gather(*tasks[1:])

    assert [answer.id for answer in run(test)] == ["r1", "r2"]
    assert model.asked == [[3.0], [3.0]]


def test_a_coroutine_that_is_closed_hands_over() -> None:
    model = Model()
    cache = caching(model)

    async def test() -> Response:
        model.gate = asyncio.Event()
        abandoned = cache(request(3.0))
        abandoned.send(None)
        other = asyncio.ensure_future(cache(request(3.0, id="other")))
        await asyncio.sleep(0)
        abandoned.close()
        model.gate.set()
        return await other

    assert run(test).id == "other"


def test_a_model_that_fails_fails_everybody_and_is_asked_by_everybody() -> None:
    model = Model()
    cache = caching(model)

    async def test() -> list[Any]:
        model.wrong, model.gate = BadData("broken"), asyncio.Event()
        answers = await together(cache, *(request(3.0, id=f"r{k}") for k in range(5)))
        model.gate.set()
        return await asyncio.gather(*answers, return_exceptions=True)

    assert [str(wrong) for wrong in run(test)] == ["broken"] * 5
    assert len(model.asked) == 5
    assert (cache.tally.entries, len(cache._flights)) == (0, 0)


OTHER_ROWS = {"outputs": {"double": Tensor("double", "FP64", (2, 1), [1.0, 2.0])}}


@pytest.mark.parametrize(
    "more", [{"parameters": {"no-store": True}}, {"arm": "fallback"}, OTHER_ROWS, {"parameters": {"seed": 2**200}}]
)
def test_what_may_not_be_kept_is_neither_kept_nor_shared(more: dict[str, Any]) -> None:
    model = Model()
    model.more = more
    cache = caching(model)

    async def test() -> list[Response]:
        model.gate = asyncio.Event()
        answers = await together(cache, request(3.0, id="a"), request(3.0, id="b"))
        model.gate.set()
        return await asyncio.gather(*answers)

    assert [answer.id for answer in run(test)] == ["a", "b"]
    assert (len(model.asked), cache.tally.entries) == (2, 0)


def test_a_stream_is_passed_on() -> None:
    async def pieces() -> AsyncIterator[Tensor]:
        yield Tensor("double", "FP64", (1,), [1.0])

    model = Model()
    cache = caching(model)

    async def test() -> list[Any]:
        answers = []
        for _ in range(2):
            model.more = {"outputs": pieces()}
            answers.append([piece.data async for piece in (await cache(request(3.0))).outputs])  # type: ignore[union-attr]
        return answers

    assert run(test) == [[[1.0]], [[1.0]]]
    assert (len(model.asked), cache.tally.entries) == (2, 0)


def test_errors_are_not_kept() -> None:
    model = Model()
    cache = caching(model)
    model.wrong = Overloaded("full")
    with pytest.raises(Overloaded, match="full"):
        ask(cache, request(3.0))
    model.wrong = None
    assert data(*ask(cache, request(3.0))) == [6.0]


@pytest.mark.parametrize("others", [{"shadow": True}, {"parameters": {"no-store": True}}])
def test_what_passes_by_neither_reads_nor_writes(others: dict[str, Any]) -> None:
    model = Model()
    cache = caching(model)
    ask(cache, request(3.0, **others), request(3.0), request(3.0, **others), request(3.0))
    assert (len(model.asked), cache.tally.hits) == (3, 1)


def test_mirrored_requests_use_it_when_told_to_and_large_ones_never() -> None:
    model = Model()
    cache = caching(model, shadows=True, most_rows=2)
    ask(cache, request(3.0, shadow=True), request(3.0, shadow=True), request(1, 2, 3), request(1, 2, 3))
    assert model.asked == [[3.0], [1, 2, 3], [1, 2, 3]]


def test_two_releases_know_nothing_of_each_other() -> None:
    settings, models = Cache(), (Model(), Model())
    for model in models:
        asyncio.run(settings(model)(request(3.0)))
    assert [len(model.asked) for model in models] == [1, 1]


def test_what_it_is_worth_is_measured() -> None:
    cache = caching(Model())
    assert {m.n for m in cache.measurements(3.6)} == {0}
    ask(cache, *[request(3.0)] * 4)
    found = {m.name: m for m in cache.measurements(3.6)}
    assert (found["cache_hit_share"].value, found["cache_hit_share"].n) == (0.75, 4)
    assert found["cache_saved_ms"].value == pytest.approx(1500.0)
    assert found["cache_saved_usd"].value == pytest.approx(1.5e-3)
    assert found["cache_bytes"].value > ENTRY_BYTES


def test_it_stands_before_a_real_batch_with_text_and_nulls() -> None:
    calls = []

    def engine(columns: Any) -> Any:
        calls.append(len(columns["x"]))
        return {"double": np.nan_to_num(columns["x"][:, 0]) * 2 + (columns["word"][:, 0] == "a")}

    def mixed(x: Any, word: Any) -> Request:
        return Request("r", {"word": Tensor("word", "BYTES", (1,), [word]), "x": Tensor("x", "FP32", (1,), [x])}, 0.0)

    async def test() -> list[Any]:
        cache = caching(Batch(engine, SIGNATURE, place="loop"))
        asked = [(1.0, "a"), (None, "a"), (1, "b"), (1, "a"), (float("nan"), "a"), (1.0, None)]
        return [data(await cache(mixed(x, word)))[0] for x, word in asked]

    assert run(test) == [3.0, 1.0, 2.0, 3.0, 1.0, 2.0]
    assert len(calls) == 4


@pytest.mark.parametrize(
    "settings", [{"megabytes": 0}, {"most_rows": 0}, {"ttl_seconds": -1}, {"stale_seconds": -1}, {"megabytes": np.nan}]
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Cache(**settings)


def test_rows_that_parted_keep_their_own_way_and_are_paid_for_once() -> None:
    async def cascade(asked: Request) -> Response:
        values = list(asked.inputs["x"].data)
        sent = Step("large", "0.6: sent on", 0.5)
        ways = [
            (Step("small", "sure", 0.1),) if value < 5 else (Step("small", "unsure", 0.1), sent) for value in values
        ]
        outputs = {"y": Tensor("y", "FP64", (len(values),), [float(value) for value in values])}
        return Response(asked.id, outputs, usd=sum(step.usd or 0.0 for way in ways for step in way), paths=ways)

    first, second, again = ask(caching(cascade), request(1, 7), request(7, 2), request(1, 7))
    assert [first.row_usd(k, 2) for k in range(2)] == pytest.approx([0.1, 0.6])
    assert [[step.at for step in second.row_path(k)] for k in range(2)] == [
        ["cache", "small", "large"],
        ["cache", "small"],
    ]
    assert [second.row_usd(k, 2) for k in range(2)] == pytest.approx([0.0, 0.1])
    assert again.usd == 0.0
    assert [step.at for step in again.row_path(1)] == ["cache", "small", "large"]
