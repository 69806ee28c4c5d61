from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.record import Label, Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Step
from roadworthy.serve.selective.figures import Reading, by_window, figures, share_in_time


def record(k: int, p: Any, label: float | None, flagged: bool = False, **more: Any) -> Record:
    path = (Step("abstain", "too unsure"),) if flagged else ()
    sure = max(p, 1 - p) if isinstance(p, float) else None
    return Record(str(k), float(k), "r", "stable", {}, {"probability": p}, sure, path=path, label=label, **more)


ROWS = [
    record(0, 0.9, 1.0),
    record(1, 0.8, 1.0),
    record(2, 0.3, 1.0),
    record(3, 0.2, 0.0),
    record(4, 0.6, 0.0, flagged=True),
    record(5, 0.55, 1.0, flagged=True),
    record(6, 0.52, None, flagged=True),
    record(7, 0.1, None),
]


def test_the_share_flagged_and_the_accuracy_on_the_rest_are_counted() -> None:
    found = figures(Window.of_all(ROWS), Reading())
    assert (found.flagged.value, found.flagged.n) == (3 / 8, 8)
    assert (found.accuracy.value, found.accuracy.n) == (4 / 6, 6)
    assert (found.accuracy_answered.value, found.accuracy_answered.n) == (3 / 4, 4)
    assert (found.accuracy_flagged.value, found.accuracy_flagged.n) == (1 / 2, 2)


def test_an_override_is_a_persons_label_that_contradicts_the_answer_whatever_the_truth() -> None:
    labels = [
        Label("4", 0.0, 9.0, "person:ana"),
        Label("5", 1.0, 9.0, "person"),
        Label("6", 0.0, 9.0, "person:ana"),
        Label("6", 1.0, 10.0, "person:ben"),
        Label("7", 0.0, 9.0, "radar"),
        Label("0", 0.0, 9.0, "person:ana"),
    ]
    found = figures(Window.of_all(ROWS), Reading(), labels)
    assert (found.overrides.value, found.overrides.n) == (1 / 3, 3)
    assert (found.overrides_answered.value, found.overrides_answered.n) == (1.0, 1)
    everybody = figures(Window.of_all(ROWS), Reading(), labels, person=lambda source: True)
    assert everybody.overrides_answered.n == 2


def test_the_latest_word_counts_and_people_who_disagree_are_counted() -> None:
    labels = [
        Label("4", 0.0, 9.0, "person:ana"),
        Label("4", 1.0, 12.0, "person:ben"),
        Label("4", 0.0, 15.0, "person:ana"),
        Label("5", 0.0, 9.0, "person:ana"),
        Label("5", 1.0, 10.0, "person:ana"),
        Label("6", 1.0, 9.0, "person:ana"),
        Label("6", 1.0, 10.0, "person:ben"),
    ]
    found = figures(Window.of_all(ROWS), Reading(), labels)
    # 4: ana has the last word and contradicts 0.6; 5: ana corrected herself; 6: both agree with the model.
    assert (found.overrides.value, found.overrides.n) == (1 / 3, 3)
    assert (found.disagreement.value, found.disagreement.n) == (1 / 2, 2)


def test_without_labels_of_people_the_override_rate_is_unknown_and_not_nought() -> None:
    found = figures(Window.of_all(ROWS), Reading())
    assert (found.overrides.n, math.isnan(found.overrides.value)) == (0, True)


def test_a_withheld_answer_is_flagged_and_neither_right_nor_wrong() -> None:
    withheld = [*ROWS[:4], record(4, None, 0.0, flagged=True)]
    found = figures(Window.of_all(withheld), Reading(), [Label("4", 0.0, 9.0, "person")])
    assert (found.flagged.value, found.accuracy_flagged.n, found.overrides.n) == (1 / 5, 0, 0)


