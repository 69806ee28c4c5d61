from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console
from scipy.stats import spearmanr

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.shadows.answer_pairs import paired
from roadworthy.rollout.shadows.pair_slices import parts_of
from roadworthy.rollout.shadows.shadow_report import Comparison, ShadowReport, compare_shadow
from roadworthy.rollout.shadows.shadow_text import shadow_text


def arm(
    name: Arm,
    answers: Sequence[Any],
    labels: Sequence[float | None] | None = None,
    carriers: Sequence[str] | None = None,
    seconds: Sequence[float] | None = None,
    failed: Sequence[int] = (),
    first: int = 0,
) -> Window:
    found = []
    for k, answer in enumerate(answers, first):
        place = k - first
        carrier = "AA" if carriers is None else carriers[place]
        record = Record(
            f"r{k}",
            float(k),
            name,
            name,
            {"x": float(k % 10), "carrier": carrier},
            {} if place in failed else {"probability": answer},
            seconds={"model": 0.001 if seconds is None else seconds[place]},
            usd=0.01,
            tags={"origin": "LGA" if k % 2 else "JFK"},
            error="ArithmeticError: no wind" if place in failed else None,
            label=None if labels is None else labels[place],
        )
        found.append(record)
    return Window.of_all(found)


def both(n: int = 2000, bump: float = 0.0, seed: int = 0) -> tuple[Window, Window]:
    """A calibrated control, and a candidate whose answers lie higher; every label is known."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 3, n)
    labels = (rng.random(n) < p).astype(float).tolist()
    q = np.clip(p + bump + rng.normal(0, 0.02, n), 0, 1)
    return arm("stable", p.tolist(), labels), arm("shadow", q.tolist(), labels)


def test_equal_arms_agree_and_differ_in_nothing() -> None:
    control, _ = both()
    report = compare_shadow(control, control)
    assert report.of("agreement").value == 1.0
    assert report.of("distance_max").value == 0.0
    assert report.of("rank_correlation").value == pytest.approx(1.0)
    assert report.of("log_loss_difference").value == 0.0
    assert not any(one.stands_out for one in report.slices)


def test_a_lifted_candidate_is_seen_in_every_measure() -> None:
    control, candidate = both(bump=0.2)
    report = compare_shadow(control, candidate)
    assert report.of("difference").low > 0.15
    assert report.of("agreement").high < 0.9
    assert report.of("log_loss_difference").low > 0
    eces = [found for found in report.measured if found.name == "ece"]
    assert [found.where for found in eces] == ["control", "candidate"]
    assert eces[0].high < eces[1].low


def test_numbers_are_those_of_plain_formulas_and_of_scipy() -> None:
    control, candidate = both(500, bump=0.05)
    report, pairs = compare_shadow(control, candidate), paired(control, candidate, "probability")
    gaps = np.abs(pairs.after - pairs.before)
    assert report.of("distance").value == pytest.approx(gaps.mean())
    assert report.of("distance_p90").value == np.sort(gaps)[450]
    assert report.of("distance_max").value == gaps.max()
    assert report.of("rank_correlation").value == pytest.approx(spearmanr(pairs.before, pairs.after).statistic)
    wrong = (pairs.after >= 0.5) != (pairs.labels > 0.5)
    was = (pairs.before >= 0.5) != (pairs.labels > 0.5)
    one_sided = report.of("wrong_only_in_candidate")
    assert (one_sided.n, one_sided.value) == (int((wrong != was).sum()), (wrong & ~was).sum() / (wrong != was).sum())


def test_quantiles_lie_within_their_intervals_and_hold_the_true_one() -> None:
    rng, missed = np.random.default_rng(3), 0
    true = -math.log(0.1)  # the 90th percentile of an exponential distance
    for _ in range(200):
        far = rng.exponential(1.0, 300)
        report = compare_shadow(arm("stable", [10.0] * 300), arm("shadow", (10 + far).tolist()))
        found = report.of("distance_p90")
        assert found.low <= found.value <= found.high
        missed += not found.low <= true <= found.high
    assert missed <= 10


def test_the_report_says_which_share_of_the_requests_it_saw() -> None:
    control, candidate = both(1000)
    later = candidate.take((candidate.at >= 400) & (np.arange(1000) % 4 == 0))
    report = compare_shadow(control, later)
    assert (report.requests, report.pairs) == (600, 150)
    assert report.share.value == 0.25
    assert "150 of 600 requests were mirrored and answered (25.0%)" in text(report)


def test_errors_are_paired_and_answers_compared_only_where_both_answered() -> None:
    n = 200
    report = compare_shadow(arm("stable", [0.2] * n, failed=[1]), arm("shadow", [0.2] * n, failed=range(20)))
    rates = {found.where: found.value for found in report.measured if found.name == "error_rate"}
    assert rates == {"control": 1 / n, "candidate": 20 / n}
    only = report.of("failed_only_in_candidate")
    assert (only.value, only.n) == (1.0, 19)
    assert only.low > 0.5
    assert report.of("agreement").n == 180


def test_latency_and_cost_are_compared_in_pairs() -> None:
    seconds = np.random.default_rng(1).exponential(0.01, 400) + 0.001
    control = arm("stable", [0.2] * 400, seconds=seconds.tolist())
    report = compare_shadow(control, arm("shadow", [0.2] * 400, seconds=(seconds + 0.002).tolist()))
    found = report.of("model_seconds_difference")
    assert found.value == pytest.approx(0.002)
    assert found.high - found.low < 1e-6
    assert found.unit == "s"
    assert report.of("usd_difference").value == 0.0
    assert report.of("tokens").n == 0


def test_a_slice_in_which_the_candidate_is_broken_stands_out_and_comes_first() -> None:
    rng = np.random.default_rng(2)
    carriers = rng.choice(["AA", "UA", "HA"], 3000, p=[0.5, 0.4, 0.1]).tolist()
    p = rng.beta(2, 3, 3000)
    broken = np.array(carriers) == "HA"
    q = np.where(broken, 1 - p, p)
    report = compare_shadow(arm("stable", p.tolist(), carriers=carriers), arm("shadow", q.tolist(), carriers=carriers))
    assert report.slices[0].where == "carrier=HA"
    assert [one.where for one in report.slices if one.stands_out] == ["carrier=HA"]
    assert {one.where for one in report.slices} == {
        "origin=LGA",
        "origin=JFK",
        *(f"carrier={c}" for c in ("AA", "UA", "HA")),
    }


def test_slices_of_an_equal_candidate_rarely_stand_out() -> None:
    stood = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        carriers = rng.choice([f"C{k}" for k in range(8)], 1000).tolist()
        p = rng.beta(2, 3, 1000)
        q = np.clip(p + rng.normal(0, 0.1, 1000), 0, 1)
        report = compare_shadow(
            arm("stable", p.tolist(), carriers=carriers), arm("shadow", q.tolist(), carriers=carriers)
        )
        stood += any(one.stands_out for one in report.slices)
    # 5 % of 60 families is 3; 8 or more has a probability of 1 %.
    assert stood <= 8


def test_ids_and_free_text_are_no_slices() -> None:
    rows = arm("stable", [0.1] * 100, carriers=[f"flight {k}" for k in range(100)])
    assert [part.where for part in parts_of(rows, 10, 20)] == ["origin=JFK", "origin=LGA"]


def test_classes_texts_and_numbers_are_compared_too() -> None:
    one, other = [[0.7, 0.2, 0.1]] * 100, [[0.7, 0.1, 0.2]] * 50 + [[0.2, 0.7, 0.1]] * 50
    classes = compare_shadow(arm("stable", one, [0.0] * 100), arm("shadow", other, [0.0] * 100))
    assert classes.of("agreement").value == 0.5
    assert classes.of("distance").value == pytest.approx(0.5 * 0.1 + 0.5 * 0.5)
    assert classes.of("wrong_only_in_candidate").value == 1.0
    texts = compare_shadow(arm("stable", ["late"] * 40), arm("shadow", ["late"] * 30 + ["early"] * 10))
    assert texts.of("agreement").value == 0.75
    assert texts.of("distance").n == 0
    numbers = compare_shadow(arm("stable", [7.0] * 50, [8.0] * 50), arm("shadow", [9.0] * 50, [8.0] * 50))
    assert numbers.of("agreement").value == 0.0
    assert numbers.of("absolute_difference").value == 0.0


def test_arms_that_share_nothing_give_an_empty_report_and_answers_of_two_widths_no_answer() -> None:
    empty = compare_shadow(arm("stable", [0.1] * 5), arm("shadow", [0.1] * 5, first=100))
    assert (empty.pairs, empty.measured, empty.slices) == (0, (), ())
    assert text(empty).startswith("0 of 0 requests")
    odd = compare_shadow(arm("stable", [0.1] * 5), arm("shadow", [[0.1, 0.9]] * 5))
    assert (odd.pairs, odd.of("agreement").n) == (5, 0)
    assert compare_shadow(arm("stable", []), arm("shadow", [])).pairs == 0


def test_a_report_goes_to_json_and_back_and_its_text_names_every_measurement() -> None:
    report = compare_shadow(*both(300, bump=0.1))
    assert msgspec.json.decode(msgspec.json.encode(report), type=ShadowReport) == report
    shown = text(report)
    assert all(found.name in shown for found in report.measured)
    assert "origin=LGA" in shown


def test_an_impossible_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="`confidence` must be between 0 and 1, got 95"):
        Comparison(confidence=95)


def text(report: ShadowReport) -> str:
    console = Console(width=160)
    with console.capture() as caught:
        console.print(shadow_text(report))
    return caught.get()
