"""The four scenarios of MLPerf LoadGen, and callers that ask in turn: each a way to ask, and the number that it is for.

SingleStream and MultiStream wait for each answer, Server keeps to a Poisson schedule, Offline asks all at once
(mlcommons/inference_policies, inference_rules.adoc).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.load_test.early_stopping import bound, least_requests
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, ask_whole, send
from roadworthy.evaluate.load_test.load import LoadRun, run, summary
from roadworthy.evaluate.load_test.timeline import Timeline
from roadworthy.evaluate.load_test.validity import Gates

SINGLE, MULTI, SERVER = 0.90, 0.99, 0.99
OFFLINE_PATIENCE_SECONDS = 600.0


async def single_stream(
    handler: Handler,
    requests: Sequence[Request],
    seconds: float = 10.0,
    how: Sending | None = None,
    gates: Gates | None = None,
) -> tuple[LoadRun, Timeline]:
    """One caller who asks again when answered: `single_stream_p90_ms`, LoadGen's bound on the p90 (64 requests)."""
    gates = replace(gates or Gates(), share=SINGLE, discarded=1)
    timeline = await ask_in_turn(handler, requests, 1, seconds, how, least_requests(SINGLE, 1))
    return _with("single_stream", "single_stream_p90_ms", timeline, gates), timeline


async def multi_stream(
    handler: Handler,
    requests: Sequence[Request],
    seconds: float = 10.0,
    samples: int = 8,
    how: Sending | None = None,
    gates: Gates | None = None,
) -> tuple[LoadRun, Timeline]:
    """One caller who asks `samples` things at once, and again when all are answered: the p99 of such a query.

    A row of the Timeline is a query, which is done with its last answer and fails with any one of them.
    """
    gates = replace(gates or Gates(), share=MULTI, discarded=1)
    queries = _Queries(handler, requests, samples)
    timeline = await ask_in_turn(queries, requests[:1], 1, seconds, how, least_requests(MULTI, 1))
    return _with("multi_stream", "multi_stream_p99_ms", timeline, gates), timeline


async def server(
    handler: Handler,
    requests: Sequence[Request],
    rate: float,
    bound_ms: float,
    rng: np.random.Generator,
    seconds: float = 10.0,
    how: Sending | None = None,
    gates: Gates | None = None,
) -> tuple[LoadRun, Timeline]:
    """Poisson arrivals at `rate`: valid where LoadGen's rule grants that the p99 is within `bound_ms`.

    The number is the rate itself, the largest of which `search.largest_rate` finds.
    """
    gates = replace(gates or Gates(), share=SERVER)
    found, timeline = await run(handler, requests, Poisson(), rate, seconds, rng, how, gates, bound_ms)
    return msgspec.structs.replace(found, scenario="server"), timeline


async def offline(
    handler: Handler, requests: Sequence[Request], how: Sending | None = None, gates: Gates | None = None
) -> tuple[LoadRun, Timeline]:
    """All requests at once: samples a second until the last is answered (`offline_samples_per_second`)."""
    how = replace(how or Sending(patience_seconds=OFFLINE_PATIENCE_SECONDS), most_in_flight=len(requests))
    # All are due at once: that the last is sent later than the first is no fault of the generator.
    gates = replace(gates or Gates(), lag_seconds=math.inf, cpu_share=math.inf, share=0.5)
    timeline = await send(handler, requests, np.zeros(len(requests)), 0.0, how)
    timeline = replace(timeline, seconds=timeline.ended)
    found = summary(timeline, gates=gates, scenario="offline")
    rate = found.find("throughput_rps")
    best = msgspec.structs.replace(rate, name="offline_samples_per_second", unit="1/s")
    return msgspec.structs.replace(found, measured=(best, *found.measured), warnings=()), timeline


async def in_turn(
    handler: Handler,
    requests: Sequence[Request],
    callers: int,
    seconds: float = 10.0,
    how: Sending | None = None,
    gates: Gates | None = None,
) -> tuple[LoadRun, Timeline]:
    """`callers` who each ask again when answered, as a pool of workers does; it says nothing about users."""
    timeline = await ask_in_turn(handler, requests, callers, seconds, how)
    return summary(timeline, gates=gates, scenario="in_turn"), timeline


def _with(scenario: str, name: str, timeline: Timeline, gates: Gates) -> LoadRun:
    """The summary with the scenario's own number in front of it."""
    found = summary(timeline, gates=gates, scenario=scenario)
    best: Measurement = nothing(name, "ms") if timeline.stopped else bound(name, timeline.latencies, gates.share)
    return msgspec.structs.replace(found, measured=(best, *found.measured))


@dataclass
class _Queries:
    """Takes each request that it is handed for a query, and asks the next `samples` of its own."""

    handler: Handler
    requests: Sequence[Request]
    samples: int
    asked: int = 0

    async def __call__(self, query: Request) -> Response:
        numbers = range(self.asked, self.asked + self.samples)
        self.asked += self.samples
        asked = [self.requests[number % len(self.requests)] for number in numbers]
        named = [msgspec.structs.replace(one, id=f"{query.id}.{k}") for k, one in enumerate(asked)]
        # Every answer is waited for, so that none of a failed query runs into the next one.
        answers = await asyncio.gather(*(ask_whole(self.handler, one) for one in named), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return Response(query.id, {})
