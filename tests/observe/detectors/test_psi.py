from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.detectors.psi import Psi


def window(**columns) -> Reference:
    n = len(next(iter(columns.values())))
    return Reference.of(Window(columns, {}, np.full(n, np.nan), np.arange(n, dtype=float)), most_rows=10**9)


def normal(n, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=n) + shift


def categories(n, seed, chances):
    return np.random.default_rng(seed).choice(np.array(["a", "b", "c", None], dtype=object), n, p=chances)


def test_a_shift_of_one_standard_deviation_is_found_and_named():
    verdict = Psi()(window(x=normal(5000, 0), y=normal(5000, 1)), window(x=normal(1000, 2, 1.0), y=normal(1000, 3)))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("1 of 2 columns moved: x PSI")
    assert [m.where for m in verdict.evidence] == ["x", "y"]
    # Of N(1, 1) against N(0, 1) in tenths.
    assert verdict.evidence[0].low < 0.926 < verdict.evidence[0].high


def test_one_outlier_changes_no_verdict():
    reference = window(x=normal(5000, 0))
    for shift, decision in ((0.0, "pass"), (1.0, "fail")):
        values = normal(1000, 2, shift)
        values[0] = 1e6
        assert Psi()(reference, window(x=values)).decision == decision


def test_a_spread_that_grows_is_found():
    reference = np.exp(2 * normal(10_000, 0))
    verdict = Psi(least=0.02)(window(x=reference), window(x=1.5 * np.exp(2 * normal(10_000, 1))))
    assert verdict.decision == "fail"


def test_another_mix_of_categories_is_found():
    reference, current = categories(3000, 0, [0.6, 0.3, 0.1, 0.0]), categories(500, 1, [0.3, 0.3, 0.4, 0.0])
    verdict = Psi()(window(c=reference), window(c=current))
    assert verdict.decision == "fail"
    assert "'c'" in verdict.because


def test_nulls_that_were_not_there_are_found():
    current = normal(400, 1)
    current[:60] = np.nan
    verdict = Psi()(window(x=normal(5000, 0)), window(x=current))
    assert verdict.decision == "fail"
    assert "null: 0.0% became 15.0%" in verdict.because


def test_one_null_in_fifty_rows_is_no_alarm():
    current = normal(50, 1)
    current[0] = np.nan
    assert Psi()(window(x=normal(5000, 0)), window(x=current)).decision == "pass"


def test_a_column_that_vanished_is_an_alarm():
    verdict = Psi()(window(x=normal(500, 0), y=normal(500, 1)), window(y=normal(500, 2)))
    assert verdict.decision == "fail"
    assert "x PSI" in verdict.because
    assert "gone: x" in verdict.because


def test_a_new_column_is_told_and_not_compared():
    verdict = Psi()(window(x=normal(500, 0)), window(x=normal(500, 1), new=normal(500, 2)))
    assert [m.where for m in verdict.evidence] == ["x"]
    assert verdict.because.endswith("; new, and so not compared: new")


def test_chunks_of_a_table_are_judged_like_the_whole():
    reference, current = window(x=normal(5000, 0)), window(x=normal(900, 1, 1.0))
    chunks = [Profile.of(current.take(slice(k, k + 300)), like=reference.profile) for k in (0, 300, 600)]
    judged = Psi().judge(reference.profile, chunks[0].merge(chunks[1]).merge(chunks[2]))
    assert judged == Psi()(reference, current)


def test_a_trifle_is_no_alarm_however_many_rows():
    reference, current = window(x=normal(100_000, 0)), window(x=normal(100_000, 1, 0.1))
    assert Psi()(reference, current).decision == "pass"
    assert Psi(least=0.005)(reference, current).decision == "fail"


def test_waits_below_the_least_rows_of_either():
    few, many = window(x=normal(49, 0)), window(x=normal(500, 1, 5.0))
    assert Psi()(many, few).decision == "wait"
    assert Psi()(few, many).decision == "wait"
    assert "49 rows against 500" in Psi()(many, few).because


def test_waits_where_there_is_nothing_to_compare():
    assert Psi(ignore=("x",))(window(x=normal(500, 0)), window(x=normal(500, 1))).decision == "wait"


def test_looks_only_at_the_chosen_columns():
    reference, current = window(x=normal(500, 0), y=normal(500, 1)), window(x=normal(500, 2, 3.0), y=normal(500, 3))
    assert Psi(columns=("y",))(reference, current).decision == "pass"
    assert Psi(ignore=("x",))(reference, current).decision == "pass"
    assert Psi(columns=("x",))(reference, current).decision == "fail"


def test_an_output_can_be_watched_too():
    reference = Reference.of(Window({}, {"probability": normal(500, 0)}, np.full(500, np.nan), np.zeros(500)))
    current = Window({}, {"probability": normal(500, 1, 2.0)}, np.full(500, np.nan), np.zeros(500))
    assert Psi(columns=("probability",))(reference, current).decision == "fail"


def test_of_vectors_only_their_presence_counts():
    reference = window(x=normal(500, 0), v=np.zeros((500, 3)))
    assert Psi()(reference, window(x=normal(500, 1), v=np.ones((500, 3)))).decision == "pass"
    assert "v PSI" in Psi()(reference, window(x=normal(500, 1))).because
    assert "v PSI" in Psi()(reference, window(x=normal(500, 1), v=np.full((500, 3), np.nan))).because


def test_a_column_that_nobody_knows_is_named_with_its_neighbour():
    with pytest.raises(SpecError, match="'temprature'; did you mean 'temperature'"):
        Psi(columns=("temprature",))(window(temperature=normal(500, 0)), window(temperature=normal(500, 1)))


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"alpha": 0.0}, {"alpha": 1.0}, {"least": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Psi(**wrong)


@pytest.mark.parametrize("n", [50, 300, 2000])
def test_false_alarms_over_many_columns_stay_within_alpha(n):
    rng = np.random.default_rng(n)

    def draw(rows):
        skewed, rounded = np.exp(2 * rng.normal(size=rows)), np.round(rng.gamma(2, 3, rows))
        return window(
            x=rng.normal(size=rows),
            skewed=skewed,
            rounded=rounded,
            flag=(rng.random(rows) < 0.03).astype(float),
            many=rng.integers(0, 300, rows).astype(str).astype(object),
            holes=np.where(rng.random(rows) < 0.002, np.nan, 0.0),
            c=rng.choice(np.array(["a", "b", "c", None], dtype=object), rows, p=[0.6, 0.35, 0.04, 0.01]),
        )

    detector = Psi(alpha=0.05, least=0.0)
    alarms = sum(detector(draw(500), draw(n)).decision == "fail" for _ in range(150))
    # 7 are expected at most; 18 would be four standard deviations more.
    assert alarms <= 18
