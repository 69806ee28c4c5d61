"""Load sends requests at the times of an open-loop schedule and measures from those times, not from the sending."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.core.wire import Handler, Request
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.base import Arrivals
from roadworthy.evaluate.binomial import cumulative
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, send
from roadworthy.evaluate.load_test.saturation import saturation
from roadworthy.evaluate.load_test.timeline import Timeline
from roadworthy.evaluate.load_test.validity import Gates, lag_p99, omission

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


class LoadRun(Struct, frozen=True):
    """What a load test found. An invalid run says why: its numbers describe the generator, not the handler.

    `rate` is the one that was scheduled, 0 where each caller waited for its answer (a closed loop). `seconds` is how
    long requests were sent. `checks` are the gates of validity, one `fail` of which makes the run invalid; `warnings`
    say what else a reader of the numbers must know. `arrivals` is the plan of the schedule, None in a closed loop. The
    arrays with one row a request are in the Timeline, which stands beside it and goes into no report.
    """

    rate: float
    seconds: float
    measured: tuple[Measurement, ...]
    valid: bool
    because: str
    failures: dict[str, int]
    scenario: str = "server"
    arrivals: Any = "poisson"
    checks: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()

    def find(self, name: str) -> Measurement:
        """The measurement of this name; that of nothing where there is none."""
        return next((m for m in self.measured if m.name == name), nothing(name))


async def run(
    handler: Handler,
    requests: Sequence[Request],
    arrivals: Arrivals,
    rate: float,
    seconds: float,
    rng: np.random.Generator,
    how: Sending | None = None,
    gates: Gates | None = None,
    bound_ms: float | None = None,
) -> tuple[LoadRun, Timeline]:
    """Open loop: requests go out when `arrivals` says, in turn, whether or not earlier ones were answered.

    Latency runs from the scheduled time, so that a stall is paid by all who were due in it (no coordinated omission;
    LoadGen's rule). A failure is infinite latency. With `bound_ms` the early-stopping gate asks whether the run bears
    that its percentile is within the bound. The clock is the event loop's. The Timeline has one row a request.
    """
    due = arrivals(rate, seconds, rng)
    timeline = await send(handler, requests, due, seconds, how)
    return summary(timeline, rate, write_plan(arrivals), gates, bound_ms), timeline


async def load(
    handler: Handler,
    requests: Sequence[Request],
    rate: float,
    seconds: float,
    rng: np.random.Generator,
    patience_seconds: float = 30.0,
    gates: Gates | None = None,
) -> LoadRun:
    """`run` with Poisson arrivals, for a report: without the Timeline."""
    return (await run(handler, requests, Poisson(), rate, seconds, rng, Sending(patience_seconds), gates))[0]


def summary(
    timeline: Timeline,
    rate: float = 0.0,
    arrivals: Any = None,
    gates: Gates | None = None,
    bound_ms: float | None = None,
    scenario: str = "",
) -> LoadRun:
    """What a timeline amounts to. `rate` and `arrivals` (a plan) are those of its schedule, where it has one.

    A run that the server did not survive gives no numbers: how it went until then says nothing about what it can do.
    """
    over = None if bound_ms is None else int((1000 * timeline.latencies > bound_ms).sum())
    checks = (gates or Gates())(timeline, over)
    wrong = [check.because for check in checks if check.decision == "fail"]
    closed = timeline.n > 0 and not timeline.scheduled
    lag = lag_p99(timeline)
    fine = f"{timeline.n} arrivals, lag p99 {lag.value:.1f} ms" if lag.n else f"{timeline.n} requests in turn"
    steady = saturation(timeline)
    warned = (omission(timeline), steady.because if steady.decision == "fail" else "")
    return LoadRun(
        0.0 if closed else rate,
        timeline.seconds,
        unmeasured() if timeline.stopped else measured(timeline),
        not wrong,
        "; ".join(wrong) or fine,
        timeline.failures,
        scenario or ("closed" if closed else "server"),
        arrivals,
        checks,
        tuple(filter(None, warned)),
    )


def measured(timeline: Timeline) -> tuple[Measurement, ...]:
    """Percentiles, error rate, throughput and the generator's own lag and CPU share, in that order."""
    latencies, n = timeline.latencies, timeline.n
    since = {"since": "due" if timeline.scheduled else "sent"}
    rows = [percentile(_called(share), latencies, share) for share in SHARES]
    answered, lasted = n - timeline.failed, timeline.ended
    spread = 1.96 * math.sqrt(max(answered, 1)) / lasted if lasted else math.inf
    served = answered / lasted if lasted else math.nan
    return (
        *(msgspec.structs.replace(row, conditions=since) for row in rows),
        proportion("error_rate", timeline.failed, n),
        Measurement("throughput_rps", served, n, max(0.0, served - spread), served + spread, "rps"),
        *((lag_p99(timeline),) if timeline.scheduled else ()),
        Measurement("client_cpu_share", timeline.cpu_share, 0 if math.isnan(timeline.cpu_share) else n),
    )


def unmeasured() -> tuple[Measurement, ...]:
    """What a run that was cut short has to say: nothing."""
    rows = (*((_called(share), "ms") for share in SHARES), ("error_rate", "1"), ("throughput_rps", "rps"))
    return tuple(nothing(name, unit) for name, unit in rows)


async def capacity(
    handler: Handler, requests: Sequence[Request], seconds: float = 1.0, in_flight: int = 64, slices: int = 10
) -> Measurement:
    """Requests a second with `in_flight` callers that each ask again as soon as they are answered (closed loop).

    A quick ceiling to choose a rate by, and no statement about latency. The interval is over `slices` of the time.
    """
    timeline = await ask_in_turn(handler, requests, in_flight, seconds, Sending(prefix="capacity"))
    answered = timeline.done[timeline.done < seconds]
    done = np.histogram(answered, slices, (0.0, seconds))[0].astype(np.float64)
    found = mean("capacity_rps", done * slices / seconds, unit="rps")
    return msgspec.structs.replace(found, n=int(done.sum()), low=max(0.0, found.low))


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


def _called(share: float) -> str:
    """`p99_ms`; `p999_ms` for the last of a thousand."""
    return f"p{f'{100 * share:g}'.replace('.', '')}_ms"
