from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected
from roadworthy.rollout.gates.sample_ratio import SampleRatio


def dealt(
    n: int, share: float, lost: float = 0.0, tags: dict[str, np.ndarray] | None = None, mine: np.ndarray | None = None
) -> tuple[Window, Window]:
    """Requests dealt out by `share`, of which the candidate loses some on the way."""
    rng = np.random.default_rng(0)
    drawn = rng.random(n) < share if mine is None else mine
    kept = ~drawn | (rng.random(n) >= lost)
    at, ids = np.arange(n, dtype=np.float64), np.array([f"r{k}" for k in range(n)], object)
    arms = []
    for part, arm in ((kept & ~drawn, "stable"), (kept & drawn, "canary")):
        some = {name: values[part] for name, values in (tags or {}).items()}
        m = int(part.sum())
        arms.append(Window({}, {}, np.full(m, np.nan), at[part], some, ids[part], arms=np.full(m, arm, object)))
    return arms[0], arms[1]


def test_an_arm_that_loses_requests_fails() -> None:
    verdict = SampleRatio(share=0.5)(*dealt(3000, 0.5, lost=0.2))
    assert verdict.decision == "fail"
    assert "given 0.5: the odds against chance are" in verdict.because


def test_the_share_that_was_given_passes() -> None:
    assert SampleRatio(share=0.2)(*dealt(3000, 0.2)).decision == "pass"


def test_a_wrong_share_fails_at_once() -> None:
    assert SampleRatio(share=0.5)(*dealt(200, 0.05)).decision == "fail"


def test_what_was_shown_once_is_not_taken_back() -> None:
    """It lost half for a while; later rows made the sum look better again."""
    mine = np.concatenate([np.arange(600) % 10 == 0, np.arange(2400) % 10 < 6])
    control, candidate = dealt(3000, 0.5, mine=mine)
    assert candidate.n / 3000 == pytest.approx(0.5)
    assert SampleRatio(share=0.5)(control, candidate).decision == "fail"


def test_requests_of_the_first_seconds_do_not_count() -> None:
    """The servers learn of the new share one after the other."""
    late = np.concatenate([np.zeros(60, np.bool_), np.arange(600) % 2 == 0])
    arms = dealt(660, 0.5, mine=late)
    assert SampleRatio(share=0.5, settle_seconds=0.0)(*arms).decision == "fail"
    assert SampleRatio(share=0.5, settle_seconds=60.0)(*arms).decision != "fail"


def test_callers_are_counted_not_the_requests_of_one() -> None:
    """One caller with half of all requests is on the candidate: the split of callers is even."""
    rng = np.random.default_rng(0)
    callers = np.where(rng.random(4000) < 0.5, "big", np.array([f"c{k}" for k in rng.integers(0, 1500, 4000)], object))
    even = {caller: rng.random() < 0.3 for caller in dict.fromkeys(callers.tolist())} | {"big": True}
    arms = dealt(4000, 0.3, tags={"user": callers}, mine=np.array([even[caller] for caller in callers]))
    assert SampleRatio(share=0.3)(*arms).decision == "fail"
    verdict = SampleRatio(share=0.3, key="user")(*arms)
    assert verdict.decision == "pass"
    assert "callers on the candidate" in verdict.because


def test_a_slice_with_a_wrong_share_is_named() -> None:
    country = np.array(["fr", "de", "it", "es"], object)[np.arange(8000) % 4]
    rng = np.random.default_rng(0)
    mine = rng.random(8000) < np.where(country == "it", 0.2, 0.333)
    arms = dealt(8000, 0.3, tags={"country": country}, mine=mine)
    assert SampleRatio(share=0.3)(*arms).decision == "pass"
    verdict = SampleRatio(share=0.3, by="country")(*arms)
    assert verdict.decision == "fail"
    assert "country=it" in verdict.because


def test_no_share_and_no_rows_wait() -> None:
    assert "is not known" in SampleRatio()(*dealt(300, 0.5)).because
    assert SampleRatio(share=0.5)(*dealt(100, 0.5)).decision == "wait"


def test_it_fails_an_even_split_less_often_than_alpha() -> None:
    """At 10 %, so that a hundred runs can tell."""
    gate, rng = SampleRatio(share=0.1, alpha=0.1, settle_seconds=0.0), np.random.default_rng(1)
    failed = sum(gate(*dealt(1500, 0.1, mine=rng.random(1500) < 0.1)).decision == "fail" for _ in range(100))
    assert failed <= 20, "more than 20 of 100 happen once in a thousand at 10 %"


def test_it_plans_for_the_margin() -> None:
    stable, _ = dealt(100, 0.5)
    wide, narrow = (
        SampleRatio(margin=margin).plan(Expected(stable, 100.0, 0.2, False, 0.0, 0.0)) for margin in (0.1, 0.02)
    )
    assert 0 < wide.requests < narrow.requests
    assert wide.hours == pytest.approx(wide.requests / 20.0)
