"""All metrics of the catalog agree with scikit-learn, or with counting by hand; the laws are in tests/laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
    top_k_accuracy_score,
)

from roadworthy.core.errors import SpecError
from roadworthy.core.spec import Application
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.metrics.flexible_match import FlexibleMatch
from roadworthy.evaluate.metrics.macro_f1 import MacroF1
from roadworthy.evaluate.metrics.r2 import R2
from roadworthy.evaluate.metrics.token_f1 import TokenF1, normalised
from roadworthy.evaluate.standard import standard_metrics
from roadworthy.testing.metrics import Scene, scene

RNG = np.random.default_rng(0)
ANSWERS = RNG.random(500)
LABELS = (RNG.random(500) < ANSWERS).astype(float)
MANY, NUMBERS = scene("multiclass", 500), scene("regression", 500)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auc", roc_auc_score(LABELS, ANSWERS)),
        ("log_loss", log_loss(LABELS, ANSWERS)),
        ("accuracy", accuracy_score(LABELS, ANSWERS >= 0.5)),
        ("macro_f1", f1_score(LABELS, ANSWERS >= 0.5, average="macro")),
        ("base_rate", LABELS.mean()),
    ],
)
def test_two_classes_agree_with_scikit_learn(name: str, expected: float) -> None:
    assert metric.make(name)(LABELS, ANSWERS).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", accuracy_score(MANY.labels, MANY.answers.argmax(axis=1))),
        ("macro_f1", f1_score(MANY.labels, MANY.answers.argmax(axis=1), average="macro")),
        ("log_loss", log_loss(MANY.labels, MANY.answers)),
        ("top_k", top_k_accuracy_score(MANY.labels, MANY.answers, k=5)),
        ("top_k:k=2", top_k_accuracy_score(MANY.labels, MANY.answers, k=2)),
    ],
)
def test_many_classes_agree_with_scikit_learn(name: str, expected: float) -> None:
    assert metric.make(name)(MANY.labels, MANY.answers).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", mean_absolute_error(NUMBERS.labels, NUMBERS.answers)),
        ("rmse", root_mean_squared_error(NUMBERS.labels, NUMBERS.answers)),
        ("r2", r2_score(NUMBERS.labels, NUMBERS.answers)),
        ("bias", (NUMBERS.answers - NUMBERS.labels).mean()),
    ],
)
def test_numbers_agree_with_scikit_learn(name: str, expected: float) -> None:
    assert metric.make(name)(NUMBERS.labels, NUMBERS.answers).value == pytest.approx(expected, rel=1e-9)


def uneven(n: int) -> Scene:
    """A common class, which the rarer ones are often taken for."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, n, p=[0.8, 0.15, 0.05])
    told = np.where(rng.random(n) < 0.3, rng.choice(3, n, p=[0.6, 0.1, 0.3]), labels)
    return Scene(labels.astype(float), np.eye(3)[told], np.eye(3)[labels])


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("macro_f1", scene("multiclass", 600)),
        ("macro_f1", uneven(600)),
        ("r2", scene("regression", 600)),
        ("rmse", scene("regression", 600)),
    ],
    ids=["macro_f1", "macro_f1 uneven", "r2", "rmse"],
)
def test_an_interval_without_draws_is_that_of_the_jackknife(name: str, seen: Scene) -> None:
    """Each row left out once (Efron 1981): what the delta method comes to, found without any formula."""
    made, rows = metric.make(name), np.arange(600)
    parts = (seen.take(rows != row) for row in rows)
    left_out = np.array([made(part.labels, part.answers).value for part in parts])
    spread = np.sqrt(599 / 600 * ((left_out - left_out.mean()) ** 2).sum())
    found = made(seen.labels, seen.answers)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize(
    ("name", "task"), [("macro_f1", "multiclass"), ("r2", "regression"), ("token_f1", "generation")]
)
def test_an_interval_holds_the_truth_in_about_nineteen_of_twenty_samples(name: str, task: Any) -> None:
    made, whole = metric.make(name), scene(task, 40_000, seed=10)
    truth, rng = made(whole.labels, whole.answers).value, np.random.default_rng(0)
    parts = (whole.take(rng.integers(0, 40_000, 300)) for _ in range(150))
    held = [found.low <= truth <= found.high for found in (made(part.labels, part.answers) for part in parts)]
    assert 0.90 <= np.mean(held) <= 0.99


def test_rare_classes_make_a_perfect_macro_f1_less_sure() -> None:
    even, uneven = np.repeat([0.0, 1.0], 100), np.repeat([0.0, 1.0], [195, 5])
    bounds = [MacroF1()(labels, np.eye(2)[labels.astype(int)]).low for labels in (even, uneven)]
    assert bounds[0] > 0.97
    assert bounds[1] < 0.85


def test_a_slice_of_few_classes_is_not_charged_with_the_others() -> None:
    labels, told = np.array([0.0, 0.0, 1.0, 1.0]), np.eye(4)[[0, 2, 1, 3]]
    assert MacroF1()(labels, told).value == pytest.approx(2 / 3)
    assert MacroF1()(labels, told).value == pytest.approx(
        f1_score(labels, [0, 2, 1, 3], labels=[0, 1], average="macro")
    )


