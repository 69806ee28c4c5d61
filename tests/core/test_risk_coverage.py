from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import BadData
from roadworthy.core.risk_coverage import RiskCoverage, accuracies_answered, risk_coverage


def test_the_curve_counts_the_errors_among_the_surest_rows() -> None:
    found = risk_coverage([0.9, 0.5, 0.7, 0.6], [0, 1, 1, 0])
    assert [(p.threshold, p.coverage, p.risk) for p in found.points] == [
        (0.9, 0.25, 0.0), (0.7, 0.5, 0.5), (0.6, 0.75, pytest.approx(1 / 3)), (0.5, 1.0, 0.5),
    ]  # fmt: skip
    assert found.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert found.risk.value == 0.5


def test_the_best_order_has_no_excess_and_the_worst_the_most() -> None:
    wrong = np.r_[np.zeros(80), np.ones(20)]
    best, worst = risk_coverage(-wrong, wrong), risk_coverage(wrong, wrong)
    blind = risk_coverage(np.random.default_rng(0).random(100), wrong)
    assert best.excess.value == pytest.approx(0.0)
    assert best.error_auroc.value == 1.0
    assert best.aurc.value < blind.aurc.value < worst.aurc.value
    assert worst.error_auroc.value == 0.0


@given(st.permutations(range(6)))
def test_in_what_order_equally_sure_rows_stand_does_not_matter(order: list[int]) -> None:
    sure, wrong = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1]), np.array([0, 1, 0, 0, 1, 1])
    assert risk_coverage(sure[order], wrong[order]) == risk_coverage(sure, wrong)


def test_a_model_that_is_equally_sure_of_all_has_one_point_and_its_risk_for_an_area() -> None:
    found = risk_coverage(np.ones(50), np.arange(50) % 5 == 0)
    assert [(p.coverage, p.risk) for p in found.points] == [(1.0, pytest.approx(0.2))]
    assert found.aurc.value == pytest.approx(0.2)


def rows(n: int, rng: np.random.Generator, worst: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    sure = rng.random(n)
    return sure, (rng.random(n) < worst * (1 - sure)).astype(float)


@pytest.mark.parametrize(("n", "worst"), [(400, 0.4), (60, 0.4), (300, 0.02)])
def test_the_interval_of_the_area_holds_the_true_one_as_often_as_it_says(n: int, worst: float) -> None:
    rng = np.random.default_rng(0)
    true = risk_coverage(*rows(1_000_000, rng, worst)).aurc.value
    held = [(found := risk_coverage(*rows(n, rng, worst)).aurc).low <= true <= found.high for _ in range(400)]
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400) - 0.02


def test_no_error_in_few_rows_leaves_room_for_some() -> None:
    found = risk_coverage(np.arange(50.0), np.zeros(50))
    assert found.aurc.value == 0.0
    assert found.aurc.high > 0.05
    assert found.error_auroc.n == 0


def test_a_plot_has_at_most_200_points_and_goes_to_json_and_back() -> None:
    found = risk_coverage(*rows(5000, np.random.default_rng(0)))
    assert 150 <= len(found.points) <= 200
    assert found.points[-1].coverage == 1.0
    assert all(p.low <= p.risk <= p.high for p in found.points)
    assert msgspec.json.decode(msgspec.json.encode(found), type=RiskCoverage) == found


def test_losses_between_right_and_wrong_have_a_curve_too() -> None:
    found = risk_coverage([0.9, 0.1], [0.25, 0.5])
    assert found.aurc.value == pytest.approx((0.25 + 0.375) / 2)
    assert found.error_auroc.n == 0


@pytest.mark.parametrize(
    ("sure", "wrong"), [([], []), ([0.5], [0.0, 1.0]), ([np.nan], [0.0]), ([0.5], [np.nan]), ([0.5], [2.0])]
)
def test_rows_that_do_not_say_both_are_refused(sure: list[float], wrong: list[float]) -> None:
    with pytest.raises(BadData, match="how sure the model was"):
        risk_coverage(sure, wrong)


def test_accuracy_of_the_rest_is_counted_and_ties_share_their_errors():
    sure, wrong = np.arange(100.0), np.arange(100) < 10
    found = accuracies_answered(sure, wrong)
    assert [(m.where, m.n) for m in found] == [
        ("surest 99 %", 99),
        ("surest 95 %", 95),
        ("surest 90 %", 90),
        ("surest 80 %", 80),
    ]
    assert [round(m.value, 6) for m in found] == [round(1 - 9 / 99, 6), round(1 - 5 / 95, 6), 1.0, 1.0]
    assert found[1].conditions == {"flagged": 0.05, "threshold": 5.0}
    assert found[2].low < 1.0
    tied = accuracies_answered(np.ones(100), wrong, (0.5,))
    assert tied[0].value == pytest.approx(0.9)


def test_less_than_one_row_cannot_be_flagged():
    assert [m.where for m in accuracies_answered(np.arange(30.0), np.zeros(30))] == [
        "surest 95 %",
        "surest 90 %",
        "surest 80 %",
    ]
    assert accuracies_answered([0.5], [1.0]) == ()
