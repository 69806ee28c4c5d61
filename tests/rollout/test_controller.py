"""A rollout on a real state directory, with its metadata on both databases: rows go in, the controller looks."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from roadworthy.core.errors import BadData, Denied, Missing, RoadworthyError, SpecError, Taken
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.record import Label
from roadworthy.core.spec import Field, Promotion, Rollout, Signal, Stage
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller, gates_of
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.latency import Latency
from roadworthy.rollout.gates.quality import Quality
from roadworthy.rollout.traffic import Traffic, traffic
from roadworthy.store.events import read_events, write_event
from roadworthy.store.state import State
from roadworthy.testing.rollouts import BEGAN, HOUR, World, file_in, plan_of, release, says

ERRORS = {"errors": {"least": 50, "margin": 0.05}}
ONE_SHADOW = (Stage("shadow"),)


@pytest.fixture
def world(both_states: State, tmp_path: Path) -> World:
    return World.made(both_states, tmp_path / "project")


def test_a_candidate_that_no_server_can_load_is_rolled_back(world: World) -> None:
    engine = world.state.engine
    write_event(engine, BEGAN, "load_failed", "flights", {"release": world.candidate, "error": "of an earlier try"})
    control = world.controller()
    control.start("flights", world.candidate, plan_of(ERRORS), BEGAN, "anna")
    assert control.look("flights", BEGAN + HOUR).status == "running"
    told = {"arm": "candidate", "release": world.candidate, "error": "it cannot be loaded: no such wrapper"}
    write_event(engine, BEGAN, "load_failed", "flights", {**told, "release": world.stable})
    assert control.look("flights", BEGAN + HOUR).status == "running"
    write_event(engine, BEGAN, "load_failed", "flights", told)
    ended = control.look("flights", BEGAN + HOUR)
    assert (ended.status, ended.because) == ("rolled_back", told["error"])


def test_a_good_candidate_goes_through_its_stages_and_becomes_stable(world: World) -> None:
    stable, candidate = world.stable, world.candidate
    control = world.controller()
    begun = control.start("flights", candidate[:10], plan_of(ERRORS), BEGAN, "anna")
    assert traffic(world.state, "flights") == Traffic(stable, candidate, "shadow", 1.0, begun.id)

    world.write(stable, "stable", BEGAN, 720)
    world.write(candidate, "shadow", BEGAN, 720)
    early = control.look("flights", BEGAN + HOUR)
    assert (early.stage, early.because) == (0, "1.0 of 2 h: every gate passes")
    second = control.look("flights", BEGAN + 2 * HOUR)
    assert (second.stage, second.stage_since, second.status) == (1, BEGAN + 2 * HOUR, "running")
    assert second.starts == (BEGAN, BEGAN + 2 * HOUR)
    assert traffic(world.state, "flights") == Traffic(stable, candidate, "canary", 0.25, begun.id)

    world.write(stable, "stable", BEGAN + 2 * HOUR, 1080)
    world.write(candidate, "canary", BEGAN + 2 * HOUR + 5, 361, 30.0)
    assert control.look("flights", BEGAN + 4 * HOUR).status == "running"
    done = control.look("flights", BEGAN + 5 * HOUR)
    assert (done.status, done.touched) == ("promoted", 360)
    assert done.because.startswith("errors: 0 of 359 requests")
    assert traffic(world.state, "flights") == Traffic(candidate)
    assert world.registry.alias("flights", "stable", at=BEGAN + 4 * HOUR) == stable
    assert begun.id in world.registry.history("flights", "stable")[-1].why
    assert world.changes() == ["started", "stage", "promoted"]
    assert world.deeds()[-4:] == ["rollout started", "rollout stage", "alias moved", "rollout promoted"]
    assert control.look("flights", BEGAN + 6 * HOUR) == done == control.status("flights")


def test_a_candidate_that_fails_its_canary_is_pulled_back_and_its_touched_requests_are_counted(world: World) -> None:
    control = world.controller()
    plan = plan_of("errors", "latency", "quality", stages=(Stage("canary", 0.25, 3, 24),))
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    world.write(world.stable, "stable", BEGAN, 1000)
    world.write(world.candidate, "canary", BEGAN + 5, 250, 40.0, error="TimeoutError: late")
    ended = control.look("flights", BEGAN + HOUR)
    assert ended.status == "rolled_back"
    assert ended.because.startswith("errors: 89 of 89 requests (100.00%) of the candidate failed")
    assert ended.touched == 90
    assert [v.of for v in ended.verdicts] == ["errors", "latency", "quality"]
    assert traffic(world.state, "flights") == Traffic(world.stable)
    assert control.status("flights") == ended


def test_a_gate_sees_the_rows_of_its_stage_or_of_the_rollout_and_the_labels_known_by_then(world: World) -> None:
    stable, candidate, records = world.stable, world.candidate, world.state.records
    world.write(stable, "stable", BEGAN - 500, 10)
    world.write(stable, "stable", BEGAN, 100)
    world.write(candidate, "shadow", BEGAN, 100)
    control = world.controller()
    plan = plan_of(says("pass", of_all=True), says("pass"), stages=(Stage("shadow"), Stage("canary", 0.5, 9)))
    control.start("flights", candidate, plan, BEGAN, "anna")
    assert control.look("flights", BEGAN + 1000).stage == 1
    world.write(stable, "stable", BEGAN + 1000, 30)
    world.write(candidate, "canary", BEGAN + 1005, 20)
    records.write_labels([Label(f"r{BEGAN + 10 * k:.0f}", 1.0, BEGAN + 1000 + k) for k in range(100)])
    whole, stage = control.look("flights", BEGAN + 1050).verdicts
    # The first request of a canary only says that it has begun.
    assert stage.because == "4 against 4 rows, 0 labels"
    assert whole.because == "105 against 105 rows, 51 labels"


def test_a_canary_that_the_server_is_still_loading_is_not_compared(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("wait"), stages=(Stage("canary", 0.5),)), BEGAN, "anna")
    world.write(world.stable, "stable", BEGAN, 60)
    assert control.look("flights", BEGAN + 600).verdicts[0].because.startswith("0 against 0 rows")


def test_what_no_gate_can_settle_in_time_is_rolled_back_as_inconclusive(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("wait")), BEGAN, "anna")
    assert control.look("flights", BEGAN + 47 * HOUR).status == "running"
    ended = control.look("flights", BEGAN + 48 * HOUR)
    assert ended.status == "rolled_back"
    assert ended.because == "inconclusive after 48.0 h: says.py:Says: 0 against 0 rows, 0 labels"


def test_without_a_gate_nothing_can_pass(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(), BEGAN, "anna")
    looked = control.look("flights", BEGAN + 3 * HOUR)
    assert looked.stage == 0
    assert "no gate to ask" in looked.because


def test_looking_twice_at_one_time_takes_one_step(world: World) -> None:
    control = world.controller()
    stages = (Stage("shadow", hours=1), Stage("canary", 0.25, 1))
    control.start("flights", world.candidate, plan_of(says("pass"), stages=stages), BEGAN, "anna")
    first = control.look("flights", BEGAN + HOUR)
    assert control.look("flights", BEGAN + HOUR).stage == first.stage == 1
    assert control.look("flights", BEGAN).stage == 1


def test_a_second_rollout_of_a_deployment_is_refused(world: World) -> None:
    control = world.controller()
    begun = control.start("flights", world.candidate, plan_of(says("wait")), BEGAN, "anna")
    with pytest.raises(Taken, match=f"rollout {begun.id}.*rollout abort"):
        control.start("flights", world.candidate, plan_of(says("wait")), BEGAN + 1, "ben")
    control.abort("flights", BEGAN + 2, "anna", "changed my mind")
    assert control.start("flights", world.candidate, plan_of(), BEGAN + 2, "ben").status == "running"
    control.abort("flights", BEGAN + 2, "anna", "changed my mind")
    assert control.start("flights", world.candidate, plan_of(), BEGAN + 2, "ben").status == "running"


def test_what_was_rolled_back_comes_again_only_with_a_reason_that_is_kept(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("fail")), BEGAN, "anna")
    assert control.look("flights", BEGAN + 1).status == "rolled_back"
    with pytest.raises(Taken, match=r"rolled back before \(says.py:Says: .*override"):
        control.start("flights", world.candidate, plan_of(), BEGAN + 2, "anna")
    why = "the weather feed was down"
    again = control.start("flights", world.candidate, plan_of(), BEGAN + 2, "anna", override=why)
    assert why in again.because
    assert why in read_events(world.state.engine, "rollout", "flights")[-1].data["rollout"]["because"]
    assert [s.status for s in control.history("flights")] == ["rolled_back", "running"]


def test_the_same_files_under_another_name_and_maker_are_the_same_release_to_a_rollback(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("fail")), BEGAN, "anna")
    control.look("flights", BEGAN + 1)
    twin = replace(release("third", by="ben"), made_at=5.0, note="trained again", code="git:abc")
    digest = world.registry.add(twin, file_in(world.root, "second")).digest
    assert digest != world.candidate
    with pytest.raises(Taken, match="rolled back before"):
        control.start("flights", digest, plan_of(), BEGAN + 2, "ben")
    changed = world.registry.add(replace(twin, serving={"threads": 2}), file_in(world.root, "second"))
    assert control.start("flights", changed.digest, plan_of(), BEGAN + 2, "ben").status == "running"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"wind": Field(unit="mph")}, r"`wind` in the inputs .* number of width 1 in mph, .* in m/s"),
        ({"x": Field(kind="category")}, "`x` in the inputs .* is category"),
        ({"gust": Field()}, "`gust` in the inputs .* stable .* has missing"),
    ],
)
def test_a_candidate_that_takes_something_else_is_refused_by_its_field(
    world: World, fields: dict[str, Field], said: str
) -> None:
    other = world.registry.add(release("other", **fields), file_in(world.root, "other"))
    with pytest.raises(BadData, match=said):
        world.controller().start("flights", other.digest, plan_of(), BEGAN, "anna")


def test_the_meaning_and_the_range_of_a_field_may_change(world: World) -> None:
    other = release("other", x=Field(meaning="better said", high=9.0))
    digest = world.registry.add(other, file_in(world.root, "other")).digest
    assert world.controller().start("flights", digest, plan_of(), BEGAN, "anna").status == "running"


def test_stable_itself_an_unknown_release_and_a_deployment_without_stable_are_refused(world: World) -> None:
    control = world.controller()
    with pytest.raises(BadData, match="already stable"):
        control.start("flights", world.stable, plan_of(), BEGAN, "anna")
    with pytest.raises(Missing, match="no release with the digest 'f00d'"):
        control.start("flights", "f00d", plan_of(), BEGAN, "anna")
    with pytest.raises(Missing, match="'trains' had no stable release"):
        control.start("trains", world.candidate, plan_of(), BEGAN, "anna")
    with pytest.raises(Missing, match="no stable release"):
        traffic(world.state, "trains")
    with pytest.raises(Missing, match="never had a rollout"):
        control.look("flights", BEGAN)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((), "at least one stage"),
        ((Stage("canary", 1.0),), "a canary with `share` 1.0 .* below 1"),
        ((Stage("ab", 1.0),), "an? ab with `share` 1.0"),
        ((Stage("canary", 0.5), Stage("canary", 0.25)), "go down from 'canary 50 %' to 'canary 25 %'"),
        ((Stage("ab", 0.5), Stage("canary", 0.25)), "go down from 'ab 50 %' to 'canary 25 %'"),
        ((Stage("canary", 0.5), Stage("shadow")), "go down"),
        ((Stage("holdback", 0.1),), "alone would make the candidate stable unseen"),
        ((Stage("shadow"), Stage("holdback", 0.1), Stage("canary", 0.2)), "as the last stage"),
        ((Stage("shadow"), Stage("holdback", 0.1), Stage("holdback", 0.1)), "write one, as the last"),
    ],
)
def test_a_plan_that_could_never_pass_is_refused_at_the_start(
    world: World, stages: tuple[Stage, ...], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        world.controller().start("flights", world.candidate, Rollout(stages=stages, gates=()), BEGAN, "anna")


def test_shares_may_differ_between_places(world: World) -> None:
    stages = (Stage("canary", 0.5, where="origin=LGA"), Stage("canary", 0.05), Stage("canary", 0.5))
    assert world.controller().start("flights", world.candidate, plan_of(stages=stages), BEGAN, "anna").stage == 0


def test_a_stage_in_which_no_signal_may_promote_is_refused(world: World) -> None:
    plan = Rollout(stages=(*ONE_SHADOW, Stage("ab", 0.5)), gates=(), signals=(Signal(says("pass"), modes=("ab",)),))
    with pytest.raises(SpecError, match="'shadow 100 %' has no signal that may promote"):
        world.controller().start("flights", world.candidate, plan, BEGAN, "anna")


def test_a_plan_that_leaves_labels_less_than_a_day_is_begun_with_a_warning(world: World) -> None:
    begun = world.controller().start("flights", world.candidate, plan_of("errors", "quality"), BEGAN, "anna")
    assert "careful: shadow 100 %, canary 25 % may end before a whole day was seen, and quality waits" in begun.because


def test_promotion_and_abortion_by_hand_need_a_reason_and_a_running_rollout(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("wait")), BEGAN, "anna")
    with pytest.raises(ValueError, match="`why`"):
        control.promote("flights", BEGAN + 1, "anna", "")
    with pytest.raises(ValueError, match="before the stage began"):
        control.promote("flights", BEGAN - 1, "anna", "in a hurry")
    assert control.promote("flights", BEGAN + 1, "anna", "labels come next week").status == "promoted"
    assert traffic(world.state, "flights").stable == world.candidate
    with pytest.raises(Missing, match="no rollout of 'flights' is running"):
        control.abort("flights", BEGAN + 2, "anna", "oh no")


def test_a_stable_release_that_was_moved_meanwhile_ends_the_comparison(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("pass"), stages=ONE_SHADOW), BEGAN, "anna")
    third = world.registry.add(release("third"), file_in(world.root, "third")).digest
    world.registry.point("flights", "stable", third, BEGAN + 5, "ben", "hotfix")
    assert traffic(world.state, "flights") == Traffic(third)
    assert control.look("flights", BEGAN + 10).status == "aborted"
    assert traffic(world.state, "flights") == Traffic(third)


def test_what_lacks_a_promised_measurement_is_not_even_tried(world: World) -> None:
    rules = Promotion(requirements=(Requirement("auc", at_least=0.7),))
    control = Controller(world.state, Registry(world.state, rules), world.root)
    with pytest.raises(Denied, match="could never become stable: auc"):
        control.start("flights", world.candidate, plan_of(), BEGAN, "anna")
    scored = replace(release("scored"), measured=(Measurement("auc", 0.8, 1000, 0.77, 0.83),))
    digest = world.registry.add(scored, file_in(world.root, "scored")).digest
    assert control.start("flights", digest, plan_of(), BEGAN, "anna").status == "running"


def test_a_passed_candidate_waits_at_its_share_until_it_is_approved(world: World) -> None:
    registry = Registry(world.state, Promotion(by_rollout=True, approvals=1))
    control = Controller(world.state, registry, world.root)
    control.start("flights", world.candidate, plan_of(says("pass"), stages=ONE_SHADOW), BEGAN, "anna")
    held = control.look("flights", BEGAN + HOUR)
    assert (held.status, held.stage) == ("running", 0)
    assert "it passes, but release" in held.because
    assert "0 of 1 approvals" in held.because
    with pytest.raises(Denied, match="only a rollout that passed"):
        control.promote("flights", BEGAN + HOUR, "anna", "in a hurry")
    registry.approve(world.candidate, BEGAN + HOUR, "ben", "looks right")
    assert control.look("flights", BEGAN + 2 * HOUR).status == "promoted"
    assert traffic(world.state, "flights") == Traffic(world.candidate)


def test_a_step_that_cannot_be_written_whole_is_not_written_at_all(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("pass"), stages=ONE_SHADOW), BEGAN, "anna")
    with world.state.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO gone"))
    with pytest.raises((SQLAlchemyError, RoadworthyError)):
        control.look("flights", BEGAN + 1)
    with world.state.engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO audit"))
    assert control.status("flights").status == "running"
    assert traffic(world.state, "flights").stable == world.stable
    assert control.look("flights", BEGAN + 1).status == "promoted"
    assert world.changes() == ["started", "promoted"]


def test_two_controllers_at_once_take_each_step_once(world: World) -> None:
    refused: list[str] = []
    barrier = threading.Barrier(4)

    def run(k: int) -> None:
        control = world.controller()
        try:
            plan = plan_of(says("pass"), stages=ONE_SHADOW)
            control.start("flights", world.candidate, plan, BEGAN + k, f"controller {k}")
        except (Taken, BadData) as lost:
            refused.append(str(lost))
        finally:
            barrier.wait(60)
        control.look("flights", BEGAN + 100)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert world.changes() == ["started", "promoted"]
    assert len(world.registry.history("flights", "stable")) == 2


def test_gates_are_made_from_a_plan_with_their_settings() -> None:
    plan = Rollout(gates=("errors", {"latency": {"slower": 1.5}}, "quality:margin=0.02"))
    assert gates_of(plan) == (Errors(), Latency(slower=1.5), Quality(margin=0.02))
