from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.evaluate.certainty.held import held
from roadworthy.evaluate.told import Told


def of_sets(*sets):
    column = np.empty(len(sets), object)
    for row, one in enumerate(sets):
        column[row] = one
    return Told(sets=column)


def test_a_set_holds_the_name_of_the_label_and_rows_without_both_are_left_out():
    told = of_sets(("no",), ("no", "yes"), ("yes",), None, ("yes",), ())
    found = held(np.array([0.0, 1.0, 0.0, 1.0, math.nan, 1.0]), told, ("no", "yes"))
    assert (found.coverage.value, found.coverage.n) == (0.5, 4)
    assert (found.size.name, found.size.value, found.size.unit) == ("set_size", 1.0, "names")
    assert {m.where: (m.value, m.n) for m in found.by_class} == {"class=no": (0.5, 2), "class=yes": (0.5, 2)}
    assert found.verdict is None


def test_classes_without_names_are_numbers():
    assert held(np.array([1.0, 2.0]), of_sets(("1",), ("1",))).coverage.value == 0.5


@pytest.mark.parametrize(("target", "decision"), [(0.8, "pass"), (0.9, "wait"), (0.99, "fail")])
def test_coverage_is_judged_against_what_is_promised(target, decision):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    centre = np.where(np.arange(400) % 10 == 0, truth + 3, truth)
    found = held(truth, Told(intervals=np.stack([centre - 1, centre + 2], axis=1)), target=target)
    assert found.coverage.value == 0.9
    assert found.verdict.decision == decision
    assert found.target == target
    assert (found.size.name, found.size.value) == ("interval_width", pytest.approx(3.0))


def test_an_endless_interval_holds_everything_and_has_no_width():
    ends = np.array([[-math.inf, math.inf], [0.0, 1.0], [math.nan, 2.0]])
    found = held(np.array([5.0, 0.5, 1.0]), Told(intervals=ends))
    assert (found.coverage.value, found.coverage.n) == (1.0, 2)
    assert (found.size.value, found.size.conditions) == (1.0, {"infinite": 1})


def test_without_sets_or_without_labels_there_is_nothing():
    assert held(np.array([1.0]), Told()) is None
    assert held(np.array([math.nan]), of_sets(("1",))) is None
    assert held(np.array([math.nan]), Told(intervals=np.array([[0.0, 1.0]]))) is None
