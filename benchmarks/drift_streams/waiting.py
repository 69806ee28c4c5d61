"""How long streams wait before a false alarm, against what they state, and how soon they hear a step."""

from __future__ import annotations

import math

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import binomial_survival
from roadworthy.observe.base import Stream
from roadworthy.observe.streams.adwin import Adwin
from roadworthy.observe.streams.e_detector import EDetector
from roadworthy.testing.streams import errors, heard

# A guarantee that holds is refused this rarely.
SURPRISE = 1e-4
BEFORE, AFTER = 0.15, 0.20
STREAMS: dict[str, Stream] = {
    "e_detector, mean known": EDetector(alpha=1e-4, mean=BEFORE),
    "e_detector, mean of 20,000": EDetector(alpha=1e-4, mean=BEFORE, rows=20_000),
    "e_detector, learns 2,000": EDetector(alpha=1e-4),
    "e_detector, CUSUM": EDetector(alpha=1e-4, mean=BEFORE, best_only=True),
    "e_detector, 1 in 100,000": EDetector(alpha=1e-5, mean=BEFORE),
    "adwin": Adwin(),
}


def waits(n: int) -> tuple[list[Measurement], bool]:
    """A table of the mean number of values between false alarms and the median delay of a step; and was one broken?"""
    print(f"\n{'stream':30}{'stated':>9}{'values a false alarm':>22}{'delay, .15 to .20':>20}{'us a value':>12}")
    found, kept = [], True
    for name, made in STREAMS.items():
        alarms = false_alarms(made, n)
        alpha = made.alpha  # type: ignore[attr-defined]
        kept &= binomial_survival(alarms, n, alpha) > SURPRISE
        gap = between(name, alarms, n)
        delay, taken = step_delay(made)
        shown = f"{gap.value:,.0f}" if alarms else f"over {gap.low:,.0f}"
        print(f"{name:30}{1 / alpha:9,.0f}{shown:>22}{delay:20,.0f}{taken:12.2f}")
        found += [gap] if alarms else []
        found.append(Measurement("median_delay", delay, 20, unit="values", where=name))
    return found, kept


def false_alarms(made: Stream, n: int) -> int:
    """On errors at one rate, and for those that learn it also at others."""
    learns = not isinstance(made, EDetector) or made.mean is None
    rates = (0.02, BEFORE, 0.5) if learns else (BEFORE,)
    rng = np.random.default_rng(0)
    return sum(len(list(heard(made.begin(), errors(rng, rate, n // len(rates))))) for rate in rates)


def between(name: str, alarms: int, n: int) -> Measurement:
    """Values between two false alarms, with an interval of a Poisson count (by its square root)."""
    root = math.sqrt(alarms + 0.375)
    most, fewest = (root + 0.98) ** 2, max(0.05, (root - 0.98)) ** 2
    return Measurement("values_a_false_alarm", n / max(alarms, 1), n, n / most, n / fewest, "values", where=name)


def step_delay(made: Stream) -> tuple[float, float]:
    """The median number of values until a rise is heard (infinite where it is not), and microseconds a value."""
    import time

    delays, spent, values = [], 0.0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        heard_values = [*errors(rng, BEFORE, 4000), *errors(rng, AFTER, 8000)]
        began = time.process_time()
        after = [at - 4000 for at in heard(made.begin(), heard_values) if at >= 4000]
        spent, values = spent + time.process_time() - began, values + len(heard_values)
        delays.append(after[0] if after else math.inf)
    return float(np.median(delays)), spent / values * 1e6
