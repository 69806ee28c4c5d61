"""How often stop rules roll back a good canary in a day of looking every 5 minutes, and how fast they stop a bad one.

200,000 requests a day, 5 % of them on the canary. `python benchmarks/gates.py --runs 4000`; the last line is JSON.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import log_losses, proportion
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.quality import Quality
from roadworthy.rollout.sequential import block_ends, difference_of_split, evidence, mean_bounds

A_DAY, LOOKS, SHARE = 200_000, 288, 0.05
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """Simulated counts, (runs, segments): a segment ends at each look and at each end of a block of the gate."""

    ends: Counts
    rows: Counts
    errors: Counts
    candidate_rows: Counts
    candidate_errors: Counts

    @classmethod
    def simulate(cls, stable: float, candidate: float, runs: int, rng: np.random.Generator) -> Day:
        ends = np.union1d(block_ends(A_DAY), LOOK_ENDS)
        rows = np.broadcast_to(np.diff(ends, prepend=0), (runs, len(ends)))
        on_candidate = rng.binomial(rows, SHARE)
        bad = rng.binomial(on_candidate, candidate)
        return cls(ends, rows, bad + rng.binomial(rows - on_candidate, stable), on_candidate, bad)

    def until(self, ends: Counts) -> tuple[Counts, Counts, Counts, Counts]:
        """(candidate errors, errors, candidate rows, rows) up to each of `ends`."""
        at = np.searchsorted(self.ends, ends)
        parts = (self.candidate_errors, self.errors, self.candidate_rows, self.rows)
        x, r, k, n = (np.cumsum(part, axis=1)[:, at] for part in parts)
        return x, r, k, n


LOOK_ENDS = np.arange(1, LOOKS + 1) * A_DAY // LOOKS
Rule = Callable[[Day], NDArray[np.bool_]]


def e_process(day: Day) -> NDArray[np.bool_]:
    """Our gate: at each look, whether the evidence was ever enough."""
    ends = block_ends(A_DAY)
    x, r, k, n = (np.diff(part, axis=1, prepend=0) for part in day.until(ends))
    enough = np.maximum.accumulate(evidence(x, r, k, n), axis=1) >= -math.log(Errors().alpha)
    newest = np.searchsorted(ends, LOOK_ENDS, side="right") - 1
    return enough[:, newest]


def twice_baseline(day: Day) -> NDArray[np.bool_]:
    """The rule in most tools: the candidate's error rate is over twice stable's."""
    x, r, k, n = day.until(LOOK_ENDS)
    return x * (n - k) > 2 * (r - x) * k


def twice_and_five(day: Day) -> NDArray[np.bool_]:
    """The same, once the candidate has five errors."""
    return twice_baseline(day) & (day.until(LOOK_ENDS)[0] >= 5)


def z_test(day: Day) -> NDArray[np.bool_]:
    """A one-sided two-proportion test at 5 % at every look."""
    x, r, k, n = day.until(LOOK_ENDS)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = r / n
        z = (x / k - (r - x) / (n - k)) / np.sqrt(pooled * (1 - pooled) * (1 / k + 1 / (n - k)))
    return np.nan_to_num(z, nan=0.0) > 1.6449


RULES: dict[str, Rule] = {
    "e-process (ours)": e_process,
    "over twice baseline": twice_baseline,
    "twice, 5 errors": twice_and_five,
    "z-test at each look": z_test,
}
GOOD = {"1pct": (0.01, 0.01), "01pct": (0.001, 0.001)}
BAD = {"1_to_5pct": (0.01, 0.05), "1_to_2pct": (0.01, 0.02), "01_to_1pct": (0.001, 0.01)}


def requests_to_stop(rule: Rule, day: Day) -> NDArray[np.float64]:
    """Canary requests at the look that stops each run; infinite where the day ends first."""
    stops = rule(day)
    seen = day.until(LOOK_ENDS)[2]
    first = stops.argmax(axis=1)
    return np.where(stops.any(axis=1), seen[np.arange(len(seen)), first], np.inf)


def median(name: str, values: NDArray[np.float64]) -> Measurement:
    """The median with the distribution-free interval of its order statistics."""
    ordered, n = np.sort(values), len(values)
    half = 0.98 * math.sqrt(n)
    low, high = ordered[max(0, int(n / 2 - half))], ordered[min(n - 1, math.ceil(n / 2 + half))]
    return Measurement(name, float(np.median(ordered)), n, float(low), float(high), "requests")


def compare_rules(runs: int, rng: np.random.Generator) -> dict[str, list[Measurement]]:
    """Each rule's measurements, on the same simulated days."""
    found: dict[str, list[Measurement]] = {name: [] for name in RULES}
    for label, rates in {**GOOD, **BAD}.items():
        stops: dict[str, list[NDArray[np.float64]]] = {name: [] for name in RULES}
        for start in range(0, runs, 500):
            day = Day.simulate(*rates, min(500, runs - start), rng)
            for name, rule in RULES.items():
                stops[name].append(requests_to_stop(rule, day))
        for name in RULES:
            values = np.concatenate(stops[name])
            rolled_back = int(np.isfinite(values).sum())
            wanted = proportion(f"false_rollback_per_day_{label}", rolled_back, runs)
            found[name].append(wanted if label in GOOD else median(f"median_requests_{label}", values))
    return found


