"""What foretelling the loss saves of the labels in a canary, and what a look costs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from misses import Week
from pool import Pool

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected, Gate
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.latency import Latency
from roadworthy.rollout.gates.quality import Quality

ROWS = 600_000
# As real weeks are: the models keep their names for the whole of it.
ALWAYS = 24.0 * 365


def variance_ratios(pool: Pool, weeks: int, rng: np.random.Generator) -> list[Measurement]:
    """The variance of the difference of the arms after and before, over fortnights of the pool: also labels needed."""
    drawn = [Week.draw(pool, 14, ALWAYS, rng).at_look(14 * 24, "split") for _ in range(weeks)]
    found = []
    for metric in ("log_loss", "error", "auc"):
        for what, fixed in (("inputs", False), ("inputs_and_labels", True)):
            gate = Quality(metric=metric, fixed_labels=fixed)
            ratios = [float(gate(*arms).evidence[1].conditions["variance_ratio"]) for arms in drawn]
            found.append(mean(f"cuped_variance_ratio_{metric}", ratios, where=what))
    return found


def seconds_of_a_look(rng: np.random.Generator) -> list[Measurement]:
    """The CPU time of each gate for 600,000 rows of both arms together, 16 inputs wide: as a canary and as a shadow."""
    gates: dict[str, Gate] = {
        "errors": Errors(),
        "latency": Latency(),
        "quality": Quality(),
        "quality_fixed_labels": Quality(fixed_labels=True),
    }
    rows, found = rows_of(ROWS, rng), []
    on_candidate = rng.random(ROWS) < 0.05
    arms = {
        "canary": (rows.take(~on_candidate), _named(rows.take(on_candidate), "canary")),
        "shadow": (rows.take(slice(0, ROWS // 2)), _named(rows.take(slice(0, ROWS // 2)), "shadow")),
    }
    for name, gate in gates.items():
        for where, (control, candidate) in arms.items():
            took = [_seconds(gate, control, candidate) for _ in range(3)]
            found.append(
                Measurement(f"look_cpu_seconds_{name}", float(np.median(took)), 3, min(took), max(took), "s", where)
            )
    return found


def seconds_of_a_plan(rng: np.random.Generator) -> list[Measurement]:
    """The CPU time of each gate's `plan` on 20,000 recent rows."""
    stable, found = rows_of(20_000, rng), []
    gates: dict[str, Errors | Latency | Quality] = {"errors": Errors(), "latency": Latency(), "quality": Quality()}
    for name, gate in gates.items():
        for where, share, paired in (("canary", 0.05, False), ("shadow", 1.0, True)):
            begin = time.process_time()
            gate.plan(Expected(stable, 8000.0, share, paired, 8000.0, 3.0))
            took = time.process_time() - begin
            found.append(Measurement(f"plan_cpu_seconds_{name}", took, 1, took, took, "s", where))
    return found


def rows_of(n: int, rng: np.random.Generator) -> Window:
    """Labelled rows of three days as a server records them: 13 numbers and 3 categories, 0.3 % failed."""
    at = np.sort(rng.uniform(0, 3 * 86_400, n))
    inputs = {f"x{k}": rng.normal(size=n) for k in range(13)}
    for name, kinds in (("carrier", 16), ("origin", 3), ("dest", 100)):
        inputs[name] = np.array([f"v{k}" for k in range(kinds)], object)[rng.integers(0, kinds, n)]
    logit = inputs["x0"] - 1
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    errors = np.full(n, None, object)
    errors[rng.random(n) < 0.003] = "TimeoutError: late"
    return Window(
        inputs,
        {"probability": 1 / (1 + np.exp(-logit - 0.3 * rng.normal(size=n)))},
        labels,
        at,
        ids=np.array([f"0199c0de-{k:08x}" for k in range(n)], object),
        known_at=at + rng.gamma(3.0, 3600.0, n),
        errors=errors,
        seconds={"total": np.exp(rng.normal(-4, 0.3, n)), "model": np.exp(rng.normal(-5, 0.3, n))},
        arms=np.full(n, "stable", object),
    )


def _named(rows: Window, arm: str) -> Window:
    return replace(rows, arms=np.full(rows.n, arm, object))


def _seconds(gate: Gate, control: Window, candidate: Window) -> float:
    begin = time.process_time()
    gate(control, candidate)
    return time.process_time() - begin
