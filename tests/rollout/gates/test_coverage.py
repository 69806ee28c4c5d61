from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.gates.coverage import Coverage


def with_sets(
    n: int, of_stable: float, of_candidate: float, larger: bool = False, arm: str = "shadow"
) -> tuple[Window, Window]:
    """Sets that hold the label in so many rows; those of a larger candidate hold a second value."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n).astype(np.float64)
    arms = []
    for covers, name in ((of_stable, "stable"), (of_candidate, arm)):
        sets = np.empty(n, object)
        held = rng.random(n) < covers
        more = ("x",) if larger and name == arm else ()
        sets[:] = [((str(int(y)) if h else "none"), *more) for y, h in zip(labels, held, strict=True)]
        ids = np.array([f"{'r' if arm == 'shadow' else name}{k}" for k in range(n)], object)
        at = np.arange(n) + (name == arm) / 2
        arms.append(Window({}, {}, labels, at, ids=ids, sets=sets, arms=np.full(n, name, object)))
    return arms[0], arms[1]


def with_intervals(n: int, width: float) -> tuple[Window, Window]:
    rng = np.random.default_rng(0)
    labels, ids = rng.normal(size=n), np.array([f"r{k}" for k in range(n)], object)
    at = np.arange(n, dtype=np.float64)
    ends = [{"low": np.full(n, -w), "high": np.full(n, w)} for w in (1.7, width)]
    control, candidate = (Window({}, columns, labels, at, ids=ids) for columns in ends)
    return control, candidate


@pytest.mark.parametrize("arm", ["shadow", "canary"])
def test_sets_that_miss_too_often_fail_and_good_ones_pass(arm: str) -> None:
    verdict = Coverage()(*with_sets(4000, 0.92, 0.8, arm=arm))
    assert verdict.decision == "fail"
    assert "sets cover less than the 0.9 promised" in verdict.because
    assert Coverage()(*with_sets(4000, 0.92, 0.92, arm=arm)).decision == "pass"


def test_where_stable_covers_less_than_promised_an_equal_candidate_does_not_fail() -> None:
    assert Coverage(margin=0.08)(*with_sets(4000, 0.7, 0.7)).decision == "pass"
    assert Coverage(margin=0.08)(*with_sets(4000, 0.7, 0.5)).decision == "fail"


def test_one_that_covers_what_is_promised_need_not_cover_what_stable_does() -> None:
    assert Coverage()(*with_sets(6000, 0.99, 0.91)).decision == "pass"


def test_sets_that_buy_their_coverage_by_their_size_fail() -> None:
    verdict = Coverage()(*with_sets(1000, 0.92, 0.92, larger=True))
    assert verdict.decision == "fail"
    assert "sets are larger than 1.1 times stable's by" in verdict.because


def test_sizes_need_no_labels() -> None:
    control, candidate = with_sets(1000, 0.92, 0.92, larger=True)
    unknown = np.full(1000, np.nan)
    arms = [dataclasses.replace(rows, labels=unknown) for rows in (control, candidate)]
    assert Coverage()(*arms).decision == "fail"


def test_intervals_are_sets_of_numbers() -> None:
    assert Coverage()(*with_intervals(3000, 1.7)).decision == "pass"
    assert Coverage()(*with_intervals(3000, 0.8)).decision == "fail"
    assert "larger" in Coverage()(*with_intervals(3000, 3.0)).because


def test_classes_name_the_labels() -> None:
    control, candidate = with_sets(1000, 0.95, 0.95)
    names = {"0": "no", "1": "yes", "2": "maybe"}
    for rows in (control, candidate):
        assert rows.sets is not None
        rows.sets[:] = [tuple(names.get(value, value) for value in given) for given in rows.sets]
    assert Coverage(classes=("no", "yes", "maybe"))(control, candidate).decision == "pass"
    # By other names the sets hold nothing, stable's as little as the candidate's.
    verdict = Coverage()(control, candidate)
    assert verdict.evidence[0].value == pytest.approx(0.0, abs=0.03)


def test_without_sets_it_waits() -> None:
    control, candidate = with_sets(500, 0.9, 0.9)
    bare = dataclasses.replace(candidate, sets=None)
    assert Coverage()(control, bare).decision == "wait"


@pytest.mark.parametrize(("setting", "value"), [("target", 1.0), ("larger", 0.5)])
def test_settings_that_cannot_be_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{setting}`"):
        Coverage(**{setting: value})
