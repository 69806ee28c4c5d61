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
from roadworthy.rollout.base import Expected
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


def traffic(n: int, candidate_off: float = 0.0, share: float = 0.3, seed: int = 0) -> tuple[Window, Window, np.ndarray]:
    """A day of rows with inputs that tell most of the outcome, all answered by both arms, and which are dealt to one.

    Both models see the inputs with an error of their own; `candidate_off` is added to the candidate's log-odds.
    """
    rng = np.random.default_rng(seed)
    x, kind = rng.normal(0, 2, n), rng.integers(0, 2, n)
    logit = x + kind - 1.5
    labels = (rng.random(n) < _sigmoid(logit)).astype(float)
    at = np.linspace(0, 86_400, n)
    ids = np.array([f"r{k}" for k in range(n)], object)
    inputs = {"x": x, "kind": np.array(["a", "b"], object)[kind], "noise": rng.normal(size=n)}

    def arm(off: float) -> Window:
        told = {"probability": _sigmoid(logit + 0.3 * rng.normal(size=n) + off)}
        return Window(inputs, told, labels, at, ids=ids, known_at=at + rng.gamma(3, 3600, n))

    return arm(0.0), arm(candidate_off), rng.random(n) < share


def split(n: int, off: float = 0.0, share: float = 0.3, seed: int = 0) -> tuple[Window, Window]:
    stable, candidate, dealt = traffic(n, off, share, seed)
    return stable.take(~dealt), candidate.take(dealt)


def width(made: Quality, arms: tuple[Window, Window]) -> float:
    found = made(*arms).evidence[1]
    return found.high - found.low


def test_what_the_inputs_foretell_narrows_the_interval_and_leaves_the_difference() -> None:
    arms, worse = split(8000, seed=2), split(8000, off=1.5, seed=2)
    plain, told, fixed = Quality(covariates=()), Quality(), Quality(fixed_labels=True)
    assert width(fixed, arms) < 0.6 * width(plain, arms)
    assert width(told, arms) < 0.97 * width(plain, arms)
    for made, most in ((plain, 1.0), (told, 0.95), (fixed, 0.35)):
        found = made(*arms).evidence[1]
        assert found.conditions["variance_ratio"] <= most
        assert found.low < 0 < found.high
    gaps = [made(*worse).evidence[1].value for made in (plain, told, fixed)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.04)
    assert [made(*worse).decision for made in (plain, fixed)] == ["fail", "fail"]


def test_only_the_columns_that_are_named_foretell() -> None:
    arms = split(4000)
    ratio = {
        names: Quality(covariates=names, fixed_labels=True)(*arms).evidence[1].conditions["variance_ratio"]
        for names in ((), ("noise",), ("x", "kind"))
    }
    assert ratio["x", "kind"] < 0.5 < ratio[()]
    assert ratio["x", "kind"] < 0.5 < ratio["noise",]
    assert Quality(covariates=("gone",))(*arms).evidence[1].conditions["variance_ratio"] == pytest.approx(1)


def test_an_adjusted_comparison_fails_an_equal_candidate_no_more_often_than_alpha() -> None:
    missed = 0
    for seed in range(40):
        stable, candidate, dealt = traffic(3000, seed=seed)
        for until in (0.3, 0.6, 1.0):
            known = np.asarray(stable.known_at) <= until * 100_000
            found = Quality(fixed_labels=True)(stable.take(known & ~dealt), candidate.take(known & dealt)).evidence[1]
            missed += not found.low <= 0 <= found.high
    assert missed <= 2


def test_rows_are_judged_in_the_order_in_which_their_labels_came() -> None:
    stable = traffic(3000)[0]
    known = np.asarray(stable.known_at)
    early = known <= np.quantile(known, 0.5)
    made = Quality(fixed_labels=True)
    before = made._scored(stable.take(early), 1e9)
    after = made._scored(stable, 1e9)
    # A later look adds rows behind, and so changes nothing that was foretold of the earlier ones.
    assert np.array_equal(before.rows.ids, after.rows.ids[: before.n])
    assert (np.diff(after.known) >= 0).all()


def test_requests_that_are_not_ripe_are_left_out_even_if_their_outcome_is_known() -> None:
    n = 3000
    at = np.linspace(0, 86_400, n)
    quick = np.arange(n) % 2 == 0
    known_at = at + np.where(quick, 600, 6 * 3600.0)
    labels, ids = np.ones(n), np.array([f"r{k}" for k in range(n)], object)
    # The candidate is worse on quick outcomes by as much as it is better on slow ones.
    loss = {"stable": np.full(n, 1.0), "candidate": np.where(quick, 2.0, 0.0) + np.linspace(-0.1, 0.1, n)}
    now = known_at <= 8 * 3600
    arms = [Window({}, {"p": labels + v}, labels, at, ids=ids, known_at=known_at).take(now) for v in loss.values()]
    hasty, patient = (Quality("absolute", output="p", ripe_hours=hours)(*arms).evidence[0] for hours in (0.0, 6.0))
    assert hasty.value > 0.5
    assert abs(patient.value) < 0.15
    assert patient.n < 600 < hasty.n


