"""What each signal may say, and that nobody changes it while it decides."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Label
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.rollout.control.hierarchy import gates_of
from roadworthy.store.state import State
from roadworthy.testing.rollouts import BEGAN, HOUR, World, plan_of, says

CANARY = (Stage("canary", 0.25, 1, 100),)


@pytest.fixture
def world(both_states: State, tmp_path: Path) -> World:
    return World.made(both_states, tmp_path / "project")


def by(*signals: Signal, stages: tuple[Stage, ...] = CANARY) -> Rollout:
    return Rollout(stages=stages, gates=(), signals=signals)


def in_turn(world: World, words: str, name: str = "words") -> Any:
    (world.root / name).write_text(words)
    return {"says.py:SaysInTurn": {"file": str(world.root / name)}}


@pytest.mark.parametrize(
    ("may", "said", "status"),
    [
        ("block", "fail", "rolled_back"),
        ("block", "wait", "promoted"),
        ("advise", "fail", "promoted"),
        ("promote", "wait", "running"),
        ("promote", "fail", "rolled_back"),
    ],
)
def test_a_signal_may_promote_block_or_advise(world: World, may: Any, said: str, status: str) -> None:
    control = world.controller()
    control.start("flights", world.candidate, by(Signal(says("pass")), Signal(says(said), may)), BEGAN, "anna")
    looked = control.look("flights", BEGAN + HOUR)
    assert (looked.status, [v.decision for v in looked.verdicts]) == (status, ["pass", said])


def test_a_signal_has_no_say_before_both_arms_have_its_least_rows(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, by(Signal(says("fail"), least=50)), BEGAN, "anna")
    world.write(world.candidate, "canary", BEGAN, 200)
    world.write(world.stable, "stable", BEGAN + 5, 49)
    looked = control.look("flights", BEGAN + HOUR)
    assert looked.verdicts[0].because == "49 rows of stable and 199 of the candidate; it has a say from 50 on"
    world.write(world.stable, "stable", BEGAN + HOUR, 1)
    assert control.look("flights", BEGAN + 2 * HOUR).status == "rolled_back"


def test_a_signal_is_asked_in_its_modes_only_and_what_it_showed_is_kept(world: World) -> None:
    control = world.controller()
    plan = by(
        Signal(says("pass")),
        Signal(in_turn(world, "pass"), modes=("shadow",)),
        Signal(in_turn(world, "wait", "other"), "block", modes=("canary",)),
        stages=(Stage("shadow", hours=1), *CANARY),
    )
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    assert control.look("flights", BEGAN).asked == (0, 1)
    assert control.look("flights", BEGAN + HOUR).asked == (0, 1)
    later = control.look("flights", BEGAN + 1.5 * HOUR)
    assert (later.stage, later.asked, sorted(later.lasting)) == (1, (0, 2), [1])


def test_what_a_gate_over_the_whole_rollout_has_shown_stays_until_it_says_the_opposite(world: World) -> None:
    control = world.controller()
    plan = plan_of(in_turn(world, "wait pass wait fail"))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    said = [control.look("flights", BEGAN + k * HOUR / 4).verdicts[0].decision for k in range(1, 4)]
    assert said == ["wait", "pass", "pass"]
    assert control.look("flights", BEGAN + HOUR).status == "rolled_back"


def test_a_pass_that_rests_on_labels_waits_once_the_labels_stop_coming(world: World) -> None:
    control = world.controller()
    signal = Signal("says.py:Labelled", stale_hours=2)
    control.start("flights", world.candidate, by(signal, stages=(Stage("canary", 0.25, 9, 100),)), BEGAN, "anna")
    world.write(world.stable, "stable", BEGAN, 30, 600.0)
    world.write(world.candidate, "canary", BEGAN, 30, 600.0)
    world.state.records.write_labels([Label(f"r{BEGAN:.0f}", 1.0, BEGAN + 60)])
    assert control.look("flights", BEGAN + HOUR).verdicts[0].decision == "pass"
    late = control.look("flights", BEGAN + 4 * HOUR).verdicts[0]
    assert (late.decision, late.because) == (
        "wait", "the newest row that it judged is 4.0 h old, of at most 2 h; before that: 1 labels",
    )  # fmt: skip
    world.state.records.write_labels([Label(f"r{BEGAN + 13800:.0f}", 1.0, BEGAN + 4 * HOUR)])
    assert control.look("flights", BEGAN + 4.5 * HOUR).verdicts[0].decision == "pass"


def test_a_pass_without_labels_is_stale_once_no_requests_come(world: World) -> None:
    control = world.controller()
    signal = Signal(says("pass"), stale_hours=2)
    control.start("flights", world.candidate, by(signal, stages=(Stage("canary", 0.25, 9, 100),)), BEGAN, "anna")
    assert control.look("flights", BEGAN + HOUR).verdicts[0].decision == "wait"
    world.write(world.candidate, "canary", BEGAN + HOUR, 10)
    assert control.look("flights", BEGAN + 2 * HOUR).verdicts[0].decision == "pass"
    assert "h old" in control.look("flights", BEGAN + 5 * HOUR).verdicts[0].because


def test_a_gate_that_breaks_holds_up_its_stage_and_no_other_gate(world: World, caplog: Any) -> None:
    control = world.controller()
    plan = by(Signal(in_turn(world, "!")), Signal(in_turn(world, "wait fail", "other")))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    with caplog.at_level(logging.CRITICAL):
        looked = control.look("flights", BEGAN + HOUR)
        assert looked.verdicts[0].because == "it could not be asked: RuntimeError: this gate is broken"
        assert looked.status == "running"
        assert control.look("flights", BEGAN + HOUR).status == "rolled_back"


def test_the_candidates_share_and_a_seed_of_the_rollout_are_filled_in(world: World) -> None:
    control = world.controller()
    stages = (Stage("shadow", hours=1), *CANARY)
    begun = control.start("flights", world.candidate, plan_of(says("pass"), stages=stages), BEGAN, "anna")
    shares = [control.look("flights", BEGAN + k * HOUR).verdicts[0].evidence[0].value for k in (0.5, 1, 1.5)]
    assert shares == [1.0, 1.0, 0.25]
    gate = control._gates_of(control.status("flights"))[0]
    assert gate.seed == int(begun.id[:8], 16)  # type: ignore[attr-defined]


def test_a_gate_looks_at_what_the_release_answers_with_where_the_plan_says_nothing(world: World) -> None:
    control = world.controller()
    plan = Rollout(stages=CANARY, gates=("quality", {"quality": {"output": "other"}}))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    promised = next(iter(world.registry.get(world.candidate).signature.outputs))
    assert [gate.output for gate in control._gates_of(control.status("flights"))] == [promised, "other"]  # type: ignore[attr-defined]
    assert gates_of(plan, output="scores")[0].output == "scores"  # type: ignore[attr-defined]


def test_a_running_rollout_is_judged_by_the_plan_that_it_began_with(world: World) -> None:
    control = world.controller()
    plan = plan_of("errors", says("wait"))
    begun = control.start("flights", world.candidate, plan, BEGAN, "anna")
    assert len(begun.hierarchy) == 64
    control.check_unchanged("flights", plan)
    # A whole number, the long form of the gates, and how often somebody looks change nothing.
    control.check_unchanged("flights", plan_of({"errors": {}}, says("wait"), look_hours=1.0))
    edited = plan_of(
        "errors:margin=0.5", says("pass"), stages=(Stage("shadow", hours=0), Stage("canary", 0.25, 3, 24)), key="tenant"
    )
    with pytest.raises(SpecError) as refused:
        control.check_unchanged("flights", edited)
    for said in (
        f"rollout {begun.id}",
        "stage 1: hours was 2.0 and is 0.0",
        "signal 1: gate was ['errors', {}] and is ['errors', {'margin': '0.5'}]",
        "signal 2: gate was",
        "key was '' and is 'tenant'",
        "rollout abort",
    ):
        assert said in str(refused.value)
    with pytest.raises(SpecError, match="2 signals were written, and there are 1"):
        control.check_unchanged("flights", plan_of("errors"))
    control.abort("flights", BEGAN + 1, "anna", "to change it")
    control.check_unchanged("flights", edited)


def test_code_of_a_gate_that_was_edited_decides_nothing_until_it_is_put_back(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("fail")), BEGAN, "anna")
    code = (world.root / "says.py").read_text()
    (world.root / "says.py").write_text(code + "\n")
    for process in (control, control):
        held = process.look("flights", BEGAN + HOUR)
        assert (held.status, held.verdicts) == ("running", ())
        assert "may not change while it decides: `says.py` was edited" in held.problem
    (world.root / "says.py").unlink()
    assert "put the file back" in control.look("flights", BEGAN + HOUR).problem
    with pytest.raises(SpecError, match="cannot be read"):
        control.check_unchanged("flights", plan_of(says("fail")))
    (world.root / "says.py").write_text(code)
    ended = control.look("flights", BEGAN + 2 * HOUR)
    assert (ended.status, ended.problem) == ("rolled_back", "")
    assert world.changes() == ["started", "not_judged", "rolled_back"]
    assert [incident.kind for incident in control.incidents("flights")] == ["not_judged", "rolled_back"]