def quality_of_pairs(runs: int, rng: np.random.Generator, rows: int = 5000, look: int = 50) -> Measurement:
    """How often the interval of an equally good candidate misses 0 at any look, labels in pairs."""
    gate = Quality()
    n = np.arange(gate.least, rows + 1, look)
    half = np.array([mean_bounds(0.0, 1.0, int(k), gate.alpha / 2, gate.best_at)[1] for k in n])
    missed = 0
    for _ in range(runs):
        labels, one, other = equally_good(rows, rng)
        gaps = log_losses(labels, one) - log_losses(labels, other)
        total, squares = np.cumsum(gaps)[n - 1], np.cumsum(gaps * gaps)[n - 1]
        spread = np.sqrt((squares - total * total / n) / (n - 1))
        missed += bool((np.abs(total / n) > half * spread).any())
    return proportion("quality_miss_pairs", missed, runs)


def quality_of_split(runs: int, rng: np.random.Generator, rows: int = 6000, looks: int = 12) -> Measurement:
    """The same without pairs: a fifth of the rows is the candidate's, and traffic grows harder all the while."""
    gate = Quality()
    missed = 0
    for _ in range(runs):
        labels, one, other = equally_good(rows, rng)
        # Half of the rows with a share of 10 %, half with 30 %: what a ramp does.
        candidate = rng.random(rows) < np.where(np.arange(rows) < rows // 2, 0.1, 0.3)
        losses = log_losses(labels, np.where(candidate, one, other)) + np.linspace(0, 0.3, rows)
        first = int(np.searchsorted(np.cumsum(candidate), gate.least)) + 1
        for end in np.linspace(first, rows, looks).astype(int):
            mean, spread, effective = difference_of_split(candidate[:end], losses[:end])
            low, high = mean_bounds(mean, spread, effective, gate.alpha / 2, gate.best_at)
            if not low <= 0 <= high:
                missed += 1
                break
    return proportion("quality_miss_split", missed, runs)


def equally_good(rows: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Labels, and the probabilities of two models that are wrong by equally much, each in its own way."""
    logit = rng.normal(-1.4, 1.0, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    one, other = (1 / (1 + np.exp(-logit - rng.normal(0, 0.4, rows))) for _ in range(2))
    return labels, one, other


def show(found: dict[str, list[Measurement]], quality: list[Measurement]) -> None:
    """The table for people."""
    print(f"{'':22}{'good canary rolled back in a day':>34}{'median canary requests to stop':>36}")
    print(f"{'rule':22}{'errors 1 %':>20}{'0.1 %':>14}{'1 to 5 %':>14}{'1 to 2 %':>11}{'0.1 to 1 %':>11}")
    for name, row in found.items():
        good = "".join(f"{100 * m.value:.1f} %".rjust(width) for m, width in zip(row[:2], (20, 14), strict=True))
        bad = "".join(f"{m.value:,.0f}".rjust(width) for m, width in zip(row[2:], (14, 11, 11), strict=True))
        print(f"{name:22}{good}{bad}")
    allowed = Quality().alpha / 2
    print(f"\nquality gate, equally good candidate, how often its interval ever misses 0 (allowed {allowed:.1%} each):")
    for m in quality:
        print(f"  {m}")


def main() -> None:
    """Simulate, print the table and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="simulated days per rate (default 4000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", help="not needed here")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    found = compare_rules(given.runs, rng)
    quality = [quality_of_pairs((given.runs + 1) // 2, rng), quality_of_split((given.runs + 3) // 4, rng)]
    show(found, quality)
    print(msgspec.json.encode([*found["e-process (ours)"], *quality]).decode())


if __name__ == "__main__":
    main()
