"""A small binary model as a Handler, a sample that it fits, and an event loop whose clock never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing is ready, the clock jumps to the next timer; a handler may also push `now` itself."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and not self._scheduled:
            raise AssertionError("nothing will ever happen again on this loop: a deadlock")
        if not self._ready:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


@pytest.fixture
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a clock that never waits."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(work)

    return run


@pytest.fixture
def signature() -> Signature:
    inputs = {"heat": Field(nullable=True), "seats": Field("integer"), "town": Field("category", nullable=True)}
    return Signature(inputs, {"probability": Field()})


@pytest.fixture
def sample() -> Sample:
    return delays(2000, seed=0)


@pytest.fixture
def handler() -> Handler:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(request.id, {"probability": Tensor("probability", "FP64", (request.n,), probability(request))})

    return answer


def probability(request: Request) -> np.ndarray:
    """What the truth is, as long as the heat comes in the right unit and the town is known."""
    heat = np.nan_to_num(np.asarray(request.inputs["heat"].data, np.float64), nan=60.0)
    town = np.asarray(request.inputs["town"].data, dtype=object)
    return np.asarray(1 / (1 + np.exp(1.4 - (heat - 60) / 15 - (town == "north"))))


def delays(n: int, seed: int, noise: float = 0.0) -> Sample:
    """`noise` is the share of rows whose outcome has nothing to do with the inputs. Rows are ten minutes apart."""
    rng = np.random.default_rng(seed)
    heat, town = rng.normal(60, 15, n), rng.choice(np.array(["north", "south"], dtype=object), n)
    chance = 1 / (1 + np.exp(1.4 - (heat - 60) / 15 - (town == "north")))
    chance = np.where(rng.random(n) < noise, 0.3, chance)
    at = 1_370_000_000.0 + 600.0 * np.arange(n)
    return Sample(
        {"heat": heat, "seats": rng.integers(50, 300, n).astype(np.float64), "town": town},
        labels=(rng.random(n) < chance).astype(np.float64),
        at=at,
        tags={"origin": rng.choice(np.array(["JFK", "LGA"], dtype=object), n)},
        source="synthetic",
        digest=f"{seed:064x}",
    )
