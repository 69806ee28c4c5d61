from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.app.endpoints.plain import Plain
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature, Task
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.crowd.equality import Likeness
from roadworthy.evaluate.crowd.under_load import Bounds, UnderLoad, _Scale, under_load, wrong_answers
from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.base_rate import BaseRate
from roadworthy.evaluate.metrics.log_loss import LogLoss
from roadworthy.serve.wrappers.cache import Cache
from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Law, Script

Run = Callable[..., Any]
Spoil = Callable[[Response], Response]


def crowded(inner: Handler, spoil: Spoil, most: int = 8) -> Handler:
    """A server that answers `most` at once as it should, and spoils what it answers above that."""
    in_flight = 0

    async def answer(request: Request) -> Response:
        nonlocal in_flight
        in_flight += 1
        try:
            response = await inner(request)
            await asyncio.sleep(0.01)
            return spoil(response) if in_flight > most else response
        finally:
            in_flight -= 1

    return answer


def half(response: Response) -> Response:
    """What a model answers that was cut short: an even chance."""
    return Response(response.id, {"probability": Tensor("probability", "FP64", (1,), [0.5])})


def refuse(response: Response) -> Response:
    raise ConnectionError("too many")


def late(inner: Handler) -> Handler:
    """A server whose answers overtake each other, and are otherwise right."""
    rng = np.random.default_rng(0)

    async def answer(request: Request) -> Response:
        await asyncio.sleep(float(rng.exponential()))
        return await inner(request)

    return answer


def ask(handler: Handler, sample: Sample, signature: Signature, metric: Any = Auc(), **more: Any) -> Any:  # noqa: B008
    return under_load(handler, sample, signature, metric, np.random.default_rng(0), **more)


@pytest.fixture
def rows(sample: Sample) -> Sample:
    return sample.take(slice(0, 600))


