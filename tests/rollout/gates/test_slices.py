from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.slices import Slices

CARRIERS = 8


def flights(n: int, worse: str = "", late: str = "", arm: str = "shadow", seed: int = 0) -> tuple[Window, Window]:
    """Requests of eight carriers; on `worse` the candidate answers the opposite, `late` turns up in the second half."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    carrier = np.array([f"c{k}" for k in rng.integers(0, CARRIERS, n)], object)
    if late:
        carrier[(np.arange(n) > n // 2) & (rng.random(n) < 0.4)] = late
    at, ids = np.arange(n, dtype=np.float64), np.array([f"r{k}" for k in range(n)], object)
    arms = []
    for name in ("stable", arm):
        spoiled = (carrier == worse) & (name == arm)
        answer = 1 / (1 + np.exp(-np.where(spoiled, -2 * logit, logit) + rng.normal(0, 0.2, n)))
        errors = np.full(n, None, object)
        errors[(rng.random(n) < 0.3) & spoiled] = "TimeoutError"
        rows = {"errors": errors, "arms": np.full(n, name, object)}
        arms.append(Window({"kind": carrier}, {"probability": answer}, label, at, {"carrier": carrier}, ids, **rows))
    return arms[0], arms[1]


BY_CARRIER = Slices(by=("carrier",))


def test_a_candidate_that_is_worse_on_one_carrier_fails_and_the_carrier_is_named() -> None:
    verdict = BY_CARRIER(*flights(4000, worse="c3"))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("carrier=c3: log_loss of the candidate +")
    assert "(1 of 8 slices judged)" in verdict.because
    assert verdict.evidence[0].where == "carrier=c3"


def test_an_equally_good_one_passes_on_each() -> None:
    verdict = BY_CARRIER(*flights(6000))
    assert verdict.decision == "pass"
    assert verdict.because.startswith("8 slices judged, none is worse")


def test_a_slice_that_turns_up_later_is_judged_too() -> None:
    verdict = BY_CARRIER(*flights(8000, worse="new", late="new"))
    assert verdict.decision == "fail"
    assert "carrier=new" in verdict.because


def test_any_gate_with_an_alpha_can_be_asked_by_slice() -> None:
    verdict = Slices(gate="errors", by=("carrier",))(*flights(4000, worse="c3"))
    assert verdict.decision == "fail"
    assert "carrier=c3" in verdict.because
    assert "failed" in verdict.because


def test_alphas_never_add_up_to_more_than_alpha() -> None:
    control, candidate = flights(3000, late="new")
    for rows in (600, 1500, 3000):
        some = control.take(slice(0, rows)), candidate.take(slice(0, rows))
        alphas = BY_CARRIER._alphas(*some)
        assert 0.02 < sum(alphas.values()) < 0.05
        # What a slice got it keeps, whatever turns up later.
        assert alphas["carrier", "c1"] == pytest.approx(0.025 / 8)


def test_without_names_every_tag_and_input_of_few_values_is_taken() -> None:
    control, candidate = flights(2000)
    many = np.array([f"u{k}" for k in range(2000)], object)
    wide = [
        Window(w.inputs, w.outputs, w.labels, w.at, {"user": many}, w.ids, arms=w.arms) for w in (control, candidate)
    ]
    verdict = Slices()(*wide)
    assert {m.where.partition("=")[0] for m in verdict.evidence} == {"inputs.kind"}


def test_it_waits_until_slices_are_known_and_have_rows() -> None:
    assert "of 500 rows by which the slices are named" in BY_CARRIER(*flights(200)).because
    assert "no slice has 50 rows" in Slices(by=("gate",))(*flights(400)).because


def test_it_asks_for_the_rows_that_its_gate_asks_for() -> None:
    assert Slices(gate="quality").rows_since == "rollout"
    assert Slices(gate="errors").rows_since == "stage"


@pytest.mark.parametrize("plan", ["nothing", {"quality": {"colour": "red"}}])
def test_a_gate_that_cannot_be_made_is_refused_at_once(plan: Any) -> None:
    with pytest.raises(SpecError):
        Slices(gate=plan)


def test_it_plans_for_the_slice_that_takes_longest() -> None:
    stable, _ = flights(3000)
    expected = Expected(stable, 1000.0, 1.0, True, 1000.0, 1.0)
    need, alone = BY_CARRIER.plan(expected), BY_CARRIER._inner(0.05).plan(expected)  # type: ignore[attr-defined]
    assert need.because.startswith("carrier=")
    assert need.requests > 4 * alone.requests
