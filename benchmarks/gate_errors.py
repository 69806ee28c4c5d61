"""How often each gate fails an equally good candidate over all its looks, beside its alpha, and how fast a worse one.

Every gate of the catalog is asked as a rollout asks it, with its margins at 0 so that an equally good candidate lies
right on the edge: on independent rows, and on rows that share storms, bursts of errors, a daily cycle and a share that
is raised half-way, each model being off in a way of its own for an hour or two at a time. Then the same gates with
their defaults, on a candidate that is worse in a stated way.

`python benchmarks/gate_errors.py --runs 80`; exit code 1 where a gate fails more often than its alpha explains.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import binomial_survival, proportion
from roadworthy.core.window import Window
from roadworthy.rollout.base import Gate, gate

A_DAY, SHARE, CARRIERS = 86_400.0, 0.25, 8
# What rare luck explains: one such count in a thousand.
SURPRISE = 1e-3
Columns = dict[str, NDArray[Any]]
Harm = Callable[[Columns, np.random.Generator], Columns]


@dataclass(frozen=True)
class Case:
    """A gate with its margins at 0, where it looks, and what a candidate does that it should fail.

    The evidence of a gate with `remembers` holds every look before: one at the end tells of all 288 of a day. Where the
    model `wanders` it is off in its own way for an hour or two; to drift, which tells what differs so far, it differs.
    """

    name: str
    edge: Mapping[str, Any]
    harm: Harm
    harmful: str
    shadow: bool = False
    remembers: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    wanders: bool = True
    rows: int = 4000

    @property
    def title(self) -> str:
        return f"{self.name}, {'shadow' if self.shadow else 'canary'}"

    def at_edge(self) -> Gate:
        return gate.make({self.name: {**self.settings, **self.edge}})

    def as_used(self) -> Gate:
        return gate.make({self.name: dict(self.settings)})


def changed(**columns: Callable[[Columns, np.random.Generator], NDArray[Any]]) -> Harm:
    """A harm that replaces columns."""
    return lambda rows, rng: {**rows, **{name: change(rows, rng) for name, change in columns.items()}}


def logits(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(p / (1 - p))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def lost(rows: Columns, rng: np.random.Generator) -> Columns:
    kept = rng.random(len(rows["at"])) > 0.2
    return {name: column[kept] for name, column in rows.items()}


SLICED = {"by": ["carrier"]}
# The rows must span some of the hours for which a model is off in its own way.
HOURS = {"least_hours": 8.0}
CASES = (
    Case(
        "errors",
        {},
        changed(failed=lambda r, g: r["failed"] | (g.random(len(r["at"])) < 0.04)),
        "1 to 5 %",
        remembers=True,
        rows=12_000,
    ),
    Case("latency", {}, changed(seconds=lambda r, g: 1.5 * r["seconds"]), "1.5 times", remembers=True, rows=12_000),
    Case(
        "guard",
        {},
        changed(guarded=lambda r, g: r["guarded"] | (g.random(len(r["at"])) < 0.04)),
        "2 to 6 %",
        remembers=True,
        rows=12_000,
    ),
    Case("sample_ratio", {}, lost, "a fifth lost", remembers=True, rows=12_000, settings={"share": SHARE}),
    Case(
        "quality",
        {"margin": 0.0, "worse": 0.0, **HOURS},
        changed(answer=lambda r, g: sigmoid(logits(r["answer"]) + g.normal(0, 1.5, len(r["at"])))),
        "noise 1.5",
        shadow=True,
    ),
    Case(
        "quality",
        {"margin": 0.0, "worse": 0.0, **HOURS},
        changed(answer=lambda r, g: sigmoid(logits(r["answer"]) + g.normal(0, 1.5, len(r["at"])))),
        "noise 1.5",
    ),
    Case(
        "calibration",
        {"margin": 0.0, **HOURS},
        changed(answer=lambda r, g: sigmoid(logits(r["answer"]) + 0.7)),
        "0.7 in the logit",
        shadow=True,
    ),
    Case(
        "calibration",
        {"margin": 0.0, **HOURS},
        changed(answer=lambda r, g: sigmoid(2.5 * logits(r["answer"]) + 1)),
        "slope 2.5",
        rows=8000,
    ),
    Case(
        "coverage",
        {"margin": 0.0, "larger": 1.0},
        changed(held=lambda r, g: r["held"] & (g.random(len(r["at"])) < 0.85)),
        "90 to 77 %",
        shadow=True,
    ),
    Case(
        "coverage",
        {"margin": 0.0, "larger": 1.0},
        changed(held=lambda r, g: r["held"] & (g.random(len(r["at"])) < 0.85)),
        "90 to 77 %",
    ),
    Case(
        "business",
        {"margin": 0.0},
        changed(label=lambda r, g: r["label"] * (g.random(len(r["at"])) < 0.6)),
        "two fifths fewer",
        settings={"covariate": "score"},
    ),
    Case("cost", {"dearer": 1.0}, changed(usd=lambda r, g: 1.5 * r["usd"]), "1.5 times", shadow=True),
    Case("cost", {"dearer": 1.0}, changed(usd=lambda r, g: 1.5 * r["usd"]), "1.5 times"),
    Case(
        "drift",
        {"margin": 0.0, "inputs": 0.0},
        changed(answer=lambda r, g: sigmoid(logits(r["answer"]) + 1.5)),
        "1.5 in the logit",
        wanders=False,
    ),
    Case(
        "drift",
        {},
        changed(answer=lambda r, g: sigmoid(logits(r["answer"]) + 1.5)),
        "1.5 in the logit",
        shadow=True,
        wanders=False,
    ),
    Case(
        "slices",
        {"gate": {"quality": {"margin": 0.0, "worse": 0.0, "least": 100, **HOURS}}},
        changed(answer=lambda r, g: np.where(r["carrier"] == "c1", 1 - r["answer"], r["answer"])),
        "one carrier wrong",
        shadow=True,
        settings=SLICED,
    ),
)


def traffic(case: Case, dependent: bool, rng: np.random.Generator, harm: Harm | None = None) -> tuple[Window, Window]:
    """A day of two arms that are equally good in the long run, unless `harm` changes the candidate's rows."""
    rows, shadow, wanders = case.rows, case.shadow, dependent and case.wanders
    # A wrong share is what the sample ratio is about, so it sees no ramp.
    ramp = dependent and case.name != "sample_ratio"
    at = np.sort(A_DAY * (rng.random(rows) if not dependent else rng.beta(2, 2, rows)))
    storm = storms(at, rng, 0.8) if dependent else np.zeros(rows)
    logit = -1 + rng.normal(0, 1, rows) + storm
    asked: Columns = {
        "at": at,
        "id": np.array([f"r{k}" for k in range(rows)], object),
        "logit": logit,
        "label": (rng.random(rows) < sigmoid(logit)).astype(np.float64),
        "carrier": np.array([f"c{k}" for k in rng.integers(0, CARRIERS, rows)], object),
        "load": np.exp(0.5 * storm),
    }
    if shadow:
        both = (np.ones(rows, np.bool_), np.ones(rows, np.bool_))
    else:
        share = np.where(at < A_DAY / 2, SHARE / 2, 1.5 * SHARE) if ramp else SHARE
        dealt = rng.random(rows) < share
        both = (~dealt, dealt)
    arms = [answered({n: c[kept] for n, c in asked.items()}, wanders, rng) for kept in both]
    if harm:
        arms[1] = harm(arms[1], rng)
    return window(arms[0], "stable"), window(arms[1], "shadow" if shadow else "canary")


