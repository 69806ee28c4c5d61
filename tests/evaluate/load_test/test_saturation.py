from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from roadworthy.core.wire import Request, Response
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.load_test.generator import ask_in_turn, send
from roadworthy.evaluate.load_test.saturation import knee, saturation
from roadworthy.evaluate.load_test.timeline import Timeline

Run = Callable[..., Any]
REQUESTS = [Request("a", {}, 0.0)]


async def queue(rate: float, seconds: float, seed: int, service: float = 0.01) -> Timeline:
    """An M/D/1 queue: 100 a second is what it can do."""
    loop, free_at = asyncio.get_running_loop(), 0.0

    async def answer(request: Request) -> Response:
        nonlocal free_at
        free_at = max(free_at, loop.time()) + service
        await asyncio.sleep(free_at - loop.time())
        return Response(request.id, {})

    return await send(answer, REQUESTS, Poisson()(rate, seconds, np.random.default_rng(seed)), seconds)


@pytest.mark.parametrize("rate", [115, 150, 400])
def test_a_server_that_falls_behind_is_told(virtual: Run, rate: float) -> None:
    verdict = saturation(virtual(queue(rate, 20, seed=0)))
    assert verdict.decision == "fail"
    assert "latency grew from" in verdict.because


def test_a_busy_server_is_not_called_saturated(virtual: Run) -> None:
    """At 80 % its queue comes and goes; neighbours in it are alike, which a test on each takes for a slope."""
    decisions = [saturation(virtual(queue(80, 10, seed))).decision for seed in range(15)]
    assert decisions.count("fail") == 0


def test_requests_that_never_come_back_count_as_waiting(virtual: Run) -> None:
    async def stuck(request: Request) -> Response:
        await asyncio.sleep(0.01 if int(request.id.split("-")[1]) < 100 else 1e9)
        return Response(request.id, {})

    run = virtual(send(stuck, REQUESTS, np.arange(0, 10, 0.02), 10.0))
    assert run.failed == 400
    assert run.in_flight(np.array([1.0, 9.99])).tolist() == [1, 400]


def test_few_requests_and_closed_loops_say_nothing(virtual: Run) -> None:
    assert saturation(virtual(queue(400, 0.2, seed=0))).decision == "wait"

    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return Response(request.id, {})

    assert saturation(virtual(ask_in_turn(answer, REQUESTS, 4, 2.0))).decision == "wait"


def test_the_knee_is_where_throughput_stops_to_follow() -> None:
    rates = np.array([10.0, 20, 40, 60, 80, 100, 120, 150, 200])
    found = knee(rates, np.minimum(rates, 100) + np.random.default_rng(0).normal(0, 0.5, 9))
    assert found.value == 100
    assert (found.low, found.high) == (80, 120)


@pytest.mark.parametrize(
    "throughput",
    [lambda x: x, lambda x: 0 * x + 50, lambda x: np.where(x < 100, x, 100 + (x - 100) * 0.8)],
    ids=["no bend", "no rise", "tail too steep"],
)
def test_no_knee_is_made_up(throughput: Callable[..., Any]) -> None:
    rates = np.array([10.0, 20, 40, 60, 80, 100, 120, 150, 200])
    assert knee(rates, throughput(rates)).n == 0
    assert knee([1, 2, 3, 4], [1, 2, 2, 2]).n == 0
