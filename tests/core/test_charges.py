from __future__ import annotations

from roadworthy.core.charges import (
    COMPARISON,
    EXPLORED,
    FAILED,
    chances_of,
    chances_told,
    gain_of,
    purposes,
    segment_of,
)
from roadworthy.core.wire import Step

MEMBERS = ("small", "large")


def test_the_last_answer_of_a_member_is_the_answer_and_those_before_were_tried() -> None:
    path = (Step("cascade", ""), Step("small", "first"), Step("verifier", ""), Step("large", "low"), Step("guard", ""))
    assert purposes(path, MEMBERS) == ["other", "tried", "verifier", "answer", "other"]


def test_what_failed_was_compared_or_explored_is_told_by_its_reason() -> None:
    path = (
        Step("router", "gain"),
        Step("small", f"{FAILED}no"),
        Step("small", f"{COMPARISON}x"),
        Step("large", f"{EXPLORED}x"),
    )
    assert purposes(path, MEMBERS) == ["router", "failed", "comparison", "explored"]


def test_chances_gain_and_segment_survive_the_text() -> None:
    told = chances_told({"small": 0.999987, "large": 1e-05})
    path = (Step("router", f"gain -0.0123 below 0.2 (segment topic 3), {told}, router 3f2a9c"),)
    assert chances_of(path) == {"small": 0.999987, "large": 1e-05}
    assert gain_of(path) == -0.0123
    assert segment_of(path) == "topic 3"


def test_a_path_on_which_nothing_was_drawn_tells_no_chances() -> None:
    path = (Step("small", "asked"),)
    assert (chances_of(path), gain_of(path), segment_of(path)) == (None, None, "")


def test_a_gain_in_a_sessions_reason_is_found_too() -> None:
    path = (Step("router", "the session stays where it began (gain 0.5 reaches 0.2 (segment law)), chances a=1 b=0"),)
    assert gain_of(path) == 0.5
    assert segment_of(path) == "law"


def test_a_cascades_audit_is_a_comparison_and_the_kept_answer_stays_the_answer() -> None:
    path = (Step("small", "0.93 at least 0.9"), Step("large", "audit drawn at 0.05: agrees", 1.0))
    assert purposes(path, MEMBERS) == ["answer", "comparison"]


def test_a_level_of_a_cascade_that_gave_no_answer_is_billed_as_failed_and_one_not_asked_not_at_all():
    path = (
        Step("small", "0.6: sent on", 0.1),
        Step("middle", "not answered: it is gone: sent on", 0.2),
        Step("large", "not asked: it failed too often; the answer so far stands"),
        Step("large", "audit not answered: it is gone"),
    )
    assert purposes(path, {"small", "middle", "large"}) == ["answer", "failed", "other", "failed"]
