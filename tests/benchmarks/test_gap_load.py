from __future__ import annotations

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from gap.load import (
    asking,
    by_number,
    early_stopping_table,
    mdl_capacity,
    mdl_within,
    overload_is_invalid,
    serving,
    stalling,
    trace_cv,
)
from roadworthy.core.wire import Request


def test_an_md1_queue_is_idle_as_often_as_it_should_be() -> None:
    """Nobody waits with probability 1 - load; within two services it is (1 - load) e^load."""
    assert mdl_within(60, 0.01, 0.01) == pytest.approx(0.4)
    assert mdl_within(60, 0.01, 0.02 - 1e-12) == pytest.approx(0.4 * math.exp(0.6))


def test_the_formula_agrees_with_a_simulated_queue() -> None:
    gaps = np.random.default_rng(0).exponential(1 / 70, 300_000)
    wait, inside = 0.0, 0
    for gap in gaps:
        wait = max(0.0, wait + 0.01 - gap)
        inside += wait + 0.01 <= 0.05
    assert inside / len(gaps) == pytest.approx(mdl_within(70, 0.01, 0.05), abs=0.005)
    assert mdl_within(mdl_capacity(0.01, 0.05, 0.99), 0.01, 0.05) == pytest.approx(0.99)


def test_the_table_is_loadgens() -> None:
    assert [one.value for one in early_stopping_table()] == [459, 662, 64]


def test_too_high_a_rate_is_invalid() -> None:
    (found,) = overload_is_invalid(400_000, 0.2)
    assert found.value == 1.0
    assert "the generator lagged" in found.conditions["because"]


def test_the_server_answers_by_its_rule() -> None:
    async def seconds() -> list[float]:
        loop, took = asyncio.get_running_loop(), []
        async with serving(by_number) as port, asking(port) as ask:
            for _ in range(8):
                began = loop.time()
                await ask(Request("a", {}, 0.0))
                took.append(loop.time() - began)
        return took

    assert all(took >= by_number(k, 0.0) - 0.002 for k, took in enumerate(asyncio.run(seconds())))
    assert [sum(by_number(k, 0.0) == wait for k in range(100)) for wait in (0.02, 0.04, 0.08)] == [85, 12, 3]
    assert [stalling(0, now) for now in (3.0, 7.9, 8.5, 19.5)] == [0.0, 0.0, 1.5, 0.5]


def test_a_replayed_trace_keeps_its_shape(tmp_path: Path) -> None:
    times = [10.0 * burst + k / 100 for burst in range(20) for k in range(10)]
    (tmp_path / "bursts.txt").write_text("\n".join(map(str, times)))
    gaps = np.diff(times)
    shape, busiest = trace_cv(tmp_path / "bursts.txt", rate=100)
    assert shape.value == pytest.approx(gaps.std() / gaps.mean(), rel=0.02)
    assert busiest.value == pytest.approx(10 / (199 / times[-1]), rel=0.02)
