from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.load_test.scenarios import in_turn, multi_stream, offline, server, single_stream

Run = Callable[..., Any]
REQUESTS = [Request(str(k), {}, 0.0) for k in range(1000)]


def taking(*seconds: float) -> Handler:
    turns = itertools.cycle(seconds)

    async def answer(request: Request) -> Response:
        await asyncio.sleep(next(turns))
        return Response(request.id, {})

    return answer


def test_single_stream_asks_one_by_one_and_gives_its_p90(virtual: Run) -> None:
    found, timeline = virtual(single_stream(taking(*[0.01] * 8, 0.03, 0.05), REQUESTS, seconds=20))
    assert found.valid, found.because
    assert (found.scenario, found.rate, found.arrivals) == ("single_stream", 0.0, None)
    best = found.measured[0]
    assert (best.name, best.unit) == ("single_stream_p90_ms", "ms")
    # LoadGen's bound errs on the high side: the p90 itself is 30 ms.
    assert best.value == pytest.approx(50)
    assert found.find("p90_ms").value == pytest.approx(30)
    assert timeline.sent[1:] == pytest.approx(timeline.done[:-1])


def test_a_single_stream_is_flagged_as_omitting(virtual: Run) -> None:
    found, _ = virtual(single_stream(taking(*[0.001] * 5000, 2.0), REQUESTS, seconds=10))
    assert found.find("p99_ms").value == pytest.approx(1)
    assert "omits coordinated delays" in found.warnings[0]
    assert "for 2000.0 ms nothing was asked" in found.warnings[0]
    assert found.find("dispatch_lag_p99_ms").n == 0


def test_a_single_stream_goes_on_to_64_requests(virtual: Run) -> None:
    found, timeline = virtual(single_stream(taking(0.5), REQUESTS, seconds=1))
    assert timeline.n == 64
    assert found.valid


def test_a_query_of_multi_stream_is_done_with_its_last_answer(virtual: Run) -> None:
    seen = []
    slow = taking(*[0.01] * 7, 0.04)

    async def keep(request: Request) -> Response:
        seen.append(request.id)
        return await slow(request)

    found, timeline = virtual(multi_stream(keep, REQUESTS, seconds=1, samples=8))
    assert timeline.n == 662
    assert found.measured[0].name == "multi_stream_p99_ms"
    assert found.measured[0].value == pytest.approx(40)
    assert seen[:9] == [*(f"load-0.{k}" for k in range(8)), "load-1.0"]
    assert len(set(seen)) == 662 * 8


def test_one_failure_fails_its_query(virtual: Run) -> None:
    count = itertools.count()

    async def flaky(request: Request) -> Response:
        if next(count) % 80 == 3:
            raise ValueError("no")
        return await taking(0.01)(request)

    found, _ = virtual(multi_stream(flaky, REQUESTS, seconds=1, samples=8))
    assert found.find("error_rate").value == pytest.approx(0.1, abs=0.01)
    assert found.measured[0].value == np.inf


def test_the_server_scenario_is_poisson_within_a_bound(virtual: Run) -> None:
    rng = np.random.default_rng(0)
    found, _ = virtual(server(taking(0.02), REQUESTS, 100, bound_ms=30, rng=rng))
    assert found.valid
    assert (found.scenario, found.arrivals, found.rate) == ("server", "poisson", 100)
    late, _ = virtual(server(taking(0.02), REQUESTS, 100, bound_ms=10, rng=rng))
    assert not late.valid
    assert "beyond its bound" in late.because


def test_offline_asks_all_at_once(virtual: Run) -> None:
    turn = asyncio.Semaphore(10)

    async def ten_at_a_time(request: Request) -> Response:
        async with turn:
            await asyncio.sleep(0.05)
        return Response(request.id, {})

    found, timeline = virtual(offline(ten_at_a_time, REQUESTS))
    assert found.valid, found.because
    assert set(timeline.due) == {0.0}
    assert found.measured[0].name == "offline_samples_per_second"
    assert found.measured[0].value == pytest.approx(200)
    assert found.warnings == ()


def test_callers_in_turn_are_a_closed_loop(virtual: Run) -> None:
    found, _ = virtual(in_turn(taking(0.01), REQUESTS, callers=5))
    assert found.find("throughput_rps").value == pytest.approx(500, rel=0.01)
    assert found.warnings[0].startswith("closed loop")
