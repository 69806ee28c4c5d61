from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.gates.quality import Quality

Rows = list[Record]


def asked(made: Quality, control: Rows, candidate: Rows) -> Verdict:
    return made(Window.of_all(control), Window.of_all(candidate))


def row(k: int, arm: Arm, answer: float, label: float | None, **more: str) -> Record:
    return Record(f"r{k}", float(k), "release", arm, {}, {"probability": answer}, label=label, label_at=1e9, **more)


def answers(n: int, noise: float, seed: int = 0) -> tuple[list[float], list[float], list[float]]:
    """Labels, the chance behind each, and the answers of a model that is off by `noise` in its logits."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, 1, n)
    chance = 1 / (1 + np.exp(-logit))
    return (rng.random(n) < chance).astype(float).tolist(), chance.tolist(), _sigmoid(logit + noise).tolist()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def shadow(n: int, noise: float, start: int = 0) -> tuple[Rows, Rows]:
    labels, good, given = answers(n, noise, start)
    control = [row(start + k, "stable", p, y) for k, (p, y) in enumerate(zip(good, labels, strict=True))]
    return control, [row(start + k, "shadow", p, y) for k, (p, y) in enumerate(zip(given, labels, strict=True))]


def canary(n: int, noise: float, share: float = 0.3, start: int = 0) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(start + 7)
    dealt = rng.random(n) < share
    control, mirrored = shadow(n, noise, start)
    candidate = [row(int(r.at), "canary", r.outputs["probability"], r.label) for r in mirrored]
    return (
        [r for r, c in zip(control, dealt, strict=True) if not c],
        [r for r, c in zip(candidate, dealt, strict=True) if c],
    )


def test_waits_below_the_least_labels_and_says_how_many_there_are() -> None:
    control, candidate = shadow(150, 0.0)
    verdict = asked(Quality(least=200), control, candidate)
    assert verdict.decision == "wait"
    assert verdict.because.startswith("150 of 200 labelled rows")


def test_rows_without_a_label_or_with_an_error_do_not_count() -> None:
    control, _ = shadow(300, 0.0)
    unlabelled = [row(k, "shadow", 0.5, None) for k in range(300)]
    failed = [row(k, "shadow", 0.5, 1.0, error="TimeoutError") for k in range(300)]
    assert asked(Quality(), control, unlabelled).because.startswith("0 of 200")
    assert asked(Quality(), control, failed).because.startswith("0 of 200")


def test_an_output_that_nobody_gives_is_named() -> None:
    verdict = asked(Quality(output="score"), *shadow(400, 0.0))
    assert verdict.decision == "wait"
    assert "'score'" in verdict.because


def test_a_worse_shadow_fails_on_some_hundred_pairs() -> None:
    verdict = asked(Quality(), *shadow(600, 1.0))
    assert verdict.decision == "fail"
    assert "on 600 pairs: worse by more than 0.01" in verdict.because
    by_pairs = verdict.evidence[0]
    assert 0 < by_pairs.low < by_pairs.value < by_pairs.high


def test_an_equal_shadow_passes_and_two_equal_models_have_no_gap_at_all() -> None:
    verdict = asked(Quality(), *shadow(300, 0.0))
    assert verdict.decision == "pass"
    assert verdict.evidence[0].value == 0


def test_a_gap_inside_the_margin_is_no_reason_to_fail() -> None:
    verdict = asked(Quality(margin=0.2), *shadow(5000, 0.5))
    assert verdict.evidence[0].low > 0
    assert verdict.decision == "pass"


def test_the_ranking_is_judged_by_its_own_loss() -> None:
    assert asked(Quality(metric="auc", margin=0.05), *shadow(3000, 0.0)).decision == "pass"
    control, candidate = shadow(3000, 0.0)
    chance = np.random.default_rng(0).random(len(candidate))
    blind = [replace(r, outputs={"probability": float(p)}) for r, p in zip(candidate, chance, strict=True)]
    verdict = asked(Quality(metric="auc"), control, blind)
    assert verdict.decision == "fail"
    assert verdict.evidence[0].name == "auc_difference"


def test_a_ranking_waits_for_both_classes() -> None:
    control, candidate = shadow(600, 0.0)
    one_class = [[replace(r, label=0.0) for r in arm] for arm in (control, candidate)]
    assert asked(Quality(metric="auc"), *one_class).decision == "wait"


def test_waits_until_the_rows_span_the_least_hours() -> None:
    control, worse = shadow(600, 1.0)
    assert asked(Quality(least_hours=0.1), control, worse).decision == "fail"
    verdict = asked(Quality(least_hours=0.2), control, worse)
    assert verdict.decision == "wait"
    assert "over 0.2 hours" in verdict.because


def test_without_pairs_the_arms_are_compared_in_time() -> None:
    assert asked(Quality(), *canary(8000, 1.5)).decision == "fail"
    assert asked(Quality(), *canary(2000, 0.0)).decision == "wait"
    assert asked(Quality(margin=0.2), *canary(8000, 0.0)).decision == "pass"


def test_what_the_shadow_has_shown_stays_while_the_canary_has_few_labels() -> None:
    control, candidate = shadow(1500, 0.0)
    later = canary(300, 0.0, start=1500)
    assert asked(Quality(), control + later[0], candidate + later[1]).decision == "pass"


def test_a_canary_that_turns_bad_is_failed_although_its_shadow_passed() -> None:
    control, candidate = shadow(1500, 0.0)
    later = canary(6000, 2.5, start=1500)
    verdict = asked(Quality(), control + later[0], candidate + later[1])
    assert verdict.decision == "fail"
    assert "rows an arm" in verdict.because


def test_an_equally_good_model_fails_no_more_often_than_alpha() -> None:
    rng, fails = np.random.default_rng(1), 0
    for seed in range(60):
        labels, chance, _ = answers(1200, 0.0, seed)
        logits = np.log(np.array(chance) / (1 - np.array(chance)))
        one, other = (_sigmoid(logits + 0.5 * rng.normal(size=1200)) for _ in range(2))
        control = [row(k, "stable", float(p), labels[k]) for k, p in enumerate(one)]
        candidate = [row(k, "shadow", float(p), labels[k]) for k, p in enumerate(other)]
        fails += any(
            asked(Quality(), control[:n], candidate[:n]).decision == "fail" for n in (200, 300, 500, 800, 1200)
        )
    assert fails <= 60 * 0.05


@pytest.mark.parametrize(
    ("metric", "gap"),
    [("brier", 0.81 - 0.01), ("error", 1.0), ("absolute", 0.8), ("squared", 0.8), ("log_loss", math.log(9))],
)
def test_every_metric_is_a_mean_of_losses(metric: Any, gap: float) -> None:
    control = [row(k, "stable", 0.9, 1.0) for k in range(200)]
    candidate = [row(k, "shadow", 0.1, 1.0) for k in range(200)]
    verdict = asked(Quality(metric=metric), control, candidate)
    assert verdict.evidence[0].value == pytest.approx(gap)
    assert verdict.decision == "fail"
