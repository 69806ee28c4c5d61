"""Every gate in the catalog obeys the laws, and the laws catch gates that do not."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout import arms
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.testing.gates import check_fails_broken, check_gate

Rows = Window


@pytest.mark.parametrize("name", list(gate))
def test_every_gate_obeys_the_laws(name: str) -> None:
    leaf = gate.get(name)
    absent = [module for module, _ in getattr(leaf, "needs", ()) if importlib.util.find_spec(module) is None]
    if absent:
        pytest.skip(f"{name} needs {absent}")
    check_gate(leaf)


# Ours; what a gate of somebody else's calls broken is its own affair.
OURS = ("business", "calibration", "cost", "coverage", "drift", "errors", "guard", "latency", "quality", "sample_ratio")


@pytest.mark.parametrize("name", [*OURS, "slices"])
def test_every_gate_fails_a_candidate_that_does_everything_wrong(name: str) -> None:
    leaf = gate.get(name)
    check_fails_broken(getattr(leaf, "example", leaf)())


def leaf_of(judge: Callable[[Rows, Rows], Verdict]) -> type:
    class Faulty:
        @classmethod
        def example(cls) -> Callable[[Rows, Rows], Verdict]:
            return judge

    return Faulty


def said(decision: Any, n: int = 1) -> Verdict:
    drawn = {"pass": {"allowed": n}, "fail": {"enough": n}, "wait": {}}[decision]
    return Verdict(decision, "because", "faulty", (Measurement("rows", float(n), n, n, n, conditions=drawn),))


def unless_empty(control: Rows, candidate: Rows, decision: Any) -> Verdict:
    return said(decision if control.n and candidate.n else "wait")


def failed(rows: Rows) -> float:
    return float(arms.failed(rows).sum()) / max(1, rows.n)


def trusting(control: Rows, candidate: Rows) -> Verdict:
    return said("fail" if failed(candidate) > 0.1 else "pass")


def blind(control: Rows, candidate: Rows) -> Verdict:
    return unless_empty(control, candidate, "pass")


def wordless(control: Rows, candidate: Rows) -> Verdict:
    answered = all(not arms.failed(rows).all() for rows in (control, candidate))
    return Verdict("pass" if answered else "wait", "because")


def tossing(control: Rows, candidate: Rows) -> Verdict:
    if failed(candidate) > 0.9 or not control.n or not candidate.n:
        return said("wait")
    return said("pass" if random.random() < 0.5 else "wait")


def tossing_numpy(control: Rows, candidate: Rows) -> Verdict:
    np.random.random()
    return unless_empty(control, candidate, "wait")


def counting() -> Callable[[Rows, Rows], Verdict]:
    calls: list[int] = []

    def judge(control: Rows, candidate: Rows) -> Verdict:
        calls.append(1)
        return Verdict("wait", f"call {len(calls)}")

    return judge


def needing(control: Rows, candidate: Rows) -> Verdict:
    answered = control.n and candidate.n and failed(candidate) < 0.9
    return said("wait", len(candidate.outputs["probability"]) if answered else 1)


def undrawn(control: Rows, candidate: Rows) -> Verdict:
    return replace(blind_but_honest(control, candidate), evidence=(Measurement("rows", 1.0, 1),))


def blind_but_honest(control: Rows, candidate: Rows) -> Verdict:
    return said("pass" if min(control.n, candidate.n) and failed(candidate) < 0.9 else "wait")


class Planless:
    """Needs nothing at all."""

    @classmethod
    def example(cls) -> Planless:
        return cls()

    def __call__(self, control: Rows, candidate: Rows) -> Verdict:
        return blind_but_honest(control, candidate)

    def plan(self, expected: Expected) -> Need:
        return Need(0.0)


def forgetful(control: Rows, candidate: Rows) -> Verdict:
    """Looks at the newest rows only, and takes it for an outage of everything when they all fail."""
    if not control.n or not candidate.n or failed(candidate) > 0.9:
        return said("wait")
    return said("fail" if 0.2 < failed(candidate.take(slice(-200, None))) < 0.9 else "pass")


def twice_baseline(control: Rows, candidate: Rows) -> Verdict:
    if not control.n or not candidate.n:
        return said("wait")
    return said("fail" if failed(candidate) > 2 * failed(control) else "wait")


FAULTY: dict[str, tuple[Callable[[Rows, Rows], Verdict], str]] = {
    "passes on no data": (trusting, "nothing to judge"),
    "passes what answers nothing": (blind, "fails every request"),
    "cannot do without an answer column": (needing, "raises KeyError"),
    "passes without evidence": (wordless, "without `evidence`"),
    "passes without bounds that a view can draw": (undrawn, "its evidence does not"),
    "tosses a coin": (tossing, "global random state"),
    "draws from numpy's global state": (tossing_numpy, "global random state"),
    "counts its calls": (counting(), "in two ways"),
    "forgets a failure": (forgetful, "rows more as bad"),
    "uses the rule of twice the baseline": (twice_baseline, "as good as stable"),
}


def test_the_laws_catch_a_gate_that_needs_nothing() -> None:
    with pytest.raises(AssertionError, match="needs nothing"):
        check_gate(Planless)


def test_a_gate_that_fails_nothing_is_found() -> None:
    with pytest.raises(AssertionError, match="fails no broken candidate"):
        check_fails_broken(blind_but_honest)


@pytest.mark.parametrize("fault", list(FAULTY))
def test_the_laws_catch_a_gate_that(fault: str) -> None:
    judge, law = FAULTY[fault]
    with pytest.raises(AssertionError, match=law):
        check_gate(leaf_of(judge))


def test_a_gate_that_cannot_be_built_is_told_to_offer_an_example() -> None:
    class Needy:
        def __init__(self, limit: float) -> None:
            self.limit = limit

    with pytest.raises(AssertionError, match="def example"):
        check_gate(Needy)


def test_checking_leaves_the_global_random_state_as_it_was() -> None:
    random.seed(5)
    before = random.getstate()
    check_gate(gate.get("errors"))
    assert random.getstate() == before