def test_two_arms_that_never_disagreed_are_not_shown_to_be_equal_by_two_hundred_rows() -> None:
    labels = [float(k % 2) for k in range(3000)]
    control = [row(k, "stable", y, y) for k, y in enumerate(labels)]
    candidate = [row(k, "shadow", y, y) for k, y in enumerate(labels)]
    few = asked(Quality(metric="error"), control[:200], candidate[:200])
    assert few.decision == "wait"
    assert few.evidence[0].high > 0.01
    assert asked(Quality(metric="error"), control, candidate).decision == "pass"


def test_a_rare_error_is_bounded_in_a_split_too() -> None:
    labels = [float(k % 2) for k in range(800)]
    control = [row(k, "stable", y, y) for k, y in enumerate(labels) if k % 4 > 1]
    candidate = [row(k, "canary", y, y) for k, y in enumerate(labels) if k % 4 <= 1]
    found = asked(Quality(metric="error"), control, candidate).evidence[1]
    assert found.low < -0.01 < 0.01 < found.high


def test_classes_are_judged_by_vectors_of_probabilities() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 900)
    good = np.eye(3)[labels] * 0.6 + rng.dirichlet((1, 1, 1), 900) * 0.4
    bad = np.eye(3)[(labels + (rng.random(900) < 0.4)) % 3] * 0.6 + rng.dirichlet((1, 1, 1), 900) * 0.4

    def rows(arm: Arm, given: np.ndarray) -> Rows:
        return [
            Record(f"r{k}", float(k), "x", arm, {}, {"probability": p}, label=float(y), label_at=float(k))
            for k, (p, y) in enumerate(zip(given.tolist(), labels.tolist(), strict=True))
        ]

    for metric in ("log_loss", "error", "brier"):
        assert asked(Quality(metric), rows("stable", good), rows("shadow", bad)).decision == "fail"
        assert asked(Quality(metric, margin=0.1), rows("stable", good), rows("shadow", good)).decision == "pass"
    assert asked(Quality("auc"), rows("stable", good), rows("shadow", bad)).decision == "wait"
    unanswered = [replace(r, outputs={"probability": None}) if r.at % 2 else r for r in rows("shadow", good)]
    assert asked(Quality("error"), rows("stable", good), unanswered).evidence[0].n == 450


def test_a_number_is_foretold_and_judged_by_its_distance() -> None:
    rng = np.random.default_rng(4)
    n = 6000
    x = rng.normal(size=n)
    truth = 10 * x + rng.normal(size=n)
    at, dealt = np.arange(n, dtype=float), rng.random(n) < 0.3

    def arm(off: float) -> Window:
        return Window({"x": x}, {"price": 9 * x + off}, truth, at, ids=np.array([f"r{k}" for k in range(n)], object))

    for off, decision in ((0.0, "pass"), (2.0, "fail")):
        made = Quality("absolute", margin=0.3, worse=0.1, output="price", fixed_labels=True)
        assert made(arm(0.0).take(~dealt), arm(off).take(dealt)).decision == decision


def test_what_is_drawn_of_the_interval_stands_beside_it() -> None:
    conditions = asked(Quality(margin=0.05, worse=0.02), *shadow(300, 0.0)).evidence[0].conditions
    assert conditions == {"confidence": 0.95, "allowed": 0.05, "fails_above": 0.02}


def expected(share: float, paired: bool, n: int = 4000) -> Expected:
    return Expected(traffic(n)[0], 1000.0, share, paired, 800.0, 3.0)


def test_the_plan_of_a_split_asks_for_about_the_labels_that_an_equal_candidate_passes_with() -> None:
    made = Quality(margin=0.08, covariates=())
    need = made.plan(expected(0.3, paired=False))
    assert need.requests == pytest.approx(need.labels / 0.8)
    assert need.hours == pytest.approx(need.labels / 240 + 3)

    def passes(times: float) -> int:
        return sum(made(*split(round(times * need.labels / 0.3), seed=s)).decision == "pass" for s in range(12))

    assert passes(0.3) <= 4
    assert passes(1.4) >= 9


def test_the_plan_knows_what_pairs_and_foretelling_save_and_what_time_must_pass() -> None:
    plain, told = (Quality(margin=0.05, covariates=names, fixed_labels=True) for names in ((), "auto"))
    assert told.plan(expected(0.3, False)).labels < 0.7 * plain.plan(expected(0.3, False)).labels
    assert plain.plan(expected(1.0, True)).labels < plain.plan(expected(0.3, False)).labels
    assert Quality(margin=0.5, least_hours=36).plan(expected(1.0, True)).hours == 39
    effect = plain.plan(expected(1.0, True)).effect
    assert effect is not None
    assert effect.value == pytest.approx(0.06, abs=0.002)


def test_the_smaller_arm_must_have_the_least_labels() -> None:
    made = Quality(margin=5.0, least=200)
    assert made.plan(expected(0.2, False)).labels == pytest.approx(200)
    assert made.plan(expected(0.8, False)).labels == pytest.approx(800)


def test_a_plan_without_labels_never_ends() -> None:
    nothing = Expected(Window.of_all(()), 1000.0, 0.1, False, 0.0, 0.0)
    assert math.isinf(Quality().plan(nothing).labels)
    assert math.isinf(Quality(margin=0.0).plan(expected(1.0, True)).hours)