def test_a_server_that_degrades_above_eight_in_flight_is_caught(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    found: UnderLoad = virtual(ask(crowded(handler, half), rows, signature))
    noise, ten, fifty = found.levels
    assert found.verdict.decision == "fail"
    assert [level.verdict.decision for level in found.levels] == ["pass", "fail", "fail"]
    assert noise.differing.value == 0
    assert min(ten.differing.low, fifty.differing.low) > 0.9
    assert fifty.change.high < -0.1
    assert fifty.value.value == pytest.approx(found.alone.value + fifty.change.value)
    assert "at 10 in flight" in found.verdict.because


def test_a_server_of_which_only_the_order_of_completion_changes_is_not_caught(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    found = virtual(ask(late(handler), rows, signature))
    assert found.verdict.decision == "pass"
    assert [level.peak for level in found.levels] == [1, 10, 50]
    assert all(level.differing.value == 0 and level.change.value == 0 for level in found.levels)


def test_a_few_spoilt_answers_are_seen_though_the_metric_hardly_moves(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    """One answer in twelve is rounded: the AUC stays within its margin, and the answers are others all the same."""

    def rounded(response: Response) -> Response:
        p = np.asarray(response.outputs["probability"].data)
        return Response(response.id, {"probability": Tensor("probability", "FP64", (1,), np.round(p, 2))})

    found = virtual(ask(crowded(handler, rounded), rows, signature))
    fifty = found.levels[-1]
    assert abs(fifty.change.value) < 0.01
    assert fifty.verdict.decision == "fail"
    allowed = Bounds(margin=0.02, likeness=Likeness(most_differing=1.0))
    assert virtual(ask(crowded(handler, rounded), rows, signature, bounds=allowed)).verdict.decision == "pass"


def test_failures_count_as_wrong_and_apart(virtual: Run, handler: Handler, rows: Sample, signature: Signature) -> None:
    found = virtual(ask(crowded(handler, refuse), rows, signature, Accuracy()))
    fifty = found.levels[-1]
    assert fifty.error_rate.value > 0.5
    assert list(fifty.failures) == ["ConnectionError: too many"]
    assert fifty.change.value == pytest.approx(-found.alone.value * fifty.error_rate.value, abs=0.05)
    assert fifty.change_answered.value == 0
    assert fifty.value_answered.n == 600 - sum(fifty.failures.values())
    assert fifty.differing.value == 0
    assert fifty.verdict.decision == "fail"


def test_an_unlabelled_sample_is_compared_answer_by_answer(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    bare = Sample(rows.columns)
    found = virtual(ask(crowded(handler, half), bare, signature))
    assert found.alone.n == 0
    assert found.levels[-1].change.n == 0
    assert found.verdict.decision == "fail"
    assert virtual(ask(late(handler), bare, signature)).verdict.decision == "pass"


def test_answers_of_other_rows_are_said_to_be_mixed_up(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    """What `zip(as_completed(...), rows)` does inside a server: right answers, on the wrong ids."""
    last: list[Response] = []

    def anothers(response: Response) -> Response:
        last.append(response)
        return Response(response.id, last[-2].outputs) if len(last) > 1 else response

    found = virtual(ask(crowded(handler, anothers), rows, signature))
    assert found.verdict.decision == "fail"
    assert "are answers mixed up?" in found.verdict.because


def test_swapped_ids_under_load_are_named(virtual: Run, handler: Handler, rows: Sample, signature: Signature) -> None:
    held: list[Response] = []

    def swap(response: Response) -> Response:
        held.append(response)
        return Response(held[0].id, response.outputs)

    found = virtual(ask(crowded(handler, swap), rows, signature))
    assert found.verdict.decision == "fail"
    assert {fault.kind for fault in found.levels[1].faults} == {"swapped", "answered twice"}
    assert "which another caller asked" in found.verdict.because


def test_a_server_that_draws_by_chance_is_not_accused_of_its_noise(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    rng = np.random.default_rng(3)

    async def sampled(request: Request) -> Response:
        response = await handler(request)
        return half(response) if rng.random() < 0.05 else response

    found = virtual(ask(sampled, rows, signature, Accuracy(), bounds=Bounds(margin=0.05)))
    assert found.levels[0].differing.value > 0.05
    assert "that is noise, not load" in found.levels[0].verdict.because
    assert all(level.verdict.decision != "fail" for level in found.levels)


def test_a_crowd_that_never_gathers_waits(virtual: Run, rows: Sample, signature: Signature) -> None:
    async def at_once(request: Request) -> Response:
        return Response(request.id, {"probability": Tensor("probability", "FP64", (1,), [0.3])})

    found = virtual(ask(at_once, rows, signature))
    assert found.verdict.decision == "wait"
    assert "no more than 1 were ever in flight" in found.verdict.because


def test_fewer_rows_than_requests_in_flight_wait(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    found = virtual(ask(late(handler), rows.take(slice(0, 20)), signature))
    assert "there are 20 rows only; give at least 50" in found.levels[-1].verdict.because
    assert found.verdict.decision == "wait"


def test_a_cache_hides_the_model_and_waits(virtual: Run, handler: Handler, rows: Sample, signature: Signature) -> None:
    inner = Cache()(crowded(handler, half))

    async def through(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return await inner(request)

    found = virtual(ask(through, rows, signature))
    assert found.verdict.decision == "wait"
    assert "600 of 600 answers came out of a cache: hand in the handler without it" in found.verdict.because


@pytest.mark.parametrize(
    ("script", "decision"),
    [
        (Script(service=Law(seconds=0.002), degrade_above=8), "fail"),
        (Script(service=Law(seconds=0.001), shuffle_seconds=0.003), "pass"),
    ],
    ids=["degrades", "shuffles"],
)
def test_over_real_sockets_the_one_is_caught_and_the_other_is_not(script: Script, decision: str) -> None:
    labels = np.arange(400) % 2.0
    sample = Sample({"x": np.arange(400.0)}, labels=labels)
    signature = Signature({"x": Field()}, {"probability": Field()})

    async def measured(url: str) -> UnderLoad:
        async with Plain(url) as handler:
            return await ask(handler, sample, signature)

    with MockEndpoint(script, lambda row: 0.1 + 0.8 * (row["x"] % 2) + 1e-4 * row["x"]) as mock:
        found = asyncio.run(measured(mock.url))
    assert found.verdict.decision == decision, found.verdict.because
    assert found.levels[0].error_rate.value == 0


@pytest.mark.parametrize(
    ("metric", "task", "labels", "better"),
    [
        (Auc(), "binary", [0, 1, 1, 0], 1),
        (Accuracy(), "binary", [0, 1, 1, 0], 1),
        (LogLoss(), "binary", [0, 1, 1, 0], -1),
        (BaseRate(), "binary", [0, 1, 1, 0], 0),
        (Auc(), "binary", [1, 1], 0),
        (None, "binary", [0, 1], 0),
    ],
)
def test_perfect_answers_show_which_way_is_better(metric: Any, task: Task, labels: list[int], better: int) -> None:
    scale = _Scale(metric, task, np.array(labels, dtype=float), np.random.default_rng(0), Bounds())
    assert scale.better() == better


class Exact:
    """The share of texts that are as they should be."""

    tasks = ("generation",)

    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return Measurement("exact_match", float((labels == answers).mean()), len(labels))


class Distance:
    """The mean distance of numbers."""

    tasks = ("regression",)

    def __call__(self, labels: np.ndarray, answers: np.ndarray, where: str = "") -> Measurement:
        return Measurement("mae", float(np.abs(labels - answers).mean()), len(labels))


def echo(spoilt: Any, most: int = 8) -> Handler:
    async def inner(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(request.id, {"y": Tensor("y", request.inputs["x"].datatype, (1,), request.inputs["x"].data)})

    def spoil(response: Response) -> Response:
        return Response(response.id, {"y": Tensor("y", "BYTES", (1,), [spoilt])})

    return crowded(inner, spoil if spoilt is not None else refuse, most)


def test_text_that_is_cut_short_in_a_crowd_is_caught(virtual: Run) -> None:
    texts = np.array([f"answer {k}" for k in range(500)], dtype=object)
    sample, signature = Sample({"x": texts}, targets=texts), Signature({"x": Field("text")}, {"y": Field("text")})
    found = virtual(ask(echo("ans"), sample, signature, Exact(), task="generation"))
    assert found.alone.value == 1
    assert found.levels[-1].change.high < -0.5
    assert found.verdict.decision == "fail"
    failing = virtual(ask(echo(None), sample, signature, Exact(), task="generation"))
    assert failing.levels[-1].value.value < 0.5, "no answer is a wrong answer"


def test_numbers_that_never_came_have_no_worst_and_are_judged_as_missing(virtual: Run) -> None:
    x = np.arange(500.0)
    sample, signature = Sample({"x": x}, labels=x), Signature({"x": Field()}, {"y": Field()})
    found = virtual(ask(echo(None), sample, signature, Distance(), task="regression"))
    fifty = found.levels[-1]
    assert (fifty.change.value, fifty.value.value) == (0, 0)
    assert fifty.error_rate.value > 0.5
    assert fifty.verdict.decision == "fail"


def test_the_worst_answer_to_a_class_is_another_one() -> None:
    found = wrong_answers(np.array([0.0, 2.0]), "multiclass", (2, 3))
    assert found.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert wrong_answers(np.array(["a", ""], dtype=object), "generation", (2,)).tolist() == ["", "?"]


def test_an_empty_sample_and_a_level_of_one_are_refused(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    with pytest.raises(BadData, match="no rows to ask about under load"):
        virtual(ask(handler, rows.take(slice(0, 0)), signature))
    with pytest.raises(ValueError, match=r"`levels` must be 2 or more requests in flight each, got \(1, 10\)"):
        virtual(ask(handler, rows, signature, levels=(1, 10)))
    with pytest.raises(ValueError, match="`margin` must be 0 or more"):
        Bounds(margin=-0.1)


def test_what_was_found_goes_to_json_and_back(
    virtual: Run, handler: Handler, rows: Sample, signature: Signature
) -> None:
    found = virtual(ask(crowded(handler, half), rows, signature))
    assert msgspec.json.decode(msgspec.json.encode(found), type=UnderLoad) == found
