"""Streams are measured from the scheduled time and from the sending, by what their reader sees, failures included."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import numpy as np
import pytest
from scipy import stats

from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, send
from roadworthy.evaluate.load_test.streaming import Piece, Stream, Tape, measure, order_statistic


def text(words: str, name: str = "text") -> Tensor:
    return Tensor(name, "BYTES", (1,), [words])


def count(name: str, n: int) -> Tensor:
    return Tensor(name, "INT64", (1,), [n])


async def written(*steps: tuple[float, Tensor]) -> AsyncIterator[Tensor]:
    for after, tensor in steps:
        await asyncio.sleep(after)
        yield tensor


SCRIPT = (
    (0.2, text("hm", "reasoning")),
    (0.1, text(" \n")),
    (0.1, text("Hello")),
    (0.05, text(" world")),
    (0.0, count("completion_tokens", 5)),
)


def found(measured) -> dict[str, float]:
    return {one.name: one.value for one in measured}


def run_open(virtual, handler, due, requests=None, tape=None):
    """Streams of an open loop at the times `due`, on a clock that never waits."""
    tape, requests = tape or Tape(), requests or [Request("", {}, 0.0)]
    how = Sending(piece=tape, keep=tape.whole)
    timeline = virtual(send(handler, requests, np.array(due), max(due) + 1.0, how))
    return tape.streams(timeline, requests)


async def scripted(request: Request) -> Response:
    await asyncio.sleep(0.1)
    return Response(request.id, written(*SCRIPT))


def test_the_first_token_may_be_reasoning_and_the_first_visible_one_is_neither_that_nor_blank(virtual):
    measured = found(measure(run_open(virtual, scripted, [0.0, 1.0, 2.0]), 3.0))
    assert measured["ttft_p50_ms"] == pytest.approx(300)
    assert measured["ttfvt_p50_ms"] == pytest.approx(500)
    assert measured["e2e_p99_ms"] == pytest.approx(550)
    assert measured["itl_p50_ms"] == pytest.approx(100)
    assert measured["tpot_p50_ms"] == pytest.approx(250 / 4)
    assert measured["output_tokens_per_s"] == pytest.approx(5.0)
    assert measured["stream_tokens_per_s_p50"] == pytest.approx(5 / 0.55)


def test_who_waits_in_the_generator_has_waited_since_the_scheduled_time(virtual):
    async def blocking(request: Request) -> Response:
        asyncio.get_running_loop().now += 1.0  # the generator itself stands still, as under a garbage collection
        return Response(request.id, written((0.5, text("x"))))

    measured = found(measure(run_open(virtual, blocking, [0.0, 0.1, 0.2, 0.3]), 1.0))
    assert measured["ttft_p50_ms"] > measured["ttft_p50_from_send_ms"] + 1000


def test_each_latency_says_since_when_and_a_closed_loop_has_no_schedule(virtual):
    tape, requests = Tape(), [Request("", {}, 0.0)]
    timeline = virtual(ask_in_turn(scripted, requests, 2, 2.0, Sending(piece=tape)))
    closed = measure(tape.streams(timeline, requests), 2.0)
    assert {one.conditions["from"] for one in closed if "ttft" in one.name} == {"sending"}
    assert "ttft_p50_ms" not in found(closed)
    opened = measure(run_open(virtual, scripted, [0.0]), 1.0)
    assert next(one for one in opened if one.name == "ttft_p50_ms").conditions == {"from": "scheduled time"}


def test_a_failure_is_infinite_however_early_it_began_to_answer(virtual):
    async def failing(request: Request) -> Response:
        async def pieces() -> AsyncIterator[Tensor]:
            yield text("quick")
            if request.id.endswith("-0"):
                raise RuntimeError("died")

        return Response(request.id, pieces())

    streams = run_open(virtual, failing, [0.0, 0.1, 0.2])
    measured = found(measure(streams, 1.0))
    assert streams[0].failure == "RuntimeError: died"
    assert len(streams[0].pieces) == 1
    assert all(math.isinf(measured[f"{name}_p99_ms"]) for name in ("ttft", "ttfvt", "e2e", "itl", "tpot"))
    assert measured["ttft_p50_ms"] == pytest.approx(0.0)
    assert measured["stream_failures"] == pytest.approx(1 / 3)
    assert measured["stream_tokens_per_s_p5"] == 0.0


def test_a_request_that_was_never_sent_is_a_failure_too():
    measured = found(measure([Stream(0.0, math.nan, failure="dropped")], 1.0))
    assert math.isinf(measured["ttft_p50_ms"])
    assert math.isinf(measured["ttft_p50_from_send_ms"])


def test_text_that_nobody_sees_is_told(virtual):
    async def silent(request: Request) -> Response:
        return Response(request.id, written((0.1, text("thinking", "reasoning"))))

    measured = found(measure(run_open(virtual, silent, [0.0, 0.5]), 1.0))
    assert measured["nothing_visible"] == 1.0
    assert math.isinf(measured["ttfvt_p50_ms"])
    assert measured["ttft_p50_ms"] == pytest.approx(100)


def test_lengths_are_compared_with_what_was_asked_for_and_with_what_the_server_counts(virtual):
    requests = [
        Request("", {}, 0.0, parameters={"max_tokens": 10}),
        Request("", {"max_tokens": count("max_tokens", 5)}, 0.0),
    ]
    measured = found(measure(run_open(virtual, scripted, [0.0, 0.5], requests), 1.0))
    assert measured["received_of_requested"] == pytest.approx((5 / 10 + 5 / 5) / 2)
    assert measured["server_of_client_tokens"] == pytest.approx(5 / 4)
    assert measured["token_counts_differ"] == 1.0


def test_a_tokenizer_counts_better_than_pieces(virtual):
    streams = run_open(virtual, scripted, [0.0], tape=Tape(count=lambda words: len(words.split())))
    assert (streams[0].received, streams[0].tokens, streams[0].told) == (3, 3, 5)


def test_a_whole_answer_is_one_piece_at_its_end(virtual):
    async def whole(request: Request) -> Response:
        await asyncio.sleep(0.4)
        return Response(request.id, {"text": text("a b"), "completion_tokens": count("completion_tokens", 2)})

    streams = run_open(virtual, whole, [0.0])
    assert streams[0].pieces == (Piece(0.4, 2, True),)
    measured = measure(streams, 1.0)
    assert found(measured)["ttft_p50_ms"] == found(measured)["e2e_p50_ms"] == pytest.approx(400)
    assert next(one for one in measured if one.name == "itl_p50_ms").n == 0


def test_nothing_is_measured_of_nothing():
    assert {one.n for one in measure([], 1.0)} == {0}


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_interval_holds_the_quantile_as_often_as_it_says(share):
    rng, truth, hits = np.random.default_rng(0), stats.expon.ppf(share), 0
    for _ in range(400):
        one = order_statistic("x", rng.exponential(size=200), share, "ms")
        hits += one.low <= truth <= one.high
    assert hits >= 0.93 * 400


def test_gaps_of_one_stream_count_as_one_observation():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        gaps = np.repeat(rng.exponential(size=60), 30)
        one = order_statistic("itl", gaps, 0.5, "ms", 60)
        hits += one.low <= math.log(2) <= one.high
    assert hits >= 0.93 * 200
    assert order_statistic("itl", gaps, 0.5, "ms").high < one.high


def test_few_values_leave_a_high_quantile_open():
    one = order_statistic("x", np.arange(1.0, 51.0), 0.99, "ms")
    assert (one.value, one.high) == (50.0, math.inf)
