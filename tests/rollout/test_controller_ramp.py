"""Pause, freeze windows, places and holdback: how far a candidate gets, and how it gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.core.errors import Missing, SpecError, Taken
from roadworthy.core.spec import Stage
from roadworthy.rollout.traffic import traffic
from roadworthy.store.events import read_events
from roadworthy.store.state import State
from roadworthy.testing.rollouts import BEGAN, HOUR, World, file_in, plan_of, release, says

# BEGAN is a Monday, 12 January 1970, 13:46:40 UTC.
MONDAY_AFTERNOON = ("mon 12:00 - mon 16:00",)
HELD = (Stage("canary", 0.5), Stage("holdback", 0.1, hours=24, at_most_hours=48))


@pytest.fixture
def world(both_states: State, tmp_path: Path) -> World:
    return World.made(both_states, tmp_path / "project")


def test_a_paused_rollout_keeps_its_share_and_its_hours_do_not_count(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("pass"), stages=(Stage("canary", 0.5, 2, 4),)), BEGAN, "ann")
    before = traffic(world.state, "flights")
    with pytest.raises(ValueError, match="`why`"):
        control.pause("flights", BEGAN + HOUR, "ben", "")
    paused = control.pause("flights", BEGAN + HOUR, "ben", "the boss is away")
    assert control.pause("flights", BEGAN + 2 * HOUR, "eve", "me too") == paused
    much_later = control.look("flights", BEGAN + 50 * HOUR)
    assert (much_later.status, much_later.stage) == ("running", 0)
    assert much_later.because == "paused: the boss is away (ben); 1.0 of 2 h: every gate passes"
    assert traffic(world.state, "flights") == before
    control.resume("flights", BEGAN + 50 * HOUR, "ben", "she is back")
    assert control.look("flights", BEGAN + 50.5 * HOUR).because == "1.5 of 2 h: every gate passes"
    assert control.look("flights", BEGAN + 51 * HOUR).status == "promoted"
    assert world.changes() == ["started", "paused", "resumed", "promoted"]
    assert [deed for deed in world.deeds() if "pause" in deed or "resume" in deed] == [
        "rollout paused", "rollout resumed",
    ]  # fmt: skip


def test_a_paused_rollout_is_still_rolled_back_and_gives_up_when_its_own_hours_are_over(world: World) -> None:
    control = world.controller()
    words = world.root / "words"
    words.write_text("wait fail")
    plan = plan_of({"says.py:SaysInTurn": {"file": str(words)}})
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    control.pause("flights", BEGAN + HOUR, "ben", "lunch")
    assert control.look("flights", BEGAN + 100 * HOUR).status == "running"
    assert control.look("flights", BEGAN + 101 * HOUR).status == "rolled_back"
    control.start("flights", world.candidate, plan_of(says("wait")), BEGAN + 102 * HOUR, "anna", override="fixed")
    control.pause("flights", BEGAN + 103 * HOUR, "ben", "lunch")
    control.resume("flights", BEGAN + 113 * HOUR, "ben")
    assert control.look("flights", BEGAN + 159.9 * HOUR).status == "running"
    assert "inconclusive after 48.0 h" in control.look("flights", BEGAN + 160 * HOUR).because


def test_in_a_freeze_no_candidate_gets_more_traffic(world: World) -> None:
    control = world.controller()
    with pytest.raises(Taken, match=r"frozen in 'mon 12:00 - mon 16:00' \(UTC\): wait .* `override` a reason"):
        control.start("flights", world.candidate, plan_of(freeze=MONDAY_AFTERNOON), BEGAN, "anna")
    plan = plan_of(says("pass"), freeze=("mon 15:00 - tue 02:00",))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    held = control.look("flights", BEGAN + 3 * HOUR)
    assert (held.stage, held.because[:48]) == (0, "frozen in 'mon 15:00 - tue 02:00' (UTC), althoug")
    with pytest.raises(Taken, match="frozen in"):
        control.promote("flights", BEGAN + 3 * HOUR, "anna", "in a hurry")
    assert control.look("flights", BEGAN + 60 * HOUR).stage == 1


def test_a_freeze_is_overridden_by_a_reason_that_is_recorded(world: World) -> None:
    control = world.controller()
    why = "it stops the wrong prices"
    begun = control.start("flights", world.candidate, plan_of(freeze=MONDAY_AFTERNOON), BEGAN, "anna", override=why)
    assert why in begun.because
    done = control.promote("flights", BEGAN + 1, "anna", "looks right", override=why)
    assert done.because == f"looks right, although frozen: {why}"


def test_a_candidate_is_taken_back_in_a_freeze_too(world: World) -> None:
    control = world.controller()
    plan = plan_of(says("fail"), freeze=("mon 15:00 - tue 02:00",))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    assert control.look("flights", BEGAN + 3 * HOUR).status == "rolled_back"


def test_a_freeze_that_cannot_be_read_is_refused_before_the_start(world: World) -> None:
    with pytest.raises(SpecError, match="freeze 'fri to monday noon' cannot be read at 'monday noon'"):
        world.controller().start(
            "flights", world.candidate, plan_of(freeze=("fri to monday noon",)), BEGAN, "anna", override="x"
        )


def test_in_a_holdback_the_candidate_is_stable_and_some_stay_on_the_release_before(world: World) -> None:
    control = world.controller()
    begun = control.start("flights", world.candidate, plan_of(says("pass"), stages=HELD), BEGAN, "anna")
    held = control.look("flights", BEGAN + HOUR)
    assert (held.status, held.step.mode) == ("running", "holdback")
    assert world.registry.alias("flights", "stable") == world.candidate
    now = traffic(world.state, "flights")
    assert (now.stable, now.held, now.share, now.salt) == (world.candidate, world.stable, 0.1, begun.id)
    # While the server still follows, rows of the canary are no rows of the holdback.
    world.write(world.candidate, "canary", BEGAN + HOUR, 5, 1.0)
    world.write(world.candidate, "stable", BEGAN + HOUR + 100, 50)
    world.write(world.stable, "holdback", BEGAN + HOUR + 105, 5, 100.0)
    looked = control.look("flights", BEGAN + 2 * HOUR)
    assert looked.verdicts[0].because == "5 against 50 rows, 0 labels"
    assert looked.verdicts[0].evidence[0].value == 0.9
    assert looked.touched == 55
    done = control.look("flights", BEGAN + 26 * HOUR)
    assert (done.status, traffic(world.state, "flights").stable) == ("promoted", world.candidate)
    assert [move.digest for move in world.registry.history("flights", "stable")] == [world.stable, world.candidate]
    assert world.changes() == ["started", "stage", "promoted"]


@pytest.mark.parametrize("way", ["fail", "abort", "rollback"])
def test_a_holdback_that_goes_wrong_gives_stable_back(world: World, way: str) -> None:
    control = world.controller()
    words = world.root / "words"
    words.write_text("pass fail")
    plan = plan_of({"says.py:SaysInTurn": {"file": str(words)}}, stages=HELD)
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    assert control.look("flights", BEGAN + HOUR).step.mode == "holdback"
    if way == "fail":
        control.look("flights", BEGAN + 2 * HOUR)
    elif way == "abort":
        control.abort("flights", BEGAN + 2 * HOUR, "anna", "callers complain")
    else:
        control.rollback("flights", BEGAN + 2 * HOUR, "anna", "callers complain")
    assert control.status("flights").status == ("rolled_back" if way == "fail" else "aborted")
    assert traffic(world.state, "flights").stable == world.stable
    assert [move.digest for move in world.registry.history("flights", "stable")] == [
        world.stable, world.candidate, world.stable,
    ]  # fmt: skip


def test_only_requests_of_the_place_are_compared(world: World) -> None:
    control = world.controller()
    stages = (Stage("canary", 0.5, 1, where="origin=LGA"), Stage("canary", 0.5, 9))
    plan = plan_of(says("pass"), says("pass", of_all=True), stages=stages)
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    world.write(world.candidate, "canary", BEGAN + 1, 20, 100.0, tags={"origin": "LGA"})
    world.write(world.stable, "stable", BEGAN + 10, 20, 100.0, tags={"origin": "LGA"})
    world.write(world.stable, "stable", BEGAN + 20, 30, 100.0, tags={"origin": "JFK"})
    stage, whole = control.look("flights", BEGAN + 2000).verdicts
    assert stage.because == "20 against 19 rows, 0 labels"
    assert whole.because == "20 against 20 rows, 0 labels"
    assert control.look("flights", BEGAN + HOUR).stage == 1
    world.write(world.candidate, "canary", BEGAN + HOUR + 10, 5, 100.0, tags={"origin": "JFK"})
    world.write(world.stable, "stable", BEGAN + HOUR + 20, 5, 100.0, tags={"origin": "JFK"})
    stage, whole = control.look("flights", BEGAN + 2 * HOUR).verdicts
    assert stage.because == "5 against 4 rows, 0 labels"
    assert whole.because == "25 against 25 rows, 0 labels"


def test_what_is_stable_is_taken_back_by_hand_to_what_was_before(world: World) -> None:
    control, registry = world.controller(), world.registry
    with pytest.raises(Missing, match="no other release of 'flights' was stable before"):
        control.rollback("flights", BEGAN, "anna", "looks odd")
    third = registry.add(release("third"), file_in(world.root, "third")).digest
    registry.point("flights", "stable", world.candidate, BEGAN, "anna", "second")
    registry.point("flights", "stable", third, BEGAN + 1, "anna", "third")
    assert control.rollback("flights", BEGAN + 2, "anna", "prices are wrong").digest == world.candidate
    assert control.rollback("flights", BEGAN + 3, "anna", "still wrong").digest == world.stable
    assert [m.digest for m in registry.history("flights", "stable")][3:] == [world.candidate, world.stable]
    assert world.deeds()[-2:] == ["alias moved", "stable taken back"]
    with pytest.raises(Taken, match=r"rolled back before .taken back by hand: prices are wrong"):
        control.start("flights", third, plan_of(), BEGAN + 4, "anna")
    incident = control.incidents("flights")[0]
    assert (incident.kind, incident.candidate, incident.control) == ("reverted", third, world.candidate)
    assert "prices are wrong" in read_events(world.state.engine, "rollback", "flights")[0].data["because"]


def test_taking_stable_back_ends_what_was_compared_with_it(world: World) -> None:
    control, registry = world.controller(), world.registry
    registry.point("flights", "stable", world.candidate, BEGAN, "anna", "second")
    third = registry.add(release("third"), file_in(world.root, "third")).digest
    control.start("flights", third, plan_of(says("wait")), BEGAN + 1, "anna")
    control.rollback("flights", BEGAN + 2, "ben", "prices are wrong")
    ended = control.status("flights")
    assert (ended.status, ended.because) == ("aborted", "stable was taken back: taken back by hand: prices are wrong")
    assert traffic(world.state, "flights").stable == world.stable
