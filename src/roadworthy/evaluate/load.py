"""Load sends requests at the times of an open-loop schedule and measures from those times, not from the sending."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.core.wire import Handler, Request
from roadworthy.evaluate.binomial import cumulative


class LoadRun(Struct, frozen=True):
    """What a load test found. An invalid run says why: its numbers describe the generator, not the handler."""

    rate: float
    seconds: float
    measured: tuple[Measurement, ...]
    valid: bool
    because: str
    failures: dict[str, int]


async def load(
    handler: Handler,
    requests: Sequence[Request],
    rate: float,
    seconds: float,
    rng: np.random.Generator,
    patience_seconds: float = 30.0,
) -> LoadRun:
    """Poisson arrivals at `rate` a second for `seconds`, whether or not earlier ones were answered.

    Latency runs from the scheduled time, so that a stall is paid by all who were due in it (no coordinated omission;
    LoadGen's rule). A failure, or no answer within `patience_seconds` after the last arrival, is infinite latency. The
    clock is the event loop's.
    """
    loop = asyncio.get_running_loop()
    due = arrivals(rate, seconds, rng) + loop.time()
    latencies, lags, failures = np.full(len(due), math.inf), np.zeros(len(due)), Counter[str]()

    async def one(number: int) -> None:
        try:
            await handler(msgspec.structs.replace(requests[number % len(requests)], id=f"load-{number}"))
            latencies[number] = loop.time() - due[number]
        # Whatever a handler raises is a failed request to whoever sent it, and counted with its reason.
        except Exception as wrong:
            failures[f"{type(wrong).__name__}: {wrong}"] += 1

    tasks = []
    for number, at in enumerate(due):
        await asyncio.sleep(max(0.0, at - loop.time()))
        lags[number] = loop.time() - at
        tasks.append(loop.create_task(one(number)))
    late = (await asyncio.wait(tasks, timeout=patience_seconds))[1] if tasks else set()
    for task in late:
        task.cancel()
    if late:
        failures[f"no answer within {patience_seconds:g} s of the last arrival"] += len(late)
        await asyncio.gather(*late, return_exceptions=True)
    return _summary(rate, seconds, latencies, lags, dict(failures.most_common()))


async def capacity(
    handler: Handler, requests: Sequence[Request], seconds: float = 1.0, in_flight: int = 64, slices: int = 10
) -> Measurement:
    """Requests a second with `in_flight` callers that each ask again as soon as they are answered (closed loop).

    A quick ceiling to choose a rate by, and no statement about latency. The interval is over `slices` of the time.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    done = np.zeros(slices)
    numbers = iter(range(1_000_000_000))

    async def caller() -> None:
        while (elapsed := loop.time() - start) < seconds:
            number = next(numbers)
            try:
                await handler(msgspec.structs.replace(requests[number % len(requests)], id=f"capacity-{number}"))
                elapsed = loop.time() - start
                done[min(int(elapsed / seconds * slices), slices - 1)] += elapsed < seconds
            # A refusal is no throughput; the caller backs off, or it would spin without ever giving way.
            except Exception:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    found = mean("capacity_rps", done * slices / seconds, unit="rps")
    return msgspec.structs.replace(found, n=int(done.sum()), low=max(0.0, found.low))


def arrivals(rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The times (seconds from the start) of a Poisson process, given its count: uniform and in order."""
    return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))


def percentile(name: str, seconds: NDArray[np.float64], share: float, confidence: float = 0.95) -> Measurement:
    """A percentile in ms with the order-statistic interval (exact binomial); infinite where too few rows bound it."""
    n = len(seconds)
    if n == 0:
        return nothing(name, "ms")
    ordered = 1000 * np.sort(seconds)
    upto = cumulative(n, share)
    low = int(np.searchsorted(upto, (1 - confidence) / 2, "right"))
    high = int(np.searchsorted(upto, (1 + confidence) / 2, "left")) + 1
    return Measurement(
        name,
        float(ordered[math.ceil(share * n) - 1]),
        n,
        float(ordered[low - 1]) if low > 0 else 0.0,
        float(ordered[high - 1]) if high <= n else math.inf,
        "ms",
    )


def _summary(
    rate: float, seconds: float, latencies: NDArray[np.float64], lags: NDArray[np.float64], failures: dict[str, int]
) -> LoadRun:
    n, failed = len(latencies), int(np.isinf(latencies).sum())
    answered = latencies[np.isfinite(latencies)]
    rows = tuple(percentile(f"p{share}_ms", latencies, share / 100) for share in (50, 95, 99))
    served, spread = (n - failed) / seconds, 1.96 * math.sqrt(max(n - failed, 1)) / seconds
    throughput = Measurement("throughput_rps", served, n, max(0.0, served - spread), served + spread, "rps")
    measured = (*rows, proportion("error_rate", failed, n), throughput)
    lag = float(np.quantile(lags, 0.99)) if n else 0.0
    allowed = max(0.010, 0.01 * float(np.median(answered)) if len(answered) else 0.0)
    if n == 0:
        return LoadRun(rate, seconds, measured, False, "no request was due: raise `rate` or `seconds`", failures)
    if lag > allowed:
        because = f"the generator lagged {1000 * lag:.1f} ms at its p99 (allowed {1000 * allowed:.1f}): lower the rate"
        return LoadRun(rate, seconds, measured, False, because, failures)
    return LoadRun(rate, seconds, measured, True, f"{n} arrivals, lag p99 {1000 * lag:.1f} ms", failures)
