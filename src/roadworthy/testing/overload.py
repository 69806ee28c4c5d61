"""What becomes of a Batch under more load than it can bear, simulated on a virtual clock: same seed, same run."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Priority, Request, Response, Tensor
from roadworthy.serve.batch import Batch
from roadworthy.testing.virtual_clock import VirtualLoop, VirtualThread, run

SIGNATURE = Signature({"x": Field()}, {"y": Field()})
INPUTS = {"x": Tensor("x", "FP32", (1, 1), [1.0])}


@dataclass(frozen=True)
class Service:
    """A model of a model: batches of n rows take `fixed + per_row * n` seconds on average, times lognormal noise.

    The noise has mean 1 and log standard deviation `noise`.
    """

    fixed: float = 0.008
    per_row: float = 0.001
    noise: float = 0.2
    most_rows: int = 16

    @property
    def capacity(self) -> float:
        """Rows a second in full batches."""
        return self.most_rows / (self.fixed + self.per_row * self.most_rows)

    def seconds(self, rows: int, rng: np.random.Generator) -> float:
        """What one batch takes."""
        return (self.fixed + self.per_row * rows) * float(rng.lognormal(-0.5 * self.noise**2, self.noise))


@dataclass(frozen=True)
class Offered:
    """An open loop of single rows: Poisson arrivals at `load` times the capacity for `seconds`.

    Every caller allows `allowed` seconds; `shares` are the parts of priorities 1, 2 and 3. With `fifo` the batch gets
    an unbounded queue and is not told of deadlines nor priorities: the baseline.
    """

    load: float
    seconds: float = 4.0
    allowed: float = 0.2
    shares: tuple[float, float, float] = (0.2, 0.6, 0.2)
    fifo: bool = False


@dataclass
class Outcome:
    """What came of one run. `latencies` are those of admitted requests, infinite where no answer came."""

    capacity: float
    seconds: float
    allowed: float
    offered: Counter[int] = field(default_factory=Counter)
    good: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Answers in time, as a share of what the model can do."""
        return self.good.total() / (self.seconds * self.capacity)

    def p(self, quantile: float) -> float:
        """A quantile of the latency of those who were admitted."""
        return float(np.quantile(self.latencies, quantile, method="lower")) if self.latencies else math.nan


class Sleepy:
    """An engine that takes the time of a Service by `sleep`."""

    def __init__(self, service: Service, rng: np.random.Generator, loop: VirtualLoop) -> None:
        self.service, self.rng, self.loop = service, rng, loop

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        self.loop.sleep(self.service.seconds(len(columns["x"]), self.rng))
        return {"y": columns["x"]}


def simulate(seed: int, offered: Offered, service: Service | None = None) -> Outcome:
    """One run; the queue starts empty, and the first requests count like all others."""
    made = service or Service()
    return run(lambda loop: _Simulation(seed, offered, made, loop)())


class _Simulation:
    def __init__(self, seed: int, offered: Offered, service: Service, loop: VirtualLoop) -> None:
        rng = np.random.default_rng(seed)
        self.offered, self.loop = offered, loop
        many = rng.poisson(offered.load * service.capacity * offered.seconds)
        self.due = np.sort(rng.uniform(0.0, offered.seconds, many)).tolist()
        self.priorities = rng.choice((1, 2, 3), many, p=offered.shares).tolist()
        self.outcome = Outcome(service.capacity, offered.seconds, offered.allowed)
        self.batch = Batch(
            Sleepy(service, rng, loop),
            SIGNATURE,
            most_rows=service.most_rows,
            queue=10**9 if offered.fifo else 4096,
            place="thread",
            now=loop.time,
            worker=lambda: VirtualThread(loop),
        )
        sizes = (1, service.most_rows)
        self.batch.line.start([(rows, service.fixed + service.per_row * rows) for rows in sizes])

    async def __call__(self) -> Outcome:
        self.open = 1
        self.ended = self.loop.create_future()
        self._arrive(0)
        await self.ended
        await self.batch.close()
        return self.outcome

    def _arrive(self, number: int) -> None:
        if number == len(self.due):
            self._closed_one()
            return
        self._ask(number, self.due[number], self.priorities[number])
        following = self.due[number + 1] if number + 1 < len(self.due) else self.offered.seconds
        self.loop.call_at(following, self._arrive, number + 1)

    def _ask(self, number: int, due: float, priority: Priority) -> None:
        self.outcome.offered[priority] += 1
        deadline = None if self.offered.fifo else due + self.offered.allowed
        asked = 2 if self.offered.fifo else priority
        try:
            answer = self.batch(Request(str(number), INPUTS, 0.0, deadline=deadline, priority=asked))
        except RoadworthyError as refused:
            self.outcome.refused[type(refused).__name__] += 1
            return
        self.open += 1
        answer.add_done_callback(partial(self._answered, due, priority))

    def _answered(self, due: float, priority: Priority, answer: asyncio.Future[Response]) -> None:
        seconds = math.inf if answer.exception() is not None else self.loop.time() - due
        self.outcome.latencies.append(seconds)
        self.outcome.good[priority] += seconds <= self.offered.allowed
        self._closed_one()

    def _closed_one(self) -> None:
        self.open -= 1
        if not self.open:
            self.ended.set_result(None)
