from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.quality.answers import answers_of
from roadworthy.observe.quality.audit import Drawn, Foretold, audit, trust
from roadworthy.observe.quality.draws import Draw


def window(rng, n=800, turned=0.0):
    p = rng.beta(2, 2, n)
    labels = (rng.random(n) < np.where(rng.random(n) < turned, 1 - p, p)).astype(float)
    ids = np.array([f"r{k}" for k in range(n)], object)
    return Window({}, {"p": p}, labels, np.arange(n, dtype=float), ids=ids)


def checked(rows, draw, labelled=None):
    answers = answers_of(rows, "p")
    one = answers.stated
    chances = {id: draw.chance(p) for id, p in zip(rows.ids, one, strict=True) if draw.drawn(id, p)}
    if labelled is not None:
        labels = np.where([labelled(id) for id in rows.ids], rows.labels, np.nan)
        answers = answers_of(Window({}, rows.outputs, labels, rows.at), "p")
    right = np.where(one >= 0.5, one, 1 - one)
    return audit(answers, Drawn.of(rows, chances, draw), Foretold(right, one))


def truth(rows):
    p = rows.outputs["p"]
    return {
        "accuracy": ((p >= 0.5) == rows.labels).mean(),
        "rate": rows.labels.mean(),
        "brier": ((p - rows.labels) ** 2).mean(),
    }


@pytest.mark.parametrize("tilt", [0.0, 0.7])
def test_intervals_hold_the_truth_of_the_rows_though_outcomes_changed(tilt):
    rng, missed, draws, off = np.random.default_rng(0), 0, 60, []
    for seed in range(draws):
        rows = window(rng, turned=0.4)
        found = checked(rows, Draw(0.15, f"s{seed}", tilt))
        missed += any(not m.low <= truth(rows)[m.name] <= m.high for m in found.estimates)
        off.append([m.value - truth(rows)[m.name] for m in found.estimates])
    assert binomial_survival(missed, draws, 3 * 0.05) > 1e-4
    assert (np.abs(np.mean(off, axis=0)) < 4 * np.std(off, axis=0) / draws**0.5).all()


def test_rows_that_change_in_the_middle_of_the_window_make_no_interval_wrong():
    rng, missed = np.random.default_rng(8), 0
    for seed in range(40):
        rows = window(rng, n=1000)
        rows.labels[500:] = rows.outputs["p"][500:] < 0.5  # always wrong from here on
        found = checked(rows, Draw(0.4, f"s{seed}")).of("accuracy")
        missed += not found.low <= truth(rows)["accuracy"] <= found.high
    assert binomial_survival(missed, 40, 0.05) > 1e-4


def test_counts_what_was_drawn_and_labelled_and_uses_only_that():
    rows = window(np.random.default_rng(1))
    draw = Draw(0.2, "salt")
    drawn = [id for id in rows.ids if draw.drawn(id)]
    half = set(drawn[::2])
    found = checked(rows, draw, labelled=lambda id: id in half)
    assert (found.rows, found.drawn, found.labelled) == (800, len(drawn), len(half))
    assert found == checked(rows, draw, labelled=lambda id: id in half or not draw.drawn(id))
    assert [m.name for m in found.estimates] == [m.name for m in found.alone] == ["accuracy", "rate", "brier"]
    assert found.of("accuracy").n == len(half)
    assert found.of("auc").n == 0


def test_confidence_that_foretells_makes_the_interval_narrower():
    rng, widths = np.random.default_rng(2), []
    for seed in range(10):
        found = checked(window(rng, n=2000), Draw(0.1, f"s{seed}"))
        widths.append([m[0].high - m[0].low for m in (found.estimates, found.alone)])
    assert np.mean(widths, axis=0)[0] < np.mean(widths, axis=0)[1]


def test_unequal_chances_and_a_changed_salt_are_noticed():
    rows = window(np.random.default_rng(3))
    draw = Draw(0.2, "salt")
    chances = {id: 0.2 for id in rows.ids if draw.drawn(id)}
    assert Drawn.of(rows, chances, draw).alike
    assert not Drawn.of(rows, chances, Draw(0.2, "other")).alike
    assert not Drawn.of(rows, chances | {rows.ids[0]: 0.5}, draw).alike
    assert not Drawn.of(Window({}, {}, np.zeros(2), np.zeros(2)), chances, draw).alike


def test_without_labels_or_ids_there_is_no_estimate():
    rows = window(np.random.default_rng(4))
    nothing = checked(rows, Draw(0.2, "salt"), labelled=lambda id: False)
    assert (nothing.labelled, nothing.estimates) == (0, ())
    assert checked(rows, Draw(0.0, "salt")).drawn == 0


def estimate(value, low, high, n=800):
    return Measurement("accuracy", value, n, low, high, conditions={"estimator": "cbpe"})


def test_a_label_free_estimate_that_the_audit_contradicts_is_an_alarm():
    rows = window(np.random.default_rng(5), n=4000, turned=1.0)
    found = checked(rows, Draw(0.1, "salt"))
    verdict = trust(estimate(0.73, 0.70, 0.76), found)
    assert (verdict.decision, verdict.of) == ("fail", "trust cbpe")
    assert "cannot be trusted" in verdict.because


def test_one_that_it_confirms_passes_and_one_on_few_labels_waits():
    rows = window(np.random.default_rng(6), n=4000)
    good = estimate(truth(rows)["accuracy"], *(truth(rows)["accuracy"] + np.array([-0.01, 0.01])))
    assert trust(good, checked(rows, Draw(0.9, "salt"))).decision == "pass"
    between = trust(good, checked(rows, Draw(0.03, "salt")))
    assert (between.decision, "not enough labels" in between.because) == ("wait", True)
    thin = trust(good, checked(rows, Draw(0.002, "salt")))
    assert (thin.decision, "of at least 30 audit labels" in thin.because) == ("wait", True)
    assert trust(Measurement("accuracy"), checked(rows, Draw(0.9, "salt"))).decision == "wait"


def test_an_estimate_that_is_right_is_rarely_distrusted():
    rng, alarms = np.random.default_rng(7), 0
    for seed in range(60):
        rows = window(rng, n=600)
        right = truth(rows)["accuracy"]
        alarms += (
            trust(estimate(right, right, right), checked(rows, Draw(0.2, f"s{seed}")), within=0.0).decision == "fail"
        )
    assert binomial_survival(alarms, 60, 0.05) > 1e-4
