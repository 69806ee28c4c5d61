from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Step
from roadworthy.route.answering.audits import audit_step
from roadworthy.route.cascades.audit import Audited, checks_needed, in_force, verified, watched, watches
from roadworthy.route.cascades.fits import CascadeFit, Level, Target

NINE = Target(agreement=0.9, delta=0.1)
BOTH = Target(precision=0.9, recall=0.9, delta=0.1)


def checked(right, rng, n, least=0.1):
    """Checked rows of a cascade that is right with the given chance; hard ones are checked oftener."""
    ok = rng.random(n) < right
    chances = np.where(ok, least, 0.4)
    seen = rng.random(n) < chances
    return Audited(np.ones(seen.sum()), ok[seen].astype(float), least / chances[seen])


def records(n, rng, right):
    """Half of the rows went on to the large model, a tenth of the others was checked."""
    found = []
    for k in range(n):
        last, label = bool(k % 2), None
        if not last and rng.random() < 0.1:
            label = float(rng.random() < right)
        way = (Step("small", "0.4"), *((Step("large", "unsure"),) if last else ()))
        found.append(Record(f"{k}", float(k), "r", "stable", {}, {"answer": 1.0}, path=way, label=label))
    return found


def test_records_are_read_with_the_weight_of_their_draw():
    rows = Audited.of(Window.of_all(records(2000, np.random.default_rng(0), 0.8)), "answer", "large", 0.1)
    share = np.average(rows.answers == rows.labels, weights=rows.weights)
    assert share == pytest.approx(0.9, abs=0.03)
    assert sorted(np.unique(rows.weights).tolist()) == [0.1, 1.0]


def test_a_probability_is_read_as_yes_or_no_and_an_unknown_output_is_named():
    window = Window.of_all([Record("a", 0.0, "r", "stable", {}, {"p": 0.7}, label=1.0)])
    assert Audited.of(window, "p", "large", 0.5).answers.tolist() == [1.0]
    with pytest.raises(BadData, match=r"no output 'answer' in these records \(there are p\)"):
        Audited.of(window, "answer", "large", 0.5)
    with pytest.raises(BadData, match="at most every row's chance"):
        Audited.of(window, "p", "large", 0.0)


@pytest.mark.parametrize(("right", "decision"), [(0.99, "pass"), (0.6, "fail"), (0.9, "wait")])
def test_a_served_cascade_is_judged_by_its_checked_rows(right, decision):
    (verdict,) = verified(checked(right, np.random.default_rng(0), 6000), NINE)
    assert verdict.decision == decision


def test_a_target_just_reached_fails_no_oftener_than_delta_at_any_look():
    failed = 0
    for seed in range(60):
        rows = checked(0.9, np.random.default_rng(seed), 2500)
        looks = [Audited(rows.answers[:k], rows.labels[:k], rows.weights[:k]) for k in (50, 150, 300)]
        failed += any(verified(look, NINE)[0].decision == "fail" for look in looks)
    assert failed <= binom.ppf(0.999, 60, 0.05)


def test_precision_and_recall_are_judged_each_on_its_rows():
    answers, labels = (
        np.repeat([1.0, 1.0, 0.0, 0.0], [300, 3, 100, 300]),
        np.repeat([1.0, 0.0, 1.0, 0.0], [300, 3, 100, 300]),
    )
    order = np.random.default_rng(0).permutation(len(answers))
    precision, recall = verified(Audited(answers[order], labels[order], np.ones(len(answers))), BOTH)
    assert (precision.decision, recall.decision) == ("pass", "fail")
    assert verified(Audited(answers[:0], labels[:0], labels[:0]), BOTH)[0].decision == "wait"


def test_a_watch_alarms_falsely_no_oftener_than_alpha():
    alarms = sum(
        watched(watches(NINE, 0.1), checked(0.9, np.random.default_rng(seed), 3000), NINE)[0].alarm_at is not None
        for seed in range(100)
    )
    assert alarms <= binom.ppf(0.999, 100, 0.1)


def test_a_change_after_a_long_good_time_is_seen_and_everything_is_sent_on():
    rng, found = np.random.default_rng(0), watches(NINE)
    good = Audited(np.ones(3000), (rng.random(3000) < 0.97).astype(float), np.ones(3000))
    found = watched(found, good, NINE)
    fit = CascadeFit(NINE, "traffic", (Level(keep_from=0.5),), 9, 9, Measurement("delegation", 0.2, 9), "")
    assert in_force(fit, found) is fit
    bad = Audited(np.ones(500), (rng.random(500) < 0.7).astype(float), np.ones(500))
    found = watched(found, bad, NINE)
    assert 3000 < found[0].alarm_at < 3000 + 4 * checks_needed(0.9, 0.2, 0.01)
    shut = in_force(fit, found)
    assert not shut.certified
    assert "agreement fell below 0.9" in shut.certificate


def test_a_watch_fed_in_parts_is_the_watch_fed_at_once():
    rows = checked(0.85, np.random.default_rng(0), 3000)
    half = len(rows.answers) // 2
    parts = [Audited(rows.answers[s], rows.labels[s], rows.weights[s]) for s in (slice(0, half), slice(half, None))]
    at_once = watched(watches(NINE), rows, NINE)[0]
    in_parts = watched(watched(watches(NINE), parts[0], NINE), parts[1], NINE)[0]
    assert in_parts.purses == pytest.approx(at_once.purses)
    assert in_parts.alarm_at == at_once.alarm_at


def test_the_audits_of_a_served_cascade_are_read_from_its_paths():
    small = Step("small", "0.9")
    ways = [
        (small,),  # kept, and nobody looked
        (small, audit_step("large", 0.2, True, True, None, 0.1)),
        (small, audit_step("large", 0.5, True, False, None, 0.1)),
        (Step("small", "0.5: sent on"), Step("large", "last")),
        (Step("small", "0.5: sent on"), Step("large", "late; the answer so far stands")),
        (small, Step("large", "audit late")),
    ]
    told = [Record(f"{k}", float(k), "r", "stable", {}, {"p": 0.8}, path=way) for k, way in enumerate(ways)]
    rows = Audited.of_records([*told, Record("e", 9.0, "r", "stable", {}, {}, error="x")], "p", "large", 0.2)
    assert rows.answers.tolist() == [1.0, 1.0, 1.0]
    assert rows.labels.tolist() == [1.0, 0.0, 1.0]
    assert rows.weights.tolist() == [1.0, 0.4, 0.2]
    with pytest.raises(BadData, match="at most every row's chance"):
        Audited.of_records(told, "p", "large", 0.3)
    assert verified(Audited.of_records([], "p", "large", 0.1), NINE)[0].decision == "wait"
