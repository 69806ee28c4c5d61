from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.traffic.charts import Chart, EscalationChart, chart_of, loss_chart_of

RUNS, ALPHA = 250, 0.05
# At most so many runs alarm falsely where one in twenty may: their mean and four standard deviations.
MOST = RUNS * ALPHA + 4 * (RUNS * ALPHA * (1 - ALPHA)) ** 0.5


def rows(rng: np.random.Generator, share: float, n: int) -> np.ndarray:
    return rng.random(n) < share


def charted(escalated: np.ndarray, planned: float = 0.3, tolerance: float = 0.0, **given: object) -> Chart:
    at = np.arange(len(escalated), dtype=float)
    groups = given.pop("groups", np.arange(len(escalated)))
    return chart_of(escalated, groups, at, planned, tolerance, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("planned", [0.05, 0.3, 0.7])
def test_a_kept_plan_alarms_at_any_of_all_looks_with_at_most_alpha(planned: float) -> None:
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(RUNS):
        alarms += charted(rows(rng, planned, 600), planned, alpha=ALPHA).alarm_at is not None
    assert alarms <= MOST


def test_rows_that_escalate_together_are_one_piece_of_evidence() -> None:
    """Sessions of 20 rows that all escalate or none: taken for 20 pieces each, they alarm on a kept plan."""
    rng, alarms, naive = np.random.default_rng(2), 0, 0
    for _ in range(60):
        groups = np.repeat(np.arange(60), 20)
        escalated = np.repeat(rows(rng, 0.3, 60), 20)
        alarms += charted(escalated, alpha=ALPHA, groups=groups).alarm_at is not None
        naive += charted(escalated, alpha=ALPHA).alarm_at is not None
    assert alarms <= 3 + 4 * (60 * ALPHA * (1 - ALPHA)) ** 0.5
    assert naive > 20


def test_a_doubled_share_is_known_after_a_few_dozen_rows() -> None:
    rng = np.random.default_rng(3)
    known = [charted(rows(rng, 0.6, 1000), tolerance=0.02).alarm_rows or 1000 for _ in range(50)]
    assert np.median(known) < 60
    assert max(known) < 250


def test_a_change_after_a_long_calm_is_found_soon_after_it() -> None:
    rng = np.random.default_rng(4)
    runs = [np.concatenate([rows(rng, 0.3, 5000), rows(rng, 0.45, 2000)]) for _ in range(15)]
    late = [(charted(run, tolerance=0.02).alarm_rows or 7000) - 5000 for run in runs]
    assert min(late) > 0
    assert np.median(late) < 700


def test_too_little_escalation_alarms_too_and_the_verdict_says_which() -> None:
    rng = np.random.default_rng(5)
    down, up = charted(rows(rng, 0.1, 500), tolerance=0.02), charted(rows(rng, 0.6, 500), tolerance=0.02)
    assert (down.verdict.decision, up.verdict.decision) == ("fail", "fail")
    assert "less than planned, known after" in down.verdict.because
    assert "more than planned, known after" in up.verdict.because


def test_within_the_tolerance_is_as_planned() -> None:
    rng = np.random.default_rng(6)
    assert charted(rows(rng, 0.31, 4000), tolerance=0.05).verdict.decision == "pass"
    assert charted(rows(rng, 0.31, 40), tolerance=0.05).verdict.decision == "wait"
    assert charted(np.zeros(0, bool)).verdict.decision == "wait"


def test_the_evidence_starts_at_one_and_wealth_is_never_negative() -> None:
    chart = EscalationChart(0.3)
    assert (chart.up, chart.down) == (1.0, 1.0)
    for _ in range(5000):
        chart.add(0.0)
    assert 0 < chart.up < 1
    assert chart.alarm == "down"
    with pytest.raises(BadData, match=r"a share lies between 0 and 1, got 1\.5"):
        chart.add(1.5)
    with pytest.raises(BadData, match="`planned` and `alpha` lie between 0 and 1"):
        EscalationChart(0.0)


def test_the_mean_evidence_on_a_kept_plan_is_one() -> None:
    """The e-value is a martingale of mean 1: over 4,000 runs of 30 rows its mean is 1 within its own error."""
    rng, found = np.random.default_rng(7), []
    for _ in range(4000):
        chart = EscalationChart(0.3)
        for escalated in rows(rng, 0.3, 30):
            chart.add(float(escalated))
        found.append(chart.up)
    assert np.mean(found) == pytest.approx(1.0, abs=4 * np.std(found) / 4000**0.5)


def losses(rng: np.random.Generator, weak: float, n: int) -> np.ndarray:
    return (rng.random(n) < 0.9).astype(float) - (rng.random(n) < weak)


def test_a_loss_as_planned_is_calm_and_a_greater_one_alarms() -> None:
    rng, at = np.random.default_rng(8), np.arange(400.0)
    calm = [loss_chart_of(losses(rng, 0.88, 400), at, at, 0.02, 0.0, ALPHA).alarm_at for _ in range(RUNS)]
    assert sum(alarm is not None for alarm in calm) <= MOST
    loud = loss_chart_of(losses(rng, 0.5, 400), at, at, 0.02)
    assert loud.verdict.decision == "fail"
    assert loud.alarm_rows is not None
    assert loud.alarm_rows < 150
    assert loud.share.value == pytest.approx(0.4, abs=0.12)


def test_points_are_few_enough_to_draw() -> None:
    found = charted(rows(np.random.default_rng(9), 0.3, 5000))
    assert 100 < len(found.points) <= 200
    assert found.points[-1].at == 4999.0