def test_failed_rows_are_counted_apart() -> None:
    failed = Record("9", 9.0, "r", "stable", {}, {}, error="timeout")
    found = figures(Window.of_all([*ROWS, failed]), Reading())
    assert (found.rows, found.failed, found.flagged.n) == (8, 1, 8)


def test_doubt_that_goes_with_error_shows_in_both_correlations() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    truth = (rng.random(2000) < p).astype(float)
    found = figures(Window.of_all([record(k, float(p[k]), float(truth[k])) for k in range(2000)]), Reading())
    wrong = (p >= 0.5) != truth
    expected = spearmanr(-np.maximum(p, 1 - p), wrong).statistic
    assert found.error_correlation.value == pytest.approx(expected)
    assert found.error_correlation.low < expected < found.error_correlation.high
    assert found.error_auroc.low > 0.6
    blind = figures(
        Window.of_all([record(k, 0.5 + k % 7 / 100, float(truth[k])) for k in range(2000)]), Reading()
    ).error_auroc
    assert blind.low < 0.5 < blind.high


def test_classes_numbers_and_doubt_in_an_output_are_read_as_told() -> None:
    rows = [
        Record("0", 0.0, "r", "stable", {}, {"scores": [0.1, 0.7, 0.2], "epistemic": 0.3}, label=1.0),
        Record("1", 1.0, "r", "stable", {}, {"scores": [0.1, 0.7, 0.2], "epistemic": 0.9}, label=2.0),
        Record("2", 2.0, "r", "stable", {}, {"scores": None, "epistemic": None}, label=2.0),
    ]
    window = Window.of_all(rows)
    reading = Reading("scores", doubt="epistemic", unsure="above")
    np.testing.assert_array_equal(reading.wrong(window, window.labels), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(reading.doubts(window), [0.3, 0.9, np.nan])
    minutes = Reading("minutes", number=True, tolerance=5.0)
    near = Window.of_all([Record(str(k), 0.0, "r", "stable", {}, {"minutes": 10.0 + k}, label=14.0) for k in (0, 20)])
    np.testing.assert_array_equal(minutes.wrong(near, near.labels), [0.0, 1.0])


def test_an_output_that_is_not_there_is_named() -> None:
    window = Window.of_all(ROWS)
    with pytest.raises(SpecError, match="no output 'probabilty'; did you mean 'probability'"):
        figures(window, Reading("probabilty"))
    with pytest.raises(SpecError, match=r"say no 'epistemic' \(known: confidence, probability\)"):
        figures(window, Reading(doubt="epistemic"))
    vectors = Window.of_all([Record("0", 0.0, "r", "stable", {}, {"probability": 0.5, "e": [1.0, 2.0]})])
    with pytest.raises(BadData, match="several numbers a row"):
        Reading(doubt="e").doubts(vectors)


def test_a_number_is_right_within_a_tolerance_and_without_one_doubt_goes_with_how_far_it_misses() -> None:
    rows = [
        Record(str(k), float(k), "r", "stable", {}, {"minutes": 10.0 + k}, 1 / (1 + k), label=10.0) for k in range(30)
    ]
    window = Window.of_all([*rows, Record("n", 30.0, "r", "stable", {}, {"minutes": math.nan}, 0.5, label=10.0)])
    bare = figures(window, Reading("minutes", number=True))
    assert (bare.accuracy.n, bare.error_auroc.n, bare.error_correlation.n) == (0, 0, 30)
    assert bare.error_correlation.value == pytest.approx(1.0)
    within = figures(window, Reading("minutes", number=True, tolerance=9.0))
    assert (within.accuracy.value, within.accuracy.n) == (10 / 30, 30)
    with pytest.raises(SpecError, match=r"for numbers only; got 5\.0"):
        Reading("minutes", tolerance=5.0)
    with pytest.raises(SpecError, match="at least 0"):
        Reading("minutes", number=True, tolerance=math.nan)


def test_vectors_of_several_widths_are_read_one_by_one_and_text_is_refused() -> None:
    given = [[0.1, 0.9], [0.2, 0.3, 0.5], None, [0.5, None]]
    rows = [Record(str(k), float(k), "r", "stable", {}, {"s": value}, 0.5, label=1.0) for k, value in enumerate(given)]
    window = Window.of_all(rows)
    np.testing.assert_array_equal(Reading("s").wrong(window, window.labels), [0.0, 1.0, np.nan, np.nan])
    with pytest.raises(BadData, match="holds 'yes': only numbers"):
        Reading("s").said(Window.of_all([Record("0", 0.0, "r", "stable", {}, {"s": "yes"})]))
    with pytest.raises(BadData, match="'s' holds what is no number"):
        Reading(doubt="s").doubts(Window.of_all([Record("0", 0.0, "r", "stable", {}, {"s": "unsure"})]))


def test_without_a_confidence_doubt_is_not_measured() -> None:
    silent = [
        Record(str(k), float(k), "r", "stable", {}, {"probability": k / 50}, label=float(k % 2)) for k in range(50)
    ]
    found = figures(Window.of_all(silent), Reading())
    assert (found.accuracy.n, found.error_auroc.n, found.error_correlation.n) == (50, 0, 0)
    some = figures(Window.of_all([*silent, record(99, 0.9, 0.0, flagged=True)]), Reading())
    assert (some.error_auroc.n, some.flagged.value) == (0, 1 / 51)


def test_each_stretch_has_its_figures_under_its_name() -> None:
    first, second = by_window({"week 1": Window.of_all(ROWS[:4]), "week 2": Window.of_all(ROWS[4:])}, Reading())
    assert (first.flagged.where, first.flagged.value) == ("week 1", 0.0)
    assert (second.flagged.where, second.flagged.value) == ("week 2", 0.75)


def test_the_interval_is_as_wide_as_rows_that_depend_on_their_neighbours_make_it() -> None:
    rng = np.random.default_rng(0)

    def held(stormy: bool) -> float:
        hits = []
        for _ in range(300):
            level = np.repeat(rng.uniform(0.4, 0.8, 60), 50) if stormy else np.full(3000, 0.6)
            found = share_in_time("x", (rng.random(3000) < level).astype(float), np.arange(3000.0))
            hits.append(found.low <= 0.6 <= found.high)
        return float(np.mean(hits))

    assert held(stormy=True) > 0.9
    assert held(stormy=False) > 0.92


def test_how_well_doubt_tells_errors_is_as_unsure_as_storms_make_it() -> None:
    rng = np.random.default_rng(0)

    def drawn(storms: int, rows: int) -> Window:
        """Each storm makes the model less right and less sure, by an amount of its own."""
        mood = np.repeat(rng.normal(0, 1.2, storms), rows)
        doubt = mood + rng.normal(0, 1, storms * rows)
        wrong = rng.random(storms * rows) < 1 / (1 + np.exp(2 - 1.2 * mood))
        n = np.full(storms * rows, np.nan)
        outputs = {"probability": np.ones(storms * rows)}
        return Window({}, outputs, 1.0 - wrong, np.arange(float(storms * rows)), confidence=-doubt, known_at=n)

    truth = figures(drawn(4000, 25), Reading())
    held = {"error_auroc": 0, "error_correlation": 0}
    for _ in range(300):
        found = figures(drawn(60, 25), Reading())
        for one, true in ((found.error_auroc, truth.error_auroc), (found.error_correlation, truth.error_correlation)):
            held[one.name] += one.low <= true.value <= one.high
    assert min(held.values()) > 0.9 * 300, held


def test_a_share_of_no_rows_is_unknown_and_one_of_few_rows_plain() -> None:
    assert share_in_time("x", np.empty(0), np.empty(0)).n == 0
    assert share_in_time("x", np.ones(3), np.full(3, np.nan)).low < 0.5
