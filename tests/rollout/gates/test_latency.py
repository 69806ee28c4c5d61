from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.latency import Latency

Rows = list[Record]


def asked(made: Latency, control: Rows, candidate: Rows) -> Verdict:
    return made(Window.of_all(control), Window.of_all(candidate))


def row(k: int, arm: Arm, seconds: float, **more: float) -> Record:
    return Record(f"r{k}", float(k), "release", arm, {}, {}, seconds={"total": seconds, **more})


def canary(n: int, share: float, factor: float = 1.0, added: float = 0.0, seed: int = 0) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    control, candidate = [], []
    for k in range(n):
        seconds = 0.02 * float(np.exp(0.3 * rng.normal()))
        if rng.random() < share:
            candidate.append(row(k, "canary", factor * seconds + added))
        else:
            control.append(row(k, "stable", seconds))
    return control, candidate


def test_thirty_milliseconds_more_are_caught_in_some_dozen_requests() -> None:
    control, candidate = canary(600, 0.1, added=0.03)
    verdict = asked(Latency(), control, candidate)
    assert verdict.decision == "fail"
    assert "of the candidate were late" in verdict.because
    assert verdict.evidence[1].n < 60


def test_as_fast_as_stable_passes() -> None:
    assert asked(Latency(), *canary(4000, 0.2)).decision == "pass"


def test_waits_below_the_least_requests() -> None:
    assert asked(Latency(least=100), *canary(400, 0.1)).decision == "wait"


def test_what_nobody_feels_is_no_lateness() -> None:
    control, candidate = canary(4000, 0.2, factor=1.0, added=0.004)
    assert asked(Latency(slack_seconds=0.005), control, candidate).decision == "pass"
    assert asked(Latency(slack_seconds=0.0, slower=1.0), control, candidate).decision == "fail"


def test_a_load_that_slows_both_arms_blames_neither() -> None:
    control, candidate = canary(3000, 0.2)

    def slowed(rows: Rows) -> Rows:
        return [row(int(r.at), r.arm, r.seconds["total"] * (4 if r.at > 1500 else 1)) for r in rows]

    assert asked(Latency(), slowed(control), slowed(candidate)).decision != "fail"


def test_an_sla_is_one_limit_for_both() -> None:
    control, candidate = canary(4000, 0.2, factor=1.6)
    assert asked(Latency(sla_seconds=1.0), control, candidate).decision == "pass"
    verdict = asked(Latency(sla_seconds=0.045), control, candidate)
    assert verdict.decision == "fail"
    assert "later than 45 ms" in verdict.because


def test_failed_requests_and_untimed_ones_are_left_out() -> None:
    control, candidate = canary(2000, 0.2)
    failed = [Record(r.id, r.at, "x", "canary", {}, {}, seconds={"total": 9.0}, error="late") for r in candidate]
    untimed = [Record(r.id, r.at, "x", "canary", {}, {}) for r in candidate]
    assert asked(Latency(), control, failed).decision == "wait"
    assert asked(Latency(), control, untimed).decision == "wait"
    assert asked(Latency(), control, failed).evidence[1].n == 0


def test_a_shadow_is_judged_by_the_model_not_by_its_place_in_the_queue() -> None:
    control = [row(k, "stable", 0.02, model=0.010 + k * 7919 % 1000 * 1e-9) for k in range(1000)]
    behind = [row(k, "shadow", 0.50, model=0.011 + k * 7919 % 1000 * 1e-9) for k in range(1000)]
    slow = [row(k, "shadow", 0.02, model=0.050 + k * 7919 % 1000 * 1e-9) for k in range(1000)]
    assert asked(Latency(), control, behind).decision == "pass"
    assert asked(Latency(), control, slow).decision == "fail"


def test_stable_rows_with_the_model_time_only_are_used() -> None:
    control, candidate = canary(1000, 0.3, added=0.05)
    only = [Record(r.id, r.at, "x", r.arm, {}, {}, seconds={"model": r.seconds["total"]}) for r in control]
    assert asked(Latency(), only, candidate).decision == "fail"


@pytest.mark.parametrize("wrong", [{"quantile": 0.0}, {"quantile": 1.0}, {"slower": 0.9}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Latency(**wrong)


def test_one_slow_batch_is_one_piece_of_evidence_however_many_rows_it_had() -> None:
    control = [row(k, "stable", 0.02, model=0.010 + k * 7919 % 1000 * 1e-9) for k in range(600)]
    paused = [row(k, "shadow", 0.02, model=0.5 if k < 400 else 0.010 + k * 7919 % 1000 * 1e-9) for k in range(600)]
    assert asked(Latency(), control, paused).decision != "fail"
    split = [
        row(k + 600, "canary", 0.9 if k < 400 else 0.02, model=0.5 if k < 400 else 0.010 + k * 7919 % 1000 * 1e-9)
        for k in range(600)
    ]
    assert asked(Latency(), control, split).decision != "fail"


def recent(n: int = 4000) -> Window:
    return Window.of_all(canary(n, 0.0)[0])


def test_the_plan_says_how_many_times_slower_a_candidate_may_be_before_it_is_failed() -> None:
    need = Latency().plan(Expected(recent(), 1000.0, 0.1, False, 0.0, 0.0))
    assert need.hours == pytest.approx(need.requests / 100)
    assert need.effect is not None
    assert need.effect.name == "times_slower"
    assert need.effect.value > Latency().slower
    n = round(10 * need.requests)
    fails = [asked(Latency(), *canary(n, 0.1, need.effect.value, seed=s)).decision for s in range(10)]
    calm = [asked(Latency(), *canary(n, 0.1, 1 + (need.effect.value - 1) / 3, seed=s)).decision for s in range(10)]
    assert fails.count("fail") >= 6
    assert calm.count("fail") <= 2


def test_rows_of_one_batch_are_planned_for_as_one() -> None:
    rows = [row(k, "stable", 0.02 + k // 4 * 7919 % 1000 * 1e-6, model=0.01 + k // 4 * 1e-6) for k in range(4000)]
    batched = Latency(sla_seconds=0.0205).plan(Expected(Window.of_all(rows), 1000.0, 0.1, False, 0.0, 0.0))
    alone = [Record(r.id, r.at, "x", "stable", {}, {}, seconds={"total": r.seconds["total"]}) for r in rows]
    single = Latency(sla_seconds=0.0205).plan(Expected(Window.of_all(alone), 1000.0, 0.1, False, 0.0, 0.0))
    assert batched.requests == pytest.approx(4 * single.requests, rel=0.1)


def test_a_plan_without_timed_rows_says_so() -> None:
    need = Latency().plan(Expected(Window.of_all(()), 1000.0, 0.1, False, 0.0, 0.0))
    assert math.isinf(need.requests)
    assert "too few" in need.because


def test_an_sla_is_exceeded_as_often_as_its_indicator_says() -> None:
    control, candidate = canary(4000, 0.2, factor=1.1)
    found = asked(Latency(sla_seconds=0.03), control, candidate).evidence
    for arm, measured in ((control, found[0]), (candidate, found[1])):
        assert measured.value == pytest.approx(np.mean([r.seconds["total"] > 0.03 for r in arm]))