def test_outcomes_that_never_vary_have_no_r2() -> None:
    assert R2()(np.full(9, 3.0), np.arange(9.0)).n == 0


def test_ece_is_small_for_honest_probabilities_and_large_for_shifted_ones() -> None:
    ece = metric.make("ece")
    assert ece(LABELS, np.clip(ANSWERS + 0.3, 0, 1)).low > ece(LABELS, ANSWERS).high


def test_ece_of_many_classes_is_about_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(5), 4000)
    labels = np.array([rng.choice(5, p=row) for row in answers], dtype=float)
    ece, sharper = metric.make("ece"), answers**3 / (answers**3).sum(axis=1, keepdims=True)
    assert ece(labels, answers).low < 0.02
    assert ece(labels, sharper).low > 0.1


@pytest.mark.parametrize("name", ["log_loss", "ece"])
@pytest.mark.parametrize("answers", [np.array([0.2, 1.7, 0.3]), np.array([[3.0, -1.0], [0.5, 2.0], [1.0, 1.0]])])
def test_scores_that_are_no_probabilities_are_said_to_be_none(name: str, answers: np.ndarray) -> None:
    found = metric.make(name)(np.array([0.0, 1.0, 1.0]), answers)
    assert found.n == 0
    assert "no probabilities" in found.conditions["because"]


def test_a_class_that_the_model_does_not_have_is_wrong() -> None:
    labels, answers = np.array([0.0, 9.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert [metric.make(name)(labels, answers).value for name in ("accuracy", "top_k")] == [0.5, 0.5]
    assert metric.make("log_loss")(labels, answers).value == pytest.approx(-np.log(1e-6) / 2, rel=1e-4)


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_a_strict_match_is_to_the_letter() -> None:
    wanted, told = texts("Paris", "42", "Yes"), texts("Paris", "42.", "yes")
    assert ExactMatch()(wanted, told).value == pytest.approx(1 / 3)
    assert ExactMatch(ignore_case=True)(wanted, told).value == pytest.approx(2 / 3)
    assert ExactMatch(ignore_case=True, regexes_to_ignore=(r"\.$",))(wanted, told).value == 1


def test_what_is_ignored_is_ignored_in_the_target_too() -> None:
    marked = ExactMatch(regexes_to_ignore=("(?s).*#### ", ","))
    assert marked(texts("so and so\n#### 1,250"), texts("1250")).value == 1
    assert ExactMatch(ignore_numbers=True)(texts("a1"), texts("a2")).value == 1


@pytest.mark.parametrize(
    ("wanted", "told", "right"),
    [
        ("42", "The answer is 42.", True),
        ("$1,250", "it is 1250.00 dollars", True),
        ("-5", "so 5", False),
        ("-5", "so -5.", True),
        ("42", "42, or rather 43", False),
        ("42", "no idea", False),
        ("Paris", " the paris. ", True),
        ("Paris", "not Paris", False),
        ("3.5 kg", "35 kg", False),
        ("-5 degrees", "5 degrees", False),
        ("e-mail", "email", True),
        ("👍", "👎", False),
        ("!", "?", False),
        ("!", " ! ", True),
    ],
)
def test_a_flexible_match_is_what_a_person_would_let_count(wanted: str, told: str, right: bool) -> None:
    assert FlexibleMatch().rows(texts(wanted), texts(told)).tolist() == [right]


def test_words_count_once_for_each_time_they_come() -> None:
    found = TokenF1().rows(texts("a b b c", "x", ""), texts("b c d", "y", ""))
    assert found.tolist() == [pytest.approx(2 * 2 / 6), 0.0, 1.0]
    assert normalised("１２３") == "123"


def test_an_answer_of_nothing_is_short_and_one_that_failed_is_not_counted() -> None:
    found = metric.make("answer_length")(texts("x", "x", "x"), texts("", None, "four"))
    assert (found.value, found.n, found.unit) == (2.0, 2, "chars")


def test_each_task_has_its_metrics_and_the_top_five_where_there_are_more_classes() -> None:
    def names(task: Any, *classes: str) -> list[str]:
        empty = scene(task).take(np.arange(0))
        return [
            m(empty.labels, empty.answers).name for m in standard_metrics(Application("a", task, {}, classes=classes))
        ]

    assert names("binary")[0] == "auc"
    assert names("multiclass", "a", "b") == ["accuracy", "macro_f1", "log_loss", "ece"]
    assert "top_5" in names("multiclass", *"abcdef")
    assert names("regression") == ["mae", "rmse", "r2", "bias"]
    assert names("generation") == ["exact_match", "flexible_match", "token_f1", "answer_length"]


def test_settings_change_the_metric() -> None:
    assert metric.make("accuracy:threshold=0")(LABELS, ANSWERS).value == pytest.approx(LABELS.mean())
    assert metric.make("top_k:k=3")(MANY.labels, MANY.answers).name == "top_3"


@pytest.mark.parametrize(
    ("plan", "because"),
    [
        ("ece:bins=1", "`bins` must be at least 2"),
        ("top_k:k=0", "`k` must be at least 1"),
        ({"exact_match": {"regexes_to_ignore": ["("]}}, "no regular expression"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(plan: Any, because: str) -> None:
    with pytest.raises(SpecError, match=because):
        metric.make(plan)
