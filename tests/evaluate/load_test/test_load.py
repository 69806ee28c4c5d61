from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.arrivals.constant import Constant
from roadworthy.evaluate.load_test.load import LoadRun, capacity, load, percentile, run

Run = Callable[..., Any]
REQUESTS = [Request("a", {}, 0.0), Request("b", {}, 0.0)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def after(seconds: float) -> Handler:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(seconds)
        return Response(request.id, {})

    return answer


def one_at_a_time(seconds: float) -> Handler:
    turn = asyncio.Lock()

    async def answer(request: Request) -> Response:
        async with turn:
            await asyncio.sleep(seconds)
        return Response(request.id, {})

    return answer


def found(run: LoadRun, name: str) -> Measurement:
    return next(m for m in run.measured if m.name == name)


def test_a_steady_handler_has_one_latency(virtual: Run) -> None:
    run = virtual(load(after(0.02), REQUESTS, rate=100, seconds=10, rng=rng()))
    assert run.valid, run.because
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        assert found(run, name).value == pytest.approx(20.0)
    assert found(run, "error_rate").value == 0.0
    assert found(run, "throughput_rps").value == pytest.approx(100, rel=0.1)
    assert run.failures == {}


def test_a_stall_is_paid_by_all_who_were_due_in_it(virtual: Run) -> None:
    """One at a time, 1 ms each, but the server stands still for 2 s in every 10: a closed loop would hardly see it."""

    async def run() -> LoadRun:
        turn, loop = asyncio.Lock(), asyncio.get_running_loop()

        async def stalling(request: Request) -> Response:
            async with turn:
                into = loop.time() % 10
                await asyncio.sleep(10 - into if into > 8 else 0.001)
            return Response(request.id, {})

        return await load(stalling, REQUESTS, rate=100, seconds=30, rng=rng())

    run = virtual(run())
    assert run.valid
    assert found(run, "p99_ms").value > 0.9 * 2000
    assert found(run, "p50_ms").value < 10


def test_failures_are_infinitely_late(virtual: Run) -> None:
    count = itertools.count()

    async def flaky(request: Request) -> Response:
        if next(count) % 10 == 0:
            raise ConnectionError("reset")
        return Response(request.id, {})

    run = virtual(load(flaky, REQUESTS, rate=200, seconds=10, rng=rng()))
    assert found(run, "p50_ms").value == 0.0
    assert found(run, "p95_ms").value == math.inf
    assert found(run, "error_rate").value == pytest.approx(0.1, abs=0.001)
    assert list(run.failures) == ["ConnectionError: reset"]
    assert judge(found(run, "p99_ms"), Requirement("p99_ms", at_most=50, unit="ms")).decision == "fail"


def test_a_request_that_is_never_answered_is_a_failure(virtual: Run) -> None:
    run = virtual(load(after(1e9), REQUESTS, rate=10, seconds=2, rng=rng(), patience_seconds=5))
    assert found(run, "error_rate").value == 1.0
    assert run.failures == {"no answer within 5 s of the last arrival": found(run, "error_rate").n}


def test_a_generator_that_cannot_keep_up_makes_the_run_invalid(virtual: Run) -> None:
    async def hog(request: Request) -> Response:
        asyncio.get_running_loop().now += 0.05
        return Response(request.id, {})

    run = virtual(load(hog, REQUESTS, rate=100, seconds=5, rng=rng()))
    assert not run.valid
    assert "the generator lagged" in run.because
    assert "lower the rate" in run.because


def test_a_run_says_how_it_was_checked_and_survives_json(virtual: Run) -> None:
    run = virtual(load(after(0.02), REQUESTS, rate=100, seconds=10, rng=rng()))
    assert [(c.of, c.decision) for c in run.checks if c.decision != "pass"] == [("client_cpu", "wait")]
    assert (run.scenario, run.arrivals, run.warnings) == ("server", "poisson", ())
    assert found(run, "dispatch_lag_p99_ms").value == pytest.approx(0, abs=1e-6)
    kept = msgspec.structs.replace(run, measured=run.measured[:4])
    assert msgspec.json.decode(msgspec.json.encode(kept), type=LoadRun) == kept


def test_the_timeline_has_one_row_a_request(virtual: Run) -> None:
    found, timeline = virtual(run(after(0.02), REQUESTS, Constant(), rate=10, seconds=2, rng=rng()))
    assert timeline.n == found.find("p99_ms").n == 20
    np.testing.assert_allclose(timeline.due, np.arange(20) / 10)
    np.testing.assert_allclose(timeline.done - timeline.due, 0.02)
    assert np.isnan(timeline.first).all()


def test_throughput_is_of_the_whole_time_that_the_answers_took(virtual: Run) -> None:
    """A server half as fast as the rate answers everything in the end, but not at the rate."""
    run = virtual(load(one_at_a_time(0.02), REQUESTS, rate=100, seconds=10, rng=rng()))
    assert found(run, "error_rate").value == 0
    assert found(run, "throughput_rps").value == pytest.approx(50, rel=0.02)
    assert run.valid
    assert "over-saturated" in run.warnings[0]


def test_a_bound_that_is_broken_makes_the_run_invalid(virtual: Run) -> None:
    now_and_then = itertools.cycle([0.01] * 19 + [0.2])

    async def answer(request: Request) -> Response:
        await asyncio.sleep(next(now_and_then))
        return Response(request.id, {})

    asked = partial(run, answer, REQUESTS, Constant(), 100, 10)
    loose, _ = virtual(asked(rng(), bound_ms=250))
    tight, _ = virtual(asked(rng(), bound_ms=50))
    assert loose.valid
    assert not tight.valid
    assert "p99 needs at least 6,898 requests with 50 beyond its bound" in tight.because


def test_no_arrivals_prove_nothing(virtual: Run) -> None:
    run = virtual(load(after(0.01), REQUESTS, rate=0.0, seconds=1, rng=rng()))
    assert not run.valid
    assert found(run, "p99_ms").n == 0


def test_every_request_has_its_own_id(virtual: Run) -> None:
    seen = []

    async def keep(request: Request) -> Response:
        seen.append(request.id)
        return Response(request.id, {})

    virtual(load(keep, REQUESTS, rate=50, seconds=2, rng=rng()))
    assert len(seen) == len(set(seen)) > 50


def test_the_percentile_interval_covers_the_true_one() -> None:
    truth = 1000 * stats.lognorm(1).ppf(0.95)
    draws = np.random.default_rng(1)
    inside = [percentile("p95_ms", draws.lognormal(0, 1, 300), 0.95) for _ in range(300)]
    assert np.mean([m.low <= truth <= m.high for m in inside]) >= 0.93


@pytest.mark.parametrize(("n", "bounded"), [(300, False), (367, False), (368, True), (1000, True)])
def test_a_p99_of_few_requests_has_no_upper_bound(n: int, bounded: bool) -> None:
    """0.99^n must fall below 0.025 before the largest of n bounds the 99th percentile."""
    assert math.isfinite(percentile("p99_ms", np.arange(n) / n, 0.99).high) == bounded


def test_capacity_is_callers_over_latency(virtual: Run) -> None:
    most = virtual(capacity(after(0.01), REQUESTS, seconds=2, in_flight=8))
    assert most.name == "capacity_rps"
    assert most.unit == "rps"
    assert most.value == pytest.approx(800, rel=0.02)
    assert most.low <= 800 <= most.high + 8


def test_refusals_are_no_capacity(virtual: Run) -> None:
    async def refuse(request: Request) -> Response:
        raise ConnectionError

    most = virtual(capacity(refuse, REQUESTS, seconds=1))
    assert (most.value, most.n) == (0.0, 0)
