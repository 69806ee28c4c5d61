"""Whether a prediction's trouble is its own or that of many is said with the numbers behind it."""

from __future__ import annotations

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.observe.explanation.isolation import isolation
from roadworthy.observe.explanation.similar import Like, Place


def row(k, probability=0.9, label=None, error=None):
    return Record(f"r{k}", float(k), "d", "stable", {"x": 1.0}, {"probability": probability}, label=label, error=error)


def place(name, share, kind="percentile", n=500):
    return Place(name, 1.0, kind, Measurement(kind, share, n, share, share, where=name))


def test_a_failure_that_others_share_is_systemic():
    others = [row(k, error="Late: 3 s") for k in range(5)] + [row(k) for k in range(5, 50)]
    found = isolation(row(99, error="Late: 2 s"), others, [], [], [])
    assert (found.kind, "5 of 50" in found.because) == ("systemic", True)


def test_a_failure_of_another_kind_is_isolated():
    others = [row(k, error="Late: 3 s") for k in range(5)] + [row(k) for k in range(5, 50)]
    assert isolation(row(99, error="BadData: x"), others, [], [], []).kind == "isolated"


def test_a_failure_without_company_cannot_be_told():
    assert isolation(row(99, error="Late: 2 s"), [], [], [], []).kind == "cannot tell"


def likes(wrong, right):
    outcomes = [0.0] * wrong + [1.0] * right
    return [Like(row(1000 + k, label=outcome), 0.1) for k, outcome in enumerate(outcomes)]


RECENT = [row(k, label=float(k % 10 != 0)) for k in range(200)]  # one in ten is wrong


def test_wrong_where_its_like_are_wrong_too_is_systemic():
    found = isolation(row(999, label=0.0), RECENT, likes(12, 8), [], [])
    assert found.kind == "systemic"
    assert "60.0% of 20 similar ones were wrong, 10.0% of 200" in found.because


def test_wrong_where_its_like_came_true_is_isolated():
    assert isolation(row(999, label=0.0), RECENT, likes(2, 18), [], []).kind == "isolated"


def test_an_answer_that_came_true_is_no_trouble():
    assert "came true" in isolation(row(999, label=1.0), RECENT, likes(12, 8), [], []).because


def test_too_few_similar_outcomes_say_nothing():
    assert isolation(row(999, label=0.0), RECENT, likes(3, 3), [], []).kind == "cannot tell"


def test_an_input_that_was_rare_and_is_common_now_means_that_traffic_moved():
    found = isolation(row(999), RECENT, [], [place("x", 0.999), place("y", 0.4)], [place("x", 0.6), place("y", 0.4)])
    assert (found.kind, "traffic has moved" in found.because) == ("systemic", True)


def test_an_input_that_is_rare_still_is_isolated():
    assert isolation(row(999), RECENT, [], [place("x", 0.001)], [place("x", 0.002)]).kind == "isolated"


def test_a_rare_category_counts_and_a_common_one_does_not():
    rare, common = place("town", 0.001, "share"), place("town", 0.999, "share")
    assert "rare" in isolation(row(999), RECENT, [], [rare], [rare]).because
    assert "no input lies outside" in isolation(row(999), RECENT, [], [common], [common]).because


def test_without_a_profile_nothing_is_said_of_the_inputs():
    assert isolation(row(999), RECENT, [], [], [place("x", 0.6)]).kind == "cannot tell"
