from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.counts.hours import WEEK, usual
from roadworthy.observe.counts.rollups import Columns, Series
from roadworthy.observe.rules.cusum import Cusum, bound_of, sums

START = 1_699_488_000


def hours(weeks: int, creep: float = 0.0, seed: int = 0, spike: float = 0.0) -> Series:
    """An hourly mean that creeps by so much a day in the last four days."""
    n = weeks * WEEK
    rng = np.random.default_rng(seed)
    value = 0.5 + 0.1 * np.sin(np.arange(n) * 2 * np.pi / 24) + rng.normal(0, 0.01, n)
    value[-96:] += creep * np.arange(96) / 24
    value[-2] += spike
    ones = np.full(n, 100.0)
    at = START + 3600 * np.arange(n)
    return Series(
        START,
        START + 3600 * n,
        at,
        np.full(n, 3600),
        {"requests": ones},
        {"outputs.p": Columns(ones, ones * value, ones)},
    )


def asked(rule: Cusum, series: Series):
    return rule(series, series.until)


@pytest.mark.parametrize("creep", [0.012, -0.012])
def test_a_creep_of_a_spread_a_day_is_found_either_way(creep):
    verdict = asked(Cusum("outputs.p"), hours(5, creep))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("outputs.p creeps: ")
    assert verdict.evidence[2].conditions["bound"] == Cusum("outputs.p").bound


def test_weeks_of_one_habit_pass():
    assert {asked(Cusum("outputs.p"), hours(5, seed=seed)).decision for seed in range(8)} <= {"pass", "wait"}


def test_one_wild_hour_is_no_shift():
    assert asked(Cusum("outputs.p"), hours(5, spike=5.0)).decision != "fail"


def test_a_shift_that_nobody_would_mind_is_none():
    assert asked(Cusum("outputs.p", least=0.5), hours(5, 0.012)).decision == "wait"


def test_it_waits_for_three_weeks_before_the_last():
    verdict = asked(Cusum("outputs.p"), hours(3, 0.012))
    assert (verdict.decision, verdict.because) == ("wait", "2 of 3 weeks are known before the last one")
    assert asked(Cusum("outputs.p"), hours(4, 0.02)).decision == "fail"
    assert asked(Cusum("p99"), hours(5)).decision == "wait"


def test_the_bound_gives_the_run_length_that_was_asked_for():
    steps = np.random.default_rng(0).normal(-0.5, 1, (400, 4000))
    bound, total, lengths = bound_of(0.5, 400.0), np.zeros(400), np.full(400, 4000)
    for k in range(steps.shape[1]):
        total = np.maximum(0, total + steps[:, k])
        lengths = np.where((lengths == 4000) & (total > bound), k, lengths)
    assert lengths.mean() == pytest.approx(400, rel=0.2)


def test_the_sum_never_falls_below_zero():
    past = np.random.default_rng(1).normal(0, 1, 4 * WEEK)
    habit = usual(past, np.ones_like(past))
    low, level = (np.concatenate([np.full(100, before), np.full(68, 2.0)]) for before in (-3.0, 0.0))
    up, _ = sums(low, np.ones(WEEK), habit, 0.25)
    assert up == pytest.approx(sums(level, np.ones(WEEK), habit, 0.25)[0], rel=0.2)
    assert up > 50


@pytest.mark.parametrize("settings", [{"least_weeks": 2}, {"slack": 0.0}, {"false_alarms_a_week": 0.0}])
def test_settings_that_will_not_do_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Cusum(**settings)
