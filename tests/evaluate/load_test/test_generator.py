from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, send

Run = Callable[..., Any]
REQUESTS = [Request("a", {}, 0.0), Request("b", {}, 0.0), Request("c", {}, 0.0)]
EVERY_10_MS = np.arange(0, 10, 0.01)


async def in_20_ms(request: Request) -> Response:
    await asyncio.sleep(0.02)
    return Response(request.id, {})


async def refused(request: Request) -> Response:
    raise ConnectionRefusedError(111, "refused")


def test_requests_go_out_when_they_are_due_in_turn_and_with_ids_of_their_own(virtual: Run) -> None:
    seen = []

    async def keep(request: Request) -> Response:
        seen.append((request.id, asyncio.get_running_loop().time()))
        return Response(request.id, {})

    run = virtual(send(keep, REQUESTS, np.array([0.0, 0.5, 0.5, 2.0]), 3.0, Sending(prefix="x")))
    assert seen == [("x-0", 0.0), ("x-1", 0.5), ("x-2", 0.5), ("x-3", 2.0)]
    assert run.sent.tolist() == run.due.tolist() == run.done.tolist()
    assert (run.seconds, run.n, run.scheduled) == (3.0, 4, True)


def test_a_server_that_dies_ends_the_run_with_a_reason(virtual: Run) -> None:
    async def mortal(request: Request) -> Response:
        return await (in_20_ms if asyncio.get_running_loop().time() < 3 else refused)(request)

    run = virtual(send(mortal, REQUESTS, EVERY_10_MS, 10.0))
    assert run.stopped.startswith("the server is gone since second 3.0: 10")
    assert run.seconds == pytest.approx(4.0, abs=0.05)
    assert run.n < 410


def test_a_short_outage_is_no_death(virtual: Run) -> None:
    async def restarting(request: Request) -> Response:
        return await (refused if 3 <= asyncio.get_running_loop().time() < 3.9 else in_20_ms)(request)

    run = virtual(send(restarting, REQUESTS, EVERY_10_MS, 10.0))
    assert run.stopped == ""
    assert run.failures == {"ConnectionRefusedError: [Errno 111] refused": pytest.approx(90, abs=1)}


def test_a_connection_error_is_seen_behind_the_error_of_a_client(virtual: Run) -> None:
    async def wrapped(request: Request) -> Response:
        try:
            return await refused(request)
        except OSError as wrong:
            raise RuntimeError("no server answers") from wrong

    assert virtual(send(wrapped, REQUESTS, EVERY_10_MS, 10.0)).stopped
    assert virtual(ask_in_turn(wrapped, REQUESTS, 3, 10.0)).stopped


def test_what_is_due_above_the_limit_in_flight_is_dropped_and_counted(virtual: Run) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(1.0)
        return Response(request.id, {})

    run = virtual(send(slow, REQUESTS, np.arange(0, 2, 0.1) + 0.01, 2.0, Sending(most_in_flight=4)))
    assert run.failures == {"dropped: 4 others were unanswered when it was due": 12}
    assert np.isnan(run.sent).sum() == 12
    assert np.isinf(run.latencies).sum() == 12


def test_one_that_is_never_answered_is_given_up(virtual: Run) -> None:
    async def never(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    how = Sending(patience_seconds=5)
    for work in (send(never, REQUESTS, np.array([0.0, 1.0]), 2.0, how), ask_in_turn(never, REQUESTS, 2, 2.0, how)):
        run = virtual(work)
        assert run.failures == {"no answer within 5 s of the last arrival": 2}
        assert np.isinf(run.latencies).all()


def test_a_stream_is_drained_with_the_time_of_every_piece(virtual: Run) -> None:
    async def pieces() -> AsyncIterator[Tensor]:
        for word in ("a", "b", "c"):
            await asyncio.sleep(0.1)
            yield Tensor("text", "BYTES", (1,), [word])

    async def streaming(request: Request) -> Response:
        await asyncio.sleep(0.5)
        return Response(request.id, pieces())

    heard: list[Any] = []
    how = Sending(
        keep=lambda number, response: heard.append((number, response.id)),
        piece=lambda number, second, tensor: heard.append((number, round(second, 6), tensor.data[0])),
    )
    run = virtual(send(streaming, REQUESTS, np.array([1.0]), 2.0, how))
    assert heard == [(0, 1.6, "a"), (0, 1.7, "b"), (0, 1.8, "c"), (0, "load-0")]
    assert run.first_latencies == pytest.approx([0.6])
    assert run.latencies == pytest.approx([0.8])


def test_a_stream_that_breaks_off_is_a_failure(virtual: Run) -> None:
    async def pieces() -> AsyncIterator[Tensor]:
        yield Tensor("text", "BYTES", (1,), ["a"])
        raise EOFError("half a word")

    async def streaming(request: Request) -> Response:
        return Response(request.id, pieces())

    run = virtual(send(streaming, REQUESTS, np.array([1.0]), 2.0))
    assert run.failures == {"EOFError: half a word": 1}
    assert run.first.tolist() == [1.0]
    assert np.isnan(run.done).all()


def test_callers_ask_again_when_they_are_answered(virtual: Run) -> None:
    run = virtual(ask_in_turn(in_20_ms, REQUESTS, 4, 2.0))
    assert run.n == 400
    assert not run.scheduled
    assert np.isnan(run.due).all()
    assert len(run.lags) == 0
    np.testing.assert_allclose(run.latencies, 0.02)


def test_callers_go_on_until_there_are_enough(virtual: Run) -> None:
    assert virtual(ask_in_turn(in_20_ms, REQUESTS, 1, 0.1, least=64)).n == 64


def test_callers_whose_requests_fail_at_once_do_not_spin(virtual: Run) -> None:
    async def fails(request: Request) -> Response:
        raise ValueError("no")

    assert virtual(ask_in_turn(fails, REQUESTS, 1, 1.0)).n == pytest.approx(100, abs=1)


def test_the_cpu_share_is_known_on_a_real_clock_only(virtual: Run) -> None:
    due = np.arange(0, 0.2, 0.001)
    assert np.isnan(virtual(send(in_20_ms, REQUESTS, due, 0.2)).cpu_share)
    assert 0 < asyncio.run(send(in_20_ms, REQUESTS, due, 0.2)).cpu_share < 5


def test_nothing_is_left_running(virtual: Run) -> None:
    async def main() -> int:
        await send(in_20_ms, REQUESTS, EVERY_10_MS, 10.0, Sending(patience_seconds=0.005))
        await ask_in_turn(in_20_ms, REQUESTS, 3, 1.0)
        return len(asyncio.all_tasks())

    assert virtual(main()) == 1