def storms(at: NDArray[np.float64], rng: np.random.Generator, goes_on: float) -> NDArray[np.float64]:
    """A level that moves from half-hour to half-hour, of which `goes_on` is left half an hour later, (n,)."""
    level, levels = 0.0, []
    for shock in rng.normal(0, 0.35, 49):
        level = goes_on * level + shock
        levels.append(level)
    return np.array(levels)[(at / A_DAY * 48).astype(int)]


def answered(asked: Columns, wanders: bool, rng: np.random.Generator) -> Columns:
    """What an arm makes of its requests. One that wanders is off by a little for hours."""
    n, load = len(asked["at"]), asked["load"]
    own = storms(asked["at"], rng, 0.5) if wanders else np.zeros(n)
    return {
        **asked,
        "answer": sigmoid(asked["logit"] + rng.normal(0, 0.4, n) + own),
        "failed": rng.random(n) < 0.01 * load,
        "guarded": rng.random(n) < 0.02 * load,
        "held": rng.random(n) < np.clip(0.9 + own / 10, 0, 1),
        "seconds": 0.02 * load * np.exp(rng.normal(0, 0.4, n)),
        "usd": 1e-3 * load * np.exp(rng.normal(0, 0.5, n)),
    }


def window(rows: Columns, arm: str) -> Window:
    n, answer, there = len(rows["at"]), rows["answer"], ~rows["failed"]
    nothing = np.full(n, None, object)
    errors = nothing.copy()
    errors[rows["failed"]] = "RuntimeError"
    sets = nothing.copy()
    sets[:] = [(str(int(y)),) if held else ("?",) for y, held in zip(rows["label"], rows["held"], strict=True)]
    return Window(
        {"score": rows["logit"], "carrier": rows["carrier"]},
        {"probability": np.where(there, answer, np.nan)},
        rows["label"],
        rows["at"],
        {"carrier": rows["carrier"]},
        rows["id"],
        known_at=rows["at"] + 60.0,
        errors=errors,
        seconds={"total": rows["seconds"], "model": rows["seconds"]},
        usd=rows["usd"],
        sets=sets,
        steps={"guard": rows["guarded"]},
        arms=np.full(n, arm, object),
    )


