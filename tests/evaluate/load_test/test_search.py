from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Requirement, judge
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.arrivals.constant import Constant
from roadworthy.evaluate.load_test.generator import Sending
from roadworthy.evaluate.load_test.search import Pace, Probe, Search, largest_rate
from roadworthy.testing import virtual_clock
from roadworthy.testing.virtual_clock import VirtualLoop

REQUESTS = [Request("a", {}, 0.0)]
P99 = Requirement("p99_ms", at_most=50, unit="ms")
ERRORS = Requirement("error_rate", at_most=0.02)
QUICK = Pace(seconds=10, repeats=1)
Make = Callable[[VirtualLoop], Handler]


def one_server(service: float = 0.01, fails_above: float = math.inf) -> Make:
    """One server, first come first served; it refuses whoever would wait longer than `fails_above`."""

    def make(loop: VirtualLoop) -> Handler:
        free_at = 0.0

        async def answer(request: Request) -> Response:
            nonlocal free_at
            if free_at - loop.time() > fails_above:
                raise OverflowError("full")
            free_at = max(free_at, loop.time()) + service
            await asyncio.sleep(free_at - loop.time())
            return Response(request.id, {})

        return answer

    return make


def search(make: Make, *required: Requirement, pace: Pace = QUICK, start: float = 20.0, **more: Any) -> Search:
    rng = np.random.default_rng(0)
    return virtual_clock.run(lambda loop: largest_rate(make(loop), REQUESTS, required, start, rng, pace=pace, **more))


def test_the_capacity_of_an_md1_queue_is_found() -> None:
    """P(wait and service <= 50 ms) is 0.99 at 56.08 a second where service takes 10 ms (Erlang 1909)."""
    found = search(one_server(), P99, pace=Pace(seconds=30, repeats=3))
    assert found.max_rate.value == pytest.approx(56.08, rel=0.05)
    assert found.max_rate.low <= found.max_rate.value <= found.max_rate.high
    assert found.max_rate.unit == "rps"
    assert found.max_rate.conditions["under"] == ["p99_ms at most 50 ms"]
    assert "must be" in found.because
    assert judge(found.max_rate, Requirement("max_rate_rps", at_least=30, unit="rps")).decision == "pass"


def test_a_loose_bound_does_not_hide_that_a_server_falls_behind() -> None:
    """In ten seconds at twice the capacity nobody waits for a minute, and still the server cannot do it."""
    found = search(one_server(), Requirement("p99_ms", at_most=60_000, unit="ms"))
    assert 85 < found.max_rate.value < 112
    assert "over-saturated" in found.because


def test_every_requirement_counts() -> None:
    """A server that refuses who would wait longer than 20 ms keeps its latency at any rate, but not its promise."""
    found = search(one_server(fails_above=0.02), Requirement("p90_ms", at_most=50, unit="ms"), ERRORS)
    assert 30 < found.max_rate.value < 60
    assert "within error_rate" in found.because


def test_the_search_goes_up_and_down_from_where_it_starts() -> None:
    pace = Pace(seconds=40, repeats=1)
    rates = [search(one_server(), P99, start=start, pace=pace).max_rate for start in (5.0, 400.0)]
    assert [rate.value for rate in rates] == pytest.approx([56, 56], rel=0.1)


def test_a_single_search_knows_no_interval() -> None:
    """A regular schedule finds what one server can do, and one look at it is not enough to promise it."""
    found = search(one_server(), P99, arrivals=Constant()).max_rate
    assert found.value == pytest.approx(100, rel=0.03)
    assert judge(found, Requirement("max_rate_rps", at_least=30, unit="rps")).decision == "wait"


def test_what_no_rate_meets_is_not_a_number() -> None:
    found = search(one_server(service=0.06), P99)
    assert found.max_rate.n == 0
    assert "were within p99_ms, and 0.99 must be" in found.because
    assert judge(found.max_rate, Requirement("max_rate_rps", at_least=1, unit="rps")).decision == "wait"


def test_a_generator_that_gives_out_first_leaves_the_end_open() -> None:
    """The handler takes no time, but each request costs the generator 1 ms: 1000 a second is what it can send."""

    def make(loop: VirtualLoop) -> Handler:
        async def answer(request: Request) -> Response:
            loop.sleep(0.001)
            return Response(request.id, {})

        return answer

    found = search(make, Requirement("p50_ms", at_most=1000, unit="ms"), pace=Pace(seconds=5, repeats=1))
    assert 600 < found.max_rate.value < 1100
    assert found.max_rate.high == math.inf
    assert "the generator lagged" in found.because


def test_a_server_that_dies_ends_the_search_without_a_number() -> None:
    def make(loop: VirtualLoop) -> Handler:
        async def mortal(request: Request) -> Response:
            if loop.time() > 150:
                raise ConnectionRefusedError("refused")
            return Response(request.id, {})

        return mortal

    heard: list[Probe] = []
    found = search(make, P99, tell=heard.append, pace=Pace(seconds=100, repeats=3))
    assert found.max_rate.n == 0
    assert found.because.startswith("the server is gone since second")
    assert [probe.outcome for probe in heard] == ["meets", "gone"]


def test_requests_that_are_dropped_are_missed() -> None:
    found = search(one_server(), Requirement("p90_ms", at_most=5000, unit="ms"), how=Sending(most_in_flight=5))
    assert 60 < found.max_rate.value < 110


def test_the_knee_is_found_among_the_probes() -> None:
    found = search(one_server(), Requirement("p50_ms", at_most=15, unit="ms"), start=3.0)
    assert found.knee.n == 0 or 50 < found.knee.value < 130
    assert msgspec.json.decode(msgspec.json.encode(found.probes), type=tuple[Probe, ...]) == found.probes


@pytest.mark.parametrize(
    "required",
    [
        Requirement("p99_ms", at_least=3, unit="ms"),
        Requirement("auc", at_most=1),
        Requirement("p99_ms", at_most=3, unit="ms", where="tenant=a"),
    ],
)
def test_a_requirement_that_no_rate_decides_is_refused(required: Requirement) -> None:
    with pytest.raises(SpecError, match="it understands `at_most` on `pNN_ms`"):
        search(one_server(), required)


def test_no_id_is_used_twice_in_a_search() -> None:
    seen: list[str] = []

    def make(loop: VirtualLoop) -> Handler:
        serve = one_server()(loop)

        async def keep(request: Request) -> Response:
            seen.append(request.id)
            return await serve(request)

        return keep

    search(make, P99, pace=Pace(seconds=2, repeats=2))
    assert len(seen) == len(set(seen)) > 100


def test_a_search_needs_a_requirement_and_a_start() -> None:
    with pytest.raises(SpecError, match="needs a requirement and a `start` above 0"):
        search(one_server())
    with pytest.raises(SpecError, match="got 1 and 0"):
        search(one_server(), P99, start=0)
    with pytest.raises(ValueError, match="must be above 0"):
        Pace(seconds=0)
