"""The search for the largest rate at which a handler still meets its requirements."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.stats import nothing, wilson, z_of
from roadworthy.core.wire import Handler, Request
from roadworthy.evaluate.arrivals.poisson import Poisson
from roadworthy.evaluate.base import Arrivals
from roadworthy.evaluate.load_test.generator import Sending, ask_in_turn, send
from roadworthy.evaluate.load_test.saturation import knee, saturation
from roadworthy.evaluate.load_test.timeline import Floats, Timeline
from roadworthy.evaluate.load_test.validity import Gates

Outcome = Literal["meets", "misses", "unknown", "gone"]
BLOCKS = 12
# A handler that begins idle is faster than one that has been at work: this part of a probe is not judged.
WARM_SHARE = 0.1
SETTLE_REQUESTS = 20


class Probe(Struct, frozen=True):
    """One rate that was tried. `attained` are the shares of requests within each requirement, with intervals.

    `misses` is the handler's doing, `unknown` the generator's: it could not send at this rate. After `gone` there is no
    handler left to ask.
    """

    rate: float
    seconds: float
    outcome: Outcome
    because: str
    served: float
    attained: tuple[Measurement, ...]


class Search(Struct, frozen=True):
    """The largest rate found (`max_rate_rps`), every rate that was tried for it, and the knee of their throughputs.

    The rate is the median of the repeats, its interval their smallest and largest, which covers the true median with
    the confidence in its conditions; a single search has none. Its upper bound is open where the generator gave out
    first. `because` says what stood in the way of more.
    """

    max_rate: Measurement
    because: str
    knee: Measurement
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class Pace:
    """How thoroughly to search: a probe lasts `seconds`, and up to `looks` times as long while it is undecided.

    A search ends when the rates that meet and miss are within `tolerance`; it is made `repeats` times.
    """

    seconds: float = 10.0
    looks: int = 4
    tolerance: float = 0.02
    repeats: int = 5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if min(self.seconds, self.looks, self.repeats, self.tolerance) <= 0:
            raise ValueError(f"`seconds`, `looks`, `repeats` and `tolerance` must be above 0, got {self!r}")


async def largest_rate(
    handler: Handler,
    requests: Sequence[Request],
    requirements: Sequence[Requirement],
    start: float,
    rng: np.random.Generator,
    arrivals: Arrivals | None = None,
    pace: Pace | None = None,
    how: Sending | None = None,
    gates: Gates | None = None,
    tell: Callable[[Probe], None] = lambda probe: None,
) -> Search:
    """Bisection between rates that meet all `requirements` and rates that miss one, beginning at `start` a second.

    Understands `at_most` on `pNN_ms`, on `first_pNN_ms` (to the first piece of a stream) and on `error_rate`. A rate
    meets them when the Wilson interval of the share of requests within each is above what is required (the share
    itself, where `pace.looks` did not decide), and the handler does not fall behind. Of the gates only those of the
    generator, lag and CPU, apply to a probe. `tell` hears each one. Raises SpecError for other requirements.
    """
    aims, pace, arrivals, how = [*map(_aim, requirements)], pace or Pace(), arrivals or Poisson(), how or Sending()
    if not aims or not start > 0:
        raise SpecError(f"a largest rate needs a requirement and a `start` above 0, got {len(aims)} and {start!r}")
    probes: list[Probe] = []

    async def probe(rate: float) -> Probe:
        parts = list[Timeline]()
        while not parts or (len(parts) < pace.looks and not _decided(parts, aims, pace.confidence)):
            # Ids of its own for every part: a handler that knows an id already may answer out of its memory.
            named = replace(how, prefix=f"{how.prefix}-{len(probes)}-{len(parts)}")
            parts.append(await send(handler, requests, arrivals(rate, pace.seconds, rng), pace.seconds, named))
        probes.append(_judged(rate, parts, aims, pace.confidence, gates or Gates()))
        tell(probes[-1])
        if probes[-1].outcome != "meets":
            named = replace(how, prefix=f"{how.prefix}-{len(probes)}-settle")
            await _settle(handler, requests, min(aim.seconds for aim in aims), named)
        return probes[-1]

    rates, factor = list[float](), 2.0
    for _ in range(pace.repeats):
        rates.append(await _bisect(probe, start, factor, pace.tolerance))
        if not rates[-1] or probes[-1].outcome == "gone":
            break
        # Later searches begin where the one before ended, and need not look far.
        start, factor = rates[-1], 1.1
    under = [str(required) for required in requirements]
    conditions = {"under": under, "arrivals": write_plan(arrivals), "tolerance": pace.tolerance}
    return _found(rates, probes, conditions)


async def _settle(handler: Handler, requests: Sequence[Request], seconds: float, how: Sending) -> None:
    """Wait until a lone request is answered within `seconds`: an overload leaves a queue that is worked off long after.

    Without it a rate would be judged by what the one before left behind.
    """
    for turn in range(SETTLE_REQUESTS):
        named = replace(how, prefix=f"{how.prefix}-{turn}")
        timeline = await ask_in_turn(handler, requests, 1, 0.0, named, least=1)
        if timeline.latencies[0] <= seconds or timeline.stopped:
            return


async def _bisect(probe: Callable[[float], Awaitable[Probe]], start: float, factor: float, tolerance: float) -> float:
    """A rate that meets, at most `tolerance` below one that does not; 0 where none within a thousandth of `start` does.

    Rates that are all met end the search at a million times `start`, which no handler serves.
    """
    low, high, rate, last = 0.0, math.inf, start, "meets"
    while (not low or math.isinf(high)) and start / 1000 < rate < start * 1e6 and last != "gone":
        last = (await probe(rate)).outcome
        low, high = (rate, high) if last == "meets" else (low, rate)
        rate = rate * factor if last == "meets" else rate / factor
        # The further away the end is, the longer the strides.
        factor = min(2.0, factor**1.5)
    while low and high > low * (1 + tolerance) and last != "gone":
        middle = math.sqrt(low * high)
        last = (await probe(middle)).outcome
        low, high = (middle, high) if last == "meets" else (low, middle)
    return low


@dataclass(frozen=True)
class _Aim:
    """The share of requests that must be within a bound (seconds), of a latency or of failing at all."""

    name: str
    share: float
    seconds: float
    first: bool = False

    def within(self, timeline: Timeline) -> Floats:
        """1 for each request within the bound, 0 for each beyond it; the first of a run met an idle handler."""
        waited = timeline.first_latencies if self.first else timeline.latencies
        kept = ~np.isnan(timeline.done) & (waited <= self.seconds)
        return np.asarray(kept[timeline.due >= WARM_SHARE * timeline.seconds], dtype=np.float64)


def _aim(required: Requirement) -> _Aim:
    bound, latency = required.at_most, re.fullmatch(r"(first_)?p(\d{2,4})_ms", required.metric)
    if (
        required.at_least is not None
        or bound is None
        or required.where
        or not (latency or required.metric == "error_rate")
    ):
        known = "`at_most` on `pNN_ms`, `first_pNN_ms` or `error_rate`, on everything"
        raise SpecError(f"a largest rate cannot be searched under {str(required)!r}; it understands {known}")
    if latency:
        digits = latency[2]
        return _Aim(required.metric, int(digits) / 10 ** len(digits), bound / 1000, bool(latency[1]))
    return _Aim("error_rate", 1 - bound, math.inf)


def _judged(rate: float, parts: Sequence[Timeline], aims: Sequence[_Aim], confidence: float, gates: Gates) -> Probe:
    """What all the parts together say of a rate."""
    attained = tuple(_attained(aim, parts, confidence) for aim in aims)
    seconds = sum(part.seconds for part in parts)
    served = sum(part.n - part.failed for part in parts) / max(sum(part.ended for part in parts), 1e-9)
    outcome, because = _outcome(parts, aims, attained, gates)
    return Probe(rate, seconds, outcome, because, served, attained)


def _outcome(
    parts: Sequence[Timeline], aims: Sequence[_Aim], attained: Sequence[Measurement], gates: Gates
) -> tuple[Outcome, str]:
    for part in parts:
        if part.stopped:
            return "gone", part.stopped
        for check in (gates.lag(part), gates.cpu(part)):
            if check.decision == "fail":
                return "unknown", check.because
    for aim, share in zip(aims, attained, strict=True):
        if share.n and share.value < aim.share:
            return "misses", f"{share.value:.4g} of the requests were within {aim.name}, and {aim.share:g} must be"
    falling = [verdict for verdict in map(saturation, parts) if verdict.decision == "fail"]
    return ("misses", falling[0].because) if falling else ("meets", "every requirement is met")


def _decided(parts: Sequence[Timeline], aims: Sequence[_Aim], confidence: float) -> bool:
    """Is one requirement surely missed, or all of them surely met? Nobody need look again at a server that is gone."""
    shares = [(_attained(aim, parts, confidence), aim.share) for aim in aims]
    missed = any(found.high < wanted for found, wanted in shares)
    return bool(parts[-1].stopped) or missed or all(found.n and found.low >= wanted for found, wanted in shares)


def _attained(aim: _Aim, parts: Sequence[Timeline], confidence: float) -> Measurement:
    """The share within the bound, with a Wilson interval at the effective number of requests.

    Requests that wait in one queue fare alike, so that n of them tell less than n independent ones would (the design
    effect of Kish 1965): how much less is seen from how far the means of blocks lie apart.
    """
    within = [found for found in map(aim.within, parts) if len(found)]
    hits, n = sum(float(part.sum()) for part in within), sum(len(part) for part in within)
    if not n:
        return nothing(aim.name)
    share = hits / n
    blocks = [block for part in within for block in np.array_split(part, min(BLOCKS, len(part)))]
    apart = float(np.mean([len(block) * (float(block.mean()) - share) ** 2 for block in blocks]))
    by_chance = share * (1 - share)
    effective = n / max(1.0, apart / by_chance) if by_chance else float(n)
    low, high = wilson(share, effective, z_of(confidence))
    return Measurement(aim.name, share, n, low, high, conditions={"effective_n": round(effective)})


def _found(rates: Sequence[float], probes: Sequence[Probe], conditions: dict[str, Any]) -> Search:
    bend = knee([probe.rate for probe in probes], [probe.served for probe in probes])
    middle = median(rates)
    above = [probe for probe in probes if probe.outcome != "meets" and probe.rate > middle]
    stood = min(above, key=lambda probe: probe.rate).because if above else "nothing: it met them at every rate tried"
    if probes[-1].outcome == "gone" or not middle:
        return Search(nothing("max_rate_rps", "rps"), probes[-1].because, bend, tuple(probes))
    # Where the generator gave out first, the handler may be able to do any amount more.
    limited = not any(probe.outcome == "misses" for probe in above)
    low = min(rates) if len(rates) > 1 else 0.0
    high = max(rates) if len(rates) > 1 and not limited else math.inf
    conditions = {**conditions, "confidence": 1 - 2.0 ** (1 - len(rates)), "repeats": len(rates)}
    found = Measurement("max_rate_rps", middle, len(rates), low, high, "rps", conditions=conditions)
    return Search(found, stood, bend, tuple(probes))