def fails_at(made: Gate, control: Window, candidate: Window, looks: NDArray[np.float64]) -> float:
    """The candidate's rows at the look that fails it; infinite where none does."""
    for look in looks.tolist():
        of_control, of_candidate = (int(np.searchsorted(rows.at, look, "right")) for rows in (control, candidate))
        if made(control.take(slice(0, of_control)), candidate.take(slice(0, of_candidate))).decision == "fail":
            return float(of_candidate)
    return math.inf


def false_fails(case: Case, dependent: bool, runs: int, looks: int, rng: np.random.Generator) -> Measurement:
    """How often an equally good candidate fails at any look of its day."""
    made, failed = case.at_edge(), 0
    ends = np.linspace(0, A_DAY, looks + 1)[1:] if not case.remembers else np.array([A_DAY])
    for _ in range(runs):
        arms = traffic(case, dependent, rng)
        failed += math.isfinite(fails_at(made, *arms, ends))
    how = "dependent" if dependent else "independent"
    return msgspec.structs.replace(
        proportion("false_fail", failed, runs, where=f"{case.title}, {how}"), conditions={"alpha": alpha_of(made)}
    )


def alpha_of(made: Any) -> float:
    return float(made.alpha)


def requests_to_fail(case: Case, runs: int, rng: np.random.Generator) -> Measurement:
    """The candidate's requests until a worse one fails, as the median; a look after each 50 of them."""
    made, found = case.as_used(), []
    for _ in range(runs):
        control, candidate = traffic(case, False, rng, case.harm)
        found.append(fails_at(made, control, candidate, candidate.at[49::50]))
    ordered, half = np.sort(found), 0.98 * math.sqrt(runs)
    low, high = ordered[max(0, int(runs / 2 - half))], ordered[min(runs - 1, math.ceil(runs / 2 + half))]
    where = f"{case.title}, {case.harmful}"
    return Measurement(
        "median_requests_to_fail", float(np.median(ordered)), runs, float(low), float(high), "requests", where
    )


def surprising(found: Measurement) -> bool:
    """Whether so many fails are out of what alpha explains (exact binomial tail)."""
    alpha = found.conditions["alpha"]
    return binomial_survival(round(found.value * found.n), found.n, alpha) < SURPRISE


def show(false: list[Measurement], detected: list[Measurement]) -> None:
    print(f"{'equally good candidate, margins at 0':44}{'failed':>9}{'95 % interval':>20}{'runs':>7}{'alpha':>8}")
    for m in false:
        interval = f"{100 * m.low:.1f} to {100 * m.high:.1f} %"
        mark = "   MORE THAN ITS ALPHA" if surprising(m) else ""
        print(f"{m.where:44}{100 * m.value:>7.1f} %{interval:>20}{m.n:>7}{100 * m.conditions['alpha']:>6.1f} %{mark}")
    print(f"\n{'worse candidate, defaults':44}{'requests of the candidate until it fails (median)':>52}")
    for m in detected:
        print(f"{m.where:44}{m.value:>22,.0f} [{m.low:,.0f}, {m.high:,.0f}] in {m.n} runs")


def main() -> int:
    """Simulate, print the tables and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=80, help="simulated days of a gate that is asked at each look")
    parser.add_argument("--looks", type=int, default=60, help="looks in such a day (default 60: each 67 labels)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="one gate of the catalog")
    parser.add_argument("--data", help="not needed here")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    untried = set(gate) - {case.name for case in CASES}
    if untried:
        print(f"gates of the catalog without a case here: {', '.join(sorted(untried))}")
    false, detected = [], []
    for case in (c for c in CASES if given.only in ("", c.name)):
        runs = 5 * given.runs if case.remembers else given.runs
        false += [false_fails(case, dependent, runs, given.looks, rng) for dependent in (False, True)]
        detected.append(requests_to_fail(case, max(10, given.runs // 5), rng))
    show(false, detected)
    print(msgspec.json.encode([*false, *detected]).decode())
    return int(bool(untried) or any(surprising(m) for m in false))


if __name__ == "__main__":
    sys.exit(main())
