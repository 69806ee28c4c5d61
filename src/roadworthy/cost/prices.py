"""What an answer costs: the price of the machine, shared among the requests that it answers in time."""

from __future__ import annotations

import math

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing


def usd_per_1k(usd_per_hour: float, requests_per_second: Measurement, utilisation: float) -> Measurement:
    """US dollars per 1,000 requests, from the rate that can be kept up and the share of it that is used on average.

    Hand in the goodput at the SLO (`goodput`), not the peak: what is answered too late was paid for and is worth
    nothing. The interval is that of the rate. A price of 0 means that nobody said what the machine costs: then the
    answer is unknown (NaN, n=0), because unknown is not free. Raises SpecError on a price or share out of range.

    >>> print(usd_per_1k(3.6, Measurement("requests_per_second", 100.0, 50, 80.0, 125.0), utilisation=0.5))
    usd_per_1k 0.02 usd [0.016, 0.025] (n=50)
    """
    if not (math.isfinite(usd_per_hour) and usd_per_hour >= 0):
        raise SpecError(f"`usd_per_hour` must be 0 (unknown) or more, got {usd_per_hour!r}")
    if not 0 < utilisation <= 1:
        raise SpecError(f"`utilisation` must be above 0 and at most 1, got {utilisation!r}")
    # Written so that a capacity of NaN is no capacity.
    if usd_per_hour == 0 or requests_per_second.n == 0 or not requests_per_second.value > 0:
        return nothing("usd_per_1k", "usd", requests_per_second.where)

    def price(capacity: float) -> float:
        return usd_per_hour / 3.6 / (capacity * utilisation) if capacity > 0 else math.inf

    return Measurement(
        "usd_per_1k",
        price(requests_per_second.value),
        requests_per_second.n,
        price(requests_per_second.high),
        price(requests_per_second.low),
        "usd",
        requests_per_second.where,
        {**requests_per_second.conditions, "usd_per_hour": usd_per_hour, "utilisation": utilisation},
    )


def goodput(offered_rps: float, good: Measurement, objective: str) -> Measurement:
    """Good answers a second: the rate offered times the share that was `good`: right, complete and in time.

    `objective` says in words what good means ("p99 of 200 ms") and goes into the conditions, up to the price.

    >>> share = Measurement("good", 0.9, 1000, 0.88, 0.92)
    >>> print(goodput(50.0, share, "200 ms"))
    goodput_rps 45 rps [44, 46] (n=1000)
    """
    if not (math.isfinite(offered_rps) and offered_rps >= 0):
        raise SpecError(f"`offered_rps` must be 0 or more, got {offered_rps!r}")
    if good.n == 0:
        return nothing("goodput_rps", "rps", good.where)
    if not 0 <= good.value <= 1:
        raise SpecError(f"`good` must be a share between 0 and 1, got {good.value!r}")
    return Measurement(
        "goodput_rps",
        offered_rps * good.value,
        good.n,
        offered_rps * max(good.low, 0.0),
        offered_rps * min(good.high, 1.0),
        "rps",
        good.where,
        {**good.conditions, "offered_rps": offered_rps, "objective": objective},
    )
