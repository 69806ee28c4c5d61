"""Without labels: how far the columns moved, how sure the model is, and where two models part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.shift import answers_shift, js_distance, ks_distance, shift
from roadworthy.evaluate.unlabelled import confidence, disagreement


def table(seed: int, n: int = 3000, older: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    said = rng.choice(np.array(["why was my card declined", "when is it here", "what is this"], dtype=object), n)
    return Sample(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40 + older, 10, n)),
            "job": rng.choice(np.array(["clerk", "farmer", "doctor"], dtype=object), n),
            "said": said,
            "seen": rng.random((n, 16)),
        },
        fields={"age": Field(), "job": Field("category"), "said": Field("text"), "seen": Field("image", shape=(4, 4))},
    )


def test_what_moved_comes_first() -> None:
    found = shift(table(0), table(1, older=8.0))
    assert (found[0].where, found[0].name) == ("age", "ks")
    assert found[0].conditions["p"] < 1e-9
    assert "higher" in found[0].conditions["most"]
    assert {m.where for m in found} == {
        "age",
        "age (nulls)",
        "job",
        "said (length)",
        "said (language)",
        "seen (brightness)",
    }
    assert all(m.conditions["p"] > 0.001 for m in found[1:])


def test_a_new_language_a_new_category_and_more_nulls_are_seen() -> None:
    lab, now = table(0), table(1)
    columns = {
        **now.columns,
        "said": np.array(["warum ist das nicht da"] * now.n, dtype=object),
        "job": np.where(np.arange(now.n) % 4 == 0, "smith", now.columns["job"]),
        "age": np.where(np.arange(now.n) % 2 == 0, np.nan, now.columns["age"]),
    }
    found = {m.where: m for m in shift(lab, replace(now, columns=columns))}
    assert found["said (language)"].value == pytest.approx(1.0)
    assert found["job"].conditions["most"].startswith("'smith': 0.0% became 25")
    assert found["age (nulls)"].conditions["p"] < 1e-9
    assert found["age"].conditions["p"] > 0.001


@pytest.mark.parametrize("n", [200, 2000])
def test_the_same_law_raises_few_alarms(n: int) -> None:
    alarms = sum(any(m.conditions["p"] < 0.05 for m in shift(table(2 * s, n), table(2 * s + 1, n))) for s in range(30))
    # 5 % of 30 are 1.5; six or more have probability 0.3 %.
    assert alarms <= 5


def test_the_kolmogorov_smirnov_distance_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(0, 1, 700), rng.normal(0.1, 1.2, 400)
    found, expected = ks_distance(old, new), ks_2samp(old, new, method="asymp")
    assert found.value == pytest.approx(expected.statistic)
    assert found.conditions["p"] == pytest.approx(expected.pvalue, rel=0.15)


def test_the_kolmogorov_smirnov_interval_holds_the_true_distance() -> None:
    # Of the uniform laws on [0, 1] and [0.2, 1.2] it is 0.2.
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = ks_distance(rng.random(500), 0.2 + rng.random(300))
        assert found.low <= 0.2 <= found.high


def test_the_jensen_shannon_distance_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.choice(list("abc"), 900, p=[0.5, 0.3, 0.2]), rng.choice(list("abc"), 600, p=[0.4, 0.3, 0.3])
    counts = np.array([[(part == v).sum() for v in "abc"] for part in (old, new)])
    found = js_distance(old, new, "letters")
    assert found.value == pytest.approx(jensenshannon(counts[0] / 900, counts[1] / 600, base=2))
    assert found.conditions["p"] == pytest.approx(chi2_contingency(counts).pvalue)
    assert (found.where, found.n) == ("letters", 600)


def test_the_jensen_shannon_interval_holds_the_true_distance() -> None:
    truth = jensenshannon([0.5, 0.3, 0.2], [0.4, 0.3, 0.3], base=2)
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one, other = rng.choice(list("abc"), 800, p=[0.5, 0.3, 0.2]), rng.choice(list("abc"), 500, p=[0.4, 0.3, 0.3])
        found = js_distance(one, other)
        held += found.low <= truth <= found.high
    assert held >= 90


def test_values_that_hardly_come_are_gathered() -> None:
    names = np.array([f"id {k}" for k in range(1000)], dtype=object)
    found = js_distance(names[:500], names[500:])
    assert (found.value, found.conditions["p"]) == (0.0, 1.0)


def test_nothing_to_compare_measures_nothing() -> None:
    empty = np.empty(0)
    assert ks_distance(empty, np.ones(5)).n == 0
    assert js_distance(empty.astype(object), np.array(["a"], dtype=object)).n == 0
    assert [
        m.n for m in shift(Sample({"x": np.full(3, np.nan)}), Sample({"x": np.full(3, np.nan)})) if m.name == "ks"
    ] == [0]


def test_answers_are_compared_whatever_they_are() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(500), rng.random(500) ** 2
    assert answers_shift(one, other)[0].name == "ks"
    assert answers_shift(np.eye(3)[rng.integers(0, 3, 300)], np.eye(3)[np.zeros(300, int)])[0].value > 0.5
    said = np.array(["yes it is", "no"] * 50, dtype=object)
    assert [m.where for m in answers_shift(said, said)] == ["answers (length)", "answers (language)"]


def test_confidence_is_that_of_the_class_decided_on() -> None:
    sure, _, unsure = confidence(np.array([0.9, 0.1, 0.5, np.nan]), "binary", unsure=0.7)
    assert (sure.value, sure.n) == (pytest.approx((0.9 + 0.9 + 0.5) / 3), 3)
    assert (unsure.value, unsure.conditions) == (pytest.approx(1 / 3), {"below": 0.7})
    assert confidence(np.full((4, 4), 0.25), "multiclass")[1].value == pytest.approx(2.0)
    assert [m.n for m in confidence(np.array([3.0, -1.0]), "binary")] == [0, 0, 0]
    assert [m.n for m in confidence(np.array(["a"], dtype=object), "generation")] == [0, 0, 0]


def test_disagreement_counts_other_decisions() -> None:
    share, distance = disagreement(np.array([0.9, 0.2, 0.4]), np.array([0.8, 0.6, 0.45]), "binary")
    assert (share.value, distance.value) == (pytest.approx(1 / 3), pytest.approx((0.1 + 0.4 + 0.05) / 3))
    share, distance = disagreement(np.eye(3), np.eye(3)[[0, 2, 1]], "multiclass")
    assert (share.value, distance.value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    said = [np.array(texts, dtype=object) for texts in (["a", " b", None], ["a ", "c", "d"])]
    assert [(m.name, m.value, m.n) for m in disagreement(*said, "generation")] == [("disagreement", 0.5, 2)]
    assert [m.name for m in disagreement(np.array([1.0, 2.0]), np.array([2.0, 4.0]), "regression")] == ["distance"]
    assert [m.n for m in disagreement(np.empty(0), np.empty(0), "binary")] == [0, 0]
