"""Closed loops of clients on the virtual clock: what waiting for company makes of their batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from roadworthy.core.wire import Request
from roadworthy.serve.batch import Batch, Place
from roadworthy.testing.overload import INPUTS, SIGNATURE, Service
from roadworthy.testing.virtual_clock import VirtualLoop, VirtualThread, run

# The larger model of the notes (64-2048-2048-10), with a little noise.
LARGE = Service(fixed=650e-6, per_row=75e-6, noise=0.05, most_rows=256)
# What a server and a client together take for one request and its answer, one after the other.
HANDLING = 12e-6


@dataclass
class Seen:
    """What a run of a closed loop came to."""

    mean_batch: float
    model_us_per_row: float
    mean_ms: float
    waits: int


def closed_loop(
    clients: int,
    service: Service = LARGE,
    most_delay_seconds: float = 0.005,
    think: float = 0.0,
    place: Place = "thread",
    turns: int = 200,
) -> Seen:
    """`clients` who ask again when answered, on a loop that handles one of them after the other."""
    rng, sizes, spent, took = np.random.default_rng(0), [], [], []

    async def main(loop: VirtualLoop) -> Seen:
        def engine(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            seconds = service.seconds(len(columns["x"]), rng)
            loop.sleep(seconds)
            sizes.append(len(columns["x"]))
            spent.append(seconds)
            return {"y": columns["x"]}

        batch = Batch(
            engine, SIGNATURE, most_rows=service.most_rows, place=place, now=loop.time,
            most_delay_seconds=most_delay_seconds, worker=lambda: VirtualThread(loop),
        )  # fmt: skip
        batch.line.start([(rows, service.fixed + service.per_row * rows) for rows in (1, 8, 64)])
        waits, called = 0, loop.call_later
        busy_until = 0.0

        def counted(delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
            nonlocal waits
            waits += callback == batch._patience._end
            return called(delay, callback, *args, context=context)

        loop.call_later = counted  # type: ignore[assignment, method-assign]

        async def client() -> None:
            nonlocal busy_until
            for _ in range(turns):
                if think:
                    await asyncio.sleep(float(rng.exponential(think)))
                busy_until = max(busy_until, loop.time()) + HANDLING
                await asyncio.sleep(busy_until - loop.time())
                began = loop.time()
                await batch(Request("r", INPUTS, 0.0))
                took.append(loop.time() - began)

        await asyncio.gather(*[client() for _ in range(clients)])
        await batch.close()
        return Seen(float(np.mean(sizes)), sum(spent) / sum(sizes) * 1e6, float(np.mean(took)) * 1e3, waits)

    return run(main)


def test_many_clients_come_in_one_batch_and_the_model_works_less_for_each() -> None:
    halves, whole = closed_loop(64, most_delay_seconds=0.0), closed_loop(64)
    assert halves.mean_batch < 50
    assert whole.mean_batch > 56
    assert whole.model_us_per_row < 0.95 * halves.model_us_per_row


def test_a_single_client_never_waits() -> None:
    alone = closed_loop(1)
    assert alone.waits == 0
    assert alone.mean_batch == 1.0
    assert alone.mean_ms == pytest.approx((LARGE.fixed + LARGE.per_row) * 1e3, rel=0.02)


def test_clients_who_come_seldom_never_wait() -> None:
    seldom = closed_loop(8, think=0.05, turns=50)
    assert seldom.waits < 0.02 * 8 * 50
    assert seldom.mean_ms < 1.2 * (LARGE.fixed + LARGE.per_row) * 1e3


def test_a_model_without_a_fixed_cost_is_not_waited_for() -> None:
    assert closed_loop(64, Service(fixed=5e-6, per_row=75e-6, noise=0.05, most_rows=256), turns=50).waits == 0


def test_no_delay_is_no_wait() -> None:
    assert closed_loop(64, most_delay_seconds=0.0, turns=50).waits == 0


def test_callers_who_went_away_are_waited_for_a_few_times_and_then_no_more() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        def engine(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            loop.sleep(LARGE.fixed + LARGE.per_row * len(columns["x"]))
            return {"y": columns["x"]}

        batch = Batch(engine, SIGNATURE, place="thread", now=loop.time, worker=lambda: VirtualThread(loop))
        batch.line.start([(rows, LARGE.fixed + LARGE.per_row * rows) for rows in (1, 64)])

        async def ask() -> float:
            began = loop.time()
            await batch(Request("r", INPUTS, 0.0))
            return loop.time() - began

        for _ in range(20):  # they come back quickly, every time
            await asyncio.gather(*[ask() for _ in range(32)])
        alone = [await ask() for _ in range(10)]
        await batch.close()
        return alone

    alone = run(main)
    assert max(alone) < 0.007
    assert alone[-1] == pytest.approx(LARGE.fixed + LARGE.per_row)
