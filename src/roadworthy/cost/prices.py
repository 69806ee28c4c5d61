"""What an answer costs: the price of the machine, shared among the requests that it really answers."""

from __future__ import annotations

import math

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing


def usd_per_1k(usd_per_hour: float, requests_per_second: Measurement, utilisation: float) -> Measurement:
    """US dollars per 1,000 requests, from the capacity measured and the share of it that is used on average.

    The interval is that of the capacity. A price of 0 means that nobody said what the machine costs: then the
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
