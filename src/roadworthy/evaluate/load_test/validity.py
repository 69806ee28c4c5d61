"""Validity says whether a load run measured the handler at all, or only its generator, its haste or a dying server."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.evaluate.load_test.early_stopping import least_requests
from roadworthy.evaluate.load_test.timeline import Timeline

# A gap so many times the p99 says that a schedule would have met it with more than one request in a hundred.
OMITTED_TIMES = 3.0


@dataclass(frozen=True)
class Gates:
    """What a run must have been to count; a check that fails marks it INVALID, whatever its numbers are.

    `share` is the percentile that the run shall bear and `discarded` how many requests may lie beyond it
    (early stopping, by LoadGen's rule; MLPerf wants `least_seconds=600`). The generator may send `lag_seconds` late, or
    1 % of the median latency where that is more, and use `cpu_share` of a core. Failures are infinite latency and need
    no gate of their own; only a run with more than `error_rate` of them says nothing about latency.
    """

    least_seconds: float = 1.0
    least_requests: int = 1
    share: float = 0.99
    discarded: int = 0
    lag_seconds: float = 0.010
    cpu_share: float = 0.9
    error_rate: float = 0.999

    def __call__(self, timeline: Timeline, over_bound: int | None = None) -> tuple[Verdict, ...]:
        """A verdict a gate, in the order in which they matter. `over_bound` requests were slower than a set bound.

        `fail` is a reason that the run is invalid; `wait` is a gate that cannot be known here.
        """
        return tuple(self._verdicts(timeline, over_bound))

    def _verdicts(self, timeline: Timeline, over_bound: int | None) -> Iterator[Verdict]:
        if timeline.stopped:
            yield Verdict("fail", timeline.stopped, "server")
        if not timeline.n:
            yield Verdict("fail", "no request was due: raise `rate` or `seconds`", "requests")
            return
        yield self.errors(timeline)
        if timeline.scheduled:
            yield self.lag(timeline)
        yield self.cpu(timeline)
        yield self.duration(timeline)
        yield self.requests(timeline)
        yield self.early_stopping(timeline, over_bound)

    def errors(self, timeline: Timeline) -> Verdict:
        """Was enough answered?"""
        failed, n = timeline.failed, timeline.n
        because = f"{failed:,} of {n:,} requests failed"
        if failed <= self.error_rate * n:
            return Verdict("pass", because, "error_rate")
        first = next(iter(timeline.failures), "")
        return Verdict("fail", f"{because}, most often with {first!r}", "error_rate")

    def lag(self, timeline: Timeline) -> Verdict:
        """Did the generator keep to its schedule? Where it did not, what it measured is itself."""
        lag, latencies = lag_p99(timeline), timeline.latencies
        answered = latencies[np.isfinite(latencies)]
        allowed = 1000 * max(self.lag_seconds, 0.01 * float(np.median(answered)) if len(answered) else 0.0)
        told = f"lagged {lag.value:.1f} ms at its p99 (allowed {allowed:.1f})"
        if lag.n and lag.value > allowed:
            return Verdict("fail", f"the generator {told}: lower the rate", "dispatch_lag", (lag,))
        return Verdict("pass", f"the generator {told}", "dispatch_lag", (lag,))

    def cpu(self, timeline: Timeline) -> Verdict:
        """Had the generator's thread time to spare?"""
        share = timeline.cpu_share
        if math.isnan(share):
            return Verdict("wait", "the clock is simulated: the generator's CPU time says nothing", "client_cpu")
        if share > self.cpu_share:
            because = f"the generator's thread was busy {share:.0%} of the time (allowed {self.cpu_share:.0%})"
            return Verdict("fail", f"{because}: lower the rate, or send from several processes", "client_cpu")
        return Verdict("pass", f"the generator's thread was busy {share:.0%} of the time", "client_cpu")

    def duration(self, timeline: Timeline) -> Verdict:
        """Did it last long enough to see what only happens now and then?"""
        lasted = timeline.ended if not timeline.scheduled else timeline.seconds
        if lasted < self.least_seconds:
            because = f"the run lasted {lasted:.3g} s and must last {self.least_seconds:g} s: raise `seconds`"
            return Verdict("fail", because, "duration")
        return Verdict("pass", f"the run lasted {lasted:.3g} s", "duration")

    def requests(self, timeline: Timeline) -> Verdict:
        """Were there as many requests as were asked for?"""
        if timeline.n < self.least_requests:
            because = f"{timeline.n:,} requests were sent, and at least {self.least_requests:,} must be"
            return Verdict("fail", because, "requests")
        return Verdict("pass", f"{timeline.n:,} requests", "requests")

    def early_stopping(self, timeline: Timeline, over_bound: int | None = None) -> Verdict:
        """Do so many requests bear the percentile? With a bound, even though `over_bound` of them are beyond it?"""
        over = self.discarded if over_bound is None else over_bound
        needed = least_requests(self.share, over)
        told = f"p{100 * self.share:g} needs at least {needed:,} requests"
        if over_bound:
            told += f" with {over:,} beyond its bound"
        if timeline.n >= needed:
            return Verdict("pass", f"{told}, and {timeline.n:,} were sent", "early_stopping")
        missing = needed - timeline.n
        advice = f"send {missing:,} more" + (", all of them in time, or lower the rate" if over_bound else "")
        return Verdict("fail", f"{told}, and {timeline.n:,} were sent: {advice}", "early_stopping")


def lag_p99(timeline: Timeline) -> Measurement:
    """How late the generator sent (p99, ms); nothing where there was no schedule to be late for."""
    lags = timeline.lags
    value = 1000 * float(np.quantile(lags, 0.99)) if len(lags) else math.nan
    return Measurement("dispatch_lag_p99_ms", value, len(lags), unit="ms")


def omission(timeline: Timeline) -> str:
    """What a closed loop leaves out, in words; "" for an open loop, which leaves out nothing.

    While the server stands still the callers wait with it, so that one slow answer stands for all who would have come
    meanwhile (coordinated omission, Tene 2015). The longest gap between two sendings shows how much that is.
    """
    if timeline.scheduled or not timeline.n:
        return ""
    told = "closed loop: omits coordinated delays, since nobody asks while the callers wait"
    sent = np.sort(timeline.sent[~np.isnan(timeline.sent)])
    gap = float(np.diff(sent, append=timeline.ended).max()) if len(sent) else 0.0
    answered = timeline.latencies[np.isfinite(timeline.latencies)]
    p99 = float(np.quantile(answered, 0.99)) if len(answered) else 0.0
    if gap <= OMITTED_TIMES * p99:
        return f"{told}; its longest gap is {1000 * gap:.1f} ms against a p99 of {1000 * p99:.1f} ms"
    missed = gap / float(np.median(np.diff(sent))) if len(sent) > 1 and np.median(np.diff(sent)) > 0 else math.nan
    due = f", in which about {missed:,.0f} requests were never sent" if math.isfinite(missed) else ""
    return f"{told}: its p99 is {1000 * p99:.1f} ms, but for {1000 * gap:.1f} ms nothing was asked{due}"
