from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.errors import Errors

Rows = list[Record]


def asked(made: Errors, control: Rows, candidate: Rows) -> Verdict:
    return made(Window.of_all(control), Window.of_all(candidate))


def row(k: int, arm: Arm, failed: bool) -> Record:
    return Record(f"r{k}", float(k), "release", arm, {}, {}, error="TimeoutError: late" if failed else None)


def canary(n: int, share: float, stable: float, candidate: float, seed: int = 0) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    rows = [
        row(k, "canary", rng.random() < candidate) if rng.random() < share else row(k, "stable", rng.random() < stable)
        for k in range(n)
    ]
    return [r for r in rows if r.arm == "stable"], [r for r in rows if r.arm == "canary"]


def shadow(n: int, stable: float, candidate: float) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(0)
    control = [row(k, "stable", rng.random() < stable) for k in range(n)]
    return control, [row(k, "shadow", rng.random() < candidate) for k in range(n)]


def test_waits_below_the_least_requests() -> None:
    verdict = asked(Errors(least=100), *canary(300, 0.1, 0.0, 0.0))
    assert verdict.decision == "wait"
    assert "at least 100 requests" in verdict.because


def test_a_candidate_that_fails_three_in_a_hundred_is_failed_with_its_numbers() -> None:
    verdict = asked(Errors(), *canary(8000, 0.1, 0.0, 0.03))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("25 of 841 requests (2.97%) of the candidate failed, 0 of 7,159 requests (0.00%)")
    control, candidate, excess, evidence = verdict.evidence
    assert (control.where, candidate.where) == ("control", "candidate")
    assert candidate.value == pytest.approx(25 / 841)
    assert excess.low < 25 / 841 < excess.high
    assert evidence.value > 1 / Errors().alpha
    assert evidence.conditions["enough"] == 1 / Errors().alpha
    assert excess.conditions["allowed"] == Errors().margin


def test_an_alarm_is_not_taken_back_by_better_days() -> None:
    control, candidate = canary(4000, 0.1, 0.0, 0.05)
    calm = canary(40_000, 0.1, 0.02, 0.0, seed=1)
    later = [[Record(f"l{r.id}", r.at + 4000, "release", r.arm, {}, {}, error=r.error) for r in arm] for arm in calm]
    assert asked(Errors(), control, candidate).decision == "fail"
    assert asked(Errors(), control + later[0], candidate + later[1]).decision == "fail"


def test_a_candidate_without_errors_passes_after_some_hundred_requests() -> None:
    assert asked(Errors(), *canary(9000, 0.1, 0.0, 0.0)).decision == "pass"
    assert asked(Errors(), *canary(3000, 0.1, 0.0, 0.0)).decision == "wait"
    assert asked(Errors(margin=0.05), *canary(3000, 0.1, 0.0, 0.0)).decision == "pass"


def test_a_shadow_is_compared_request_by_request() -> None:
    assert asked(Errors(), *shadow(2000, 0.01, 0.04)).decision == "fail"
    assert asked(Errors(), *shadow(2000, 0.0, 0.0)).decision == "pass"


def test_requests_that_fail_on_both_sides_speak_against_nobody() -> None:
    control, candidate = shadow(1000, 0.0, 0.0)
    outage = [row(k, "stable", True) for k in range(1000, 1200)], [row(k, "shadow", True) for k in range(1000, 1200)]
    assert asked(Errors(), control + outage[0], candidate + outage[1]).decision != "fail"


def test_a_request_that_the_shadow_never_saw_counts_for_nobody() -> None:
    control, candidate = shadow(400, 0.0, 0.0)
    verdict = asked(Errors(), control, candidate[::2])
    assert {m.n for m in verdict.evidence if m.where} == {200}


def test_the_rows_of_one_failed_request_count_once() -> None:
    control, candidate = canary(2000, 0.2, 0.01, 0.0)
    rows = [Record(f"big.{k}", 1e6, "release", "canary", {}, {}, error="ValueError: bad") for k in range(500)]
    assert asked(Errors(), control, candidate + rows).decision != "fail"


def test_a_burst_that_hits_both_arms_is_no_reason_to_roll_back() -> None:
    fails = 0
    for seed in range(40):
        calm = canary(1500, 0.05, 0.001, 0.001, seed)
        burst = canary(300, 0.05, 0.5, 0.5, seed + 100)
        later = [[Record(f"b{r.id}", r.at + 1500, "x", r.arm, {}, {}, error=r.error) for r in arm] for arm in burst]
        fails += asked(Errors(), calm[0] + later[0], calm[1] + later[1]).decision == "fail"
    assert fails <= 4


def expected(failing: float, share: float, paired: bool = False) -> Expected:
    recent = Window.of_all([row(k, "stable", k % round(1 / failing) == 0) for k in range(4000)])
    return Expected(recent, 1000.0, share, paired, 0.0, 0.0)


def windows(n: float, stable: float, candidate: float, seed: int) -> tuple[Window, Window]:
    """As `canary`, a tenth of the requests on the candidate, without the detour over records."""
    rng = np.random.default_rng(seed)
    n = round(n)
    dealt, at = rng.random(n) < 0.1, np.arange(n, dtype=float)
    errors = np.where(rng.random(n) < np.where(dealt, candidate, stable), "late", None).astype(object)
    rows = Window({}, {}, at, at, ids=np.array([str(k) for k in range(n)], object), errors=errors)
    return rows.take(~dealt), rows.take(dealt)


def said(word: str, n: float, stable: float, candidate: float) -> int:
    """How often of 20 times the gate says it."""
    return sum(Errors()(*windows(n, stable, candidate, seed)).decision == word for seed in range(20))


def test_the_plan_asks_for_as_many_requests_as_an_equal_candidate_passes_with() -> None:
    need = Errors().plan(expected(0.005, 0.1))
    assert need.hours == pytest.approx(need.requests / 100)
    assert said("pass", 4 * need.requests, 0.005, 0.005) <= 10
    assert said("pass", 13 * need.requests, 0.005, 0.005) >= 15


def test_the_plan_names_the_excess_that_is_failed_four_times_in_five() -> None:
    need = Errors().plan(expected(0.005, 0.1))
    assert need.effect is not None
    assert said("fail", 10 * need.requests, 0.005, 0.005 + need.effect.value) >= 12
    assert said("fail", 10 * need.requests, 0.005, 0.005 + need.effect.value / 3) <= 10


def test_a_plan_without_room_or_without_requests_never_ends() -> None:
    assert math.isinf(Errors(margin=0.0).plan(expected(0.01, 0.1)).requests)
    never = Errors().plan(expected(0.01, 1.0))
    assert math.isinf(never.hours)
    assert "no requests" in never.because


def test_a_shadow_sees_the_same_requests_twice_and_so_is_over_sooner() -> None:
    shadow_need, canary_need = (Errors().plan(expected(0.01, share, share == 1)) for share in (1.0, 0.05))
    assert shadow_need.hours < canary_need.hours
    assert shadow_need.effect is not None
    assert shadow_need.effect.conditions["power"] == 0.8
