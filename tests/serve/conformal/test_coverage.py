"""What kept rows say about coverage: over all, by class, by segment and over time."""

from __future__ import annotations

import math

import msgspec
import pytest

from roadworthy.core.record import Record
from roadworthy.serve.conformal.coverage import CoverageReport, held_truth, lines, report, worst_window

CLASSES = ("fine", "late")


def row(k, held=("fine",), label=0.0, known=None, **more):
    known = float(k) if known is None else known
    return Record(
        f"r{k}", float(k), "r", "stable", {"hour": float(k % 2)}, {}, None, held, label=label, label_at=known, **more
    )


@pytest.mark.parametrize(
    ("label", "held", "classes", "found"),
    [
        (0.0, ("fine",), CLASSES, True),
        (1.0, ("fine",), CLASSES, False),
        (1.0, ("1",), (), True),
        (2.0, ("2",), CLASSES, True),
    ],
)
def test_a_label_is_looked_for_under_the_name_that_sets_use(label, held, classes, found):
    assert held_truth(row(0, held, label), classes) is found


def test_intervals_hold_what_lies_between_their_ends():
    def between(label, low=0.5, high=2.0):
        return held_truth(Record("r", 0.0, "r", "stable", {}, {"low": low, "high": high}, label=label))

    assert [between(label) for label in (0.4, 0.5, 2.0, 2.1)] == [False, True, True, False]
    assert between(9.0, -math.inf, math.inf) is True
    assert between(1.0, None) is None


def test_rows_of_which_nothing_can_be_said_are_counted_apart():
    rows = [row(0), row(1, label=None), row(2, held=None), row(3, error="broke")]
    found = report(rows, 0.9, CLASSES)
    assert (found.coverage.n, found.left_out) == (1, 3)
    assert "3 rows left out" in lines(found)[2]


def test_coverage_is_told_by_class_and_by_segment():
    rows = [row(k, label=float(k % 10 == 0), tags={"origin": "JFK" if k < 50 else "LGA"}) for k in range(100)]
    found = report(rows, 0.85, CLASSES, "origin")
    assert found.coverage.value == 0.9
    assert [(one.where, one.value, one.n) for one in found.by_class] == [
        ("class=fine", 1.0, 90),
        ("class=late", 0.0, 10),
    ]
    assert [(one.where, one.value) for one in found.by_segment] == [("origin=JFK", 0.9), ("origin=LGA", 0.9)]
    assert found.verdict.decision == "wait"
    assert {one.where for one in report(rows, 0.9, CLASSES, "hour").by_segment} == {"hour=0", "hour=1"}


def test_points_over_time_come_in_the_order_in_which_labels_came():
    rows = [row(k, label=float(k >= 30), known=100.0 - k) for k in range(60)]
    found = report(rows, 0.9, CLASSES, rows_in_span=20)
    assert [(span.first_at, span.coverage.value) for span in found.over_time] == [(40.0, 0.0), (20.0, 0.5), (0.0, 1.0)]
    assert found.verdict.decision == "fail"
    assert "worst of 3 stretches: 0.000" in lines(found)[-1]


def test_a_report_goes_to_json_and_back():
    found = report([row(k) for k in range(40)], 0.9, CLASSES, "hour", 15)
    assert msgspec.json.decode(msgspec.json.encode(found), type=CoverageReport) == found
    nothing = report([], 0.9)
    assert (nothing.verdict.decision, nothing.over_time) == ("wait", ())
    assert lines(nothing)


def test_the_worst_window_is_the_least_of_all_that_there_are():
    held = [k % 10 != 0 for k in range(200)] + [False] * 20 + [True] * 100
    wanted = min(sum(held[k : k + 50]) for k in range(len(held) - 49)) / 50
    found = worst_window(held, 50)
    assert (found.value, found.n) == (wanted, 320)
    assert worst_window(held[:49], 50).n == 0


def test_the_size_of_sets_is_their_names_and_of_intervals_their_width():
    assert report([row(0, ("fine", "late")), row(1)], 0.9, CLASSES).size.value == 1.5
    wide = Record("r", 0.0, "r", "stable", {}, {"low": 1.0, "high": 4.0}, label=2.0)
    endless = Record("s", 0.0, "r", "stable", {}, {"low": -math.inf, "high": math.inf}, label=2.0)
    assert report([wide, endless], 0.9).size.value == 3.0
