"""A rollout on a real state directory: rows go in, the controller looks, traffic follows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, RoadworthyError, SpecError, Taken
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Field, Rollout, Signature, Stage
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.registry.releases import Registry
from roadworthy.rollout.base import Gate
from roadworthy.rollout.controller import Controller, gates_of
from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.gates.latency import Latency
from roadworthy.rollout.gates.quality import Quality
from roadworthy.rollout.traffic import Traffic, traffic
from roadworthy.store.events import read_events, write_event
from roadworthy.store.state import State

HOUR = 3600.0
T0 = 1_000_000.0
PLAN = Rollout(stages=(Stage("shadow", hours=2, at_most_hours=48), Stage("canary", 0.25, 3, 24)))


@dataclass(frozen=True)
class Says:
    """A gate that says what it is told, and counts the rows it was given in its reason."""

    decision: Literal["pass", "fail", "wait"]
    rows_since: ClassVar[str] = "stage"

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        labels = int((~np.isnan(candidate.labels)).sum())
        because = f"{control.n} against {candidate.n} rows, {labels} labels"
        return Verdict(self.decision, because, evidence=(Measurement("none", float("nan"), 0),))


@dataclass(frozen=True)
class SaysOfAll(Says):
    rows_since: ClassVar[str] = "rollout"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / ".roadworthy", durability="process") as opened:
        yield opened


@pytest.fixture
def registry(state: State) -> Registry:
    return Registry(state)


@pytest.fixture
def releases(registry: Registry, tmp_path: Path) -> tuple[str, str]:
    """The digests of stable and candidate."""
    stable, candidate = (registry.add(release(name), file(tmp_path, name)).digest for name in ("first", "second"))
    registry.point("flights", "stable", stable, T0 - HOUR, "anna", "first release")
    return stable, candidate


def file(folder: Path, name: str) -> dict[str, Path]:
    path = folder / name
    path.write_text(name)
    return {"model": path}


def release(name: str, **fields: Field) -> Release:
    inputs = {"x": Field(), "wind": Field(unit="m/s")} | fields
    return Release(name, (Artifact("model", "", 0),), Signature(inputs, {"probability": Field()}))


def controller(state: State, *gates: Gate) -> Controller:
    return Controller(state, Registry(state), gates)


def write(state: State, digest: str, arm: Arm, since: float, n: int, every: float = 10.0, **more: object) -> None:
    base = Record("", 0.0, digest, arm, {"x": 1.0}, {"probability": 0.3}, seconds={"total": 0.01})
    rows = [replace(base, id=f"r{since + k * every:.0f}", at=since + k * every, **more) for k in range(n)]
    state.records.write(rows)


def changes(state: State) -> list[str]:
    return [event.data["change"] for event in read_events(state.engine, "rollout", "flights")]


def test_a_candidate_that_no_server_can_load_is_rolled_back(
    state: State, registry: Registry, releases: tuple[str, str]
) -> None:
    _, candidate = releases
    write_event(state.engine, T0, "load_failed", "flights", {"release": candidate, "error": "of an earlier try"})
    control = controller(state, Errors(least=50, margin=0.05))
    control.start("flights", candidate, PLAN, T0, "anna")
    assert control.look("flights", T0 + HOUR).status == "running"
    told = {
        "arm": "candidate",
        "release": candidate,
        "error": "the candidate release cannot be loaded: no such wrapper",
    }
    write_event(state.engine, T0, "load_failed", "flights", told)
    ended = control.look("flights", T0 + HOUR)
    assert (ended.status, ended.because) == ("rolled_back", told["error"])


def test_a_good_candidate_goes_through_its_stages_and_becomes_stable(
    state: State, registry: Registry, releases: tuple[str, str]
) -> None:
    stable, candidate = releases
    control = controller(state, Errors(least=50, margin=0.05))
    begun = control.start("flights", candidate[:10], PLAN, T0, "anna")
    assert traffic(state, "flights") == Traffic(stable, candidate, "shadow", 1.0, begun.id)

    write(state, stable, "stable", T0, 720)
    write(state, candidate, "shadow", T0, 720)
    early = control.look("flights", T0 + HOUR)
    assert (early.stage, early.because) == (0, "1.0 of 2 h: every gate passes")
    second = control.look("flights", T0 + 2 * HOUR)
    assert (second.stage, second.stage_since, second.status) == (1, T0 + 2 * HOUR, "running")
    assert traffic(state, "flights") == Traffic(stable, candidate, "canary", 0.25, begun.id)

    write(state, stable, "stable", T0 + 2 * HOUR, 1080)
    write(state, candidate, "canary", T0 + 2 * HOUR + 5, 360, 30.0)
    assert control.look("flights", T0 + 4 * HOUR).status == "running"
    done = control.look("flights", T0 + 5 * HOUR)
    assert (done.status, done.touched) == ("promoted", 360)
    assert done.because.startswith("errors: 0 of 360 requests")
    assert traffic(state, "flights") == Traffic(candidate)
    assert registry.alias("flights", "stable", at=T0 + 4 * HOUR) == stable
    assert begun.id in registry.history("flights", "stable")[-1].why
    assert changes(state) == ["started", "stage", "promoted"]
    assert control.look("flights", T0 + 6 * HOUR) == done


def test_a_candidate_that_fails_its_canary_is_pulled_back_and_its_touched_requests_are_counted(
    state: State, releases: tuple[str, str]
) -> None:
    stable, candidate = releases
    control = controller(state, Errors(), Latency(), Quality())
    control.start("flights", candidate, Rollout(stages=PLAN.stages[1:]), T0, "anna")
    write(state, stable, "stable", T0, 1000)
    write(state, candidate, "canary", T0 + 5, 250, 40.0, error="TimeoutError: late")
    ended = control.look("flights", T0 + HOUR)
    assert ended.status == "rolled_back"
    assert ended.because.startswith("errors: 90 of 90 requests (100.00%) of the candidate failed")
    assert ended.touched == 90
    assert [v.of for v in ended.verdicts] == ["errors", "latency", "quality"]
    assert traffic(state, "flights") == Traffic(stable)
    assert control.status("flights") == ended


def test_a_gate_sees_the_rows_of_its_stage_or_of_the_rollout_and_the_labels_known_by_then(
    state: State, releases: tuple[str, str]
) -> None:
    stable, candidate = releases
    write(state, stable, "stable", T0 - 500, 10)
    write(state, stable, "stable", T0, 100)
    write(state, candidate, "shadow", T0, 100)
    asked = controller(state, SaysOfAll("pass"), Says("pass"))
    asked.start("flights", candidate, replace(PLAN, stages=(Stage("shadow"), Stage("canary", 0.5, 9))), T0, "anna")
    assert asked.look("flights", T0 + 1000).stage == 1
    write(state, stable, "stable", T0 + 1000, 30)
    write(state, candidate, "canary", T0 + 1005, 20)
    state.records.write_labels([Label(f"r{T0 + 10 * k:.0f}", 1.0, T0 + 1000 + k) for k in range(100)])
    whole, stage = asked.look("flights", T0 + 1050).verdicts
    assert stage.because == "5 against 5 rows, 0 labels"
    assert whole.because == "105 against 105 rows, 51 labels"


def test_what_no_gate_can_settle_in_time_is_rolled_back_as_inconclusive(
    state: State, releases: tuple[str, str]
) -> None:
    control = controller(state, Says("wait"))
    control.start("flights", releases[1], PLAN, T0, "anna")
    assert control.look("flights", T0 + 47 * HOUR).status == "running"
    ended = control.look("flights", T0 + 48 * HOUR)
    assert ended.status == "rolled_back"
    assert ended.because == "inconclusive after 48.0 h: Says: 0 against 0 rows, 0 labels"


def test_without_a_gate_nothing_can_pass(state: State, releases: tuple[str, str]) -> None:
    control = controller(state)
    control.start("flights", releases[1], PLAN, T0, "anna")
    looked = control.look("flights", T0 + 3 * HOUR)
    assert looked.stage == 0
    assert "no gate to ask" in looked.because


def test_looking_twice_at_one_time_takes_one_step(state: State, releases: tuple[str, str]) -> None:
    control = controller(state, Says("pass"))
    stages = tuple(replace(stage, hours=1) for stage in PLAN.stages)
    control.start("flights", releases[1], Rollout(stages=stages), T0, "anna")
    first = control.look("flights", T0 + HOUR)
    assert control.look("flights", T0 + HOUR).stage == first.stage == 1
    assert control.look("flights", T0).stage == 1


def test_a_second_rollout_of_a_deployment_is_refused(state: State, releases: tuple[str, str]) -> None:
    control = controller(state, Says("wait"))
    begun = control.start("flights", releases[1], PLAN, T0, "anna")
    with pytest.raises(Taken, match=f"rollout {begun.id}.*rollout abort"):
        control.start("flights", releases[1], PLAN, T0 + 1, "ben")
    control.abort("flights", T0 + 2, "anna", "changed my mind")
    assert control.start("flights", releases[1], PLAN, T0 + 3, "ben").status == "running"


def test_what_was_rolled_back_comes_again_only_with_a_reason_that_is_kept(
    state: State, releases: tuple[str, str]
) -> None:
    control = controller(state, Says("fail"))
    control.start("flights", releases[1], PLAN, T0, "anna")
    assert control.look("flights", T0 + 1).status == "rolled_back"
    with pytest.raises(Taken, match=r"rolled back before \(Says: .*override"):
        control.start("flights", releases[1], PLAN, T0 + 2, "anna")
    again = control.start("flights", releases[1], PLAN, T0 + 2, "anna", override="the weather feed was down")
    assert "the weather feed was down" in again.because
    assert "weather feed" in read_events(state.engine, "rollout", "flights")[-1].data["rollout"]["because"]
    assert [s.status for s in control.history("flights")] == ["rolled_back", "running"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"wind": Field(unit="mph")}, r"`wind` in the inputs .* number of width 1 in mph, .* in m/s"),
        ({"x": Field(kind="category")}, "`x` in the inputs .* is category"),
        ({"gust": Field()}, "`gust` in the inputs .* stable .* has missing"),
    ],
)
def test_a_candidate_that_takes_something_else_is_refused_by_its_field(
    state: State, registry: Registry, releases: tuple[str, str], tmp_path: Path, fields: dict[str, Field], said: str
) -> None:
    other = registry.add(release("other", **fields), file(tmp_path, "other"))
    with pytest.raises(BadData, match=said):
        controller(state).start("flights", other.digest, PLAN, T0, "anna")


def test_the_meaning_and_the_range_of_a_field_may_change(
    state: State, registry: Registry, releases: tuple[str, str], tmp_path: Path
) -> None:
    other = registry.add(release("other", x=Field(meaning="better said", high=9.0)), file(tmp_path, "other"))
    assert controller(state).start("flights", other.digest, PLAN, T0, "anna").status == "running"


def test_stable_itself_and_a_deployment_without_stable_are_refused(state: State, releases: tuple[str, str]) -> None:
    control = controller(state)
    with pytest.raises(BadData, match="already stable"):
        control.start("flights", releases[0], PLAN, T0, "anna")
    with pytest.raises(Missing, match="'trains' had no stable release"):
        control.start("trains", releases[1], PLAN, T0, "anna")
    with pytest.raises(Missing, match="no stable release"):
        traffic(state, "trains")
    with pytest.raises(Missing, match="never had a rollout"):
        control.look("flights", T0)


@pytest.mark.parametrize(("stages", "said"), [((), "at least one stage"), ((Stage("canary", 1.0),), "below 1")])
def test_a_plan_that_could_never_pass_is_refused_at_the_start(
    state: State, releases: tuple[str, str], stages: tuple[Stage, ...], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        controller(state).start("flights", releases[1], Rollout(stages=stages), T0, "anna")


def test_promotion_and_abortion_by_hand_need_a_reason_and_a_running_rollout(
    state: State, releases: tuple[str, str]
) -> None:
    control = controller(state, Says("wait"))
    control.start("flights", releases[1], PLAN, T0, "anna")
    with pytest.raises(ValueError, match="`why`"):
        control.promote("flights", T0 + 1, "anna", "")
    with pytest.raises(ValueError, match="before the stage began"):
        control.promote("flights", T0 - 1, "anna", "in a hurry")
    assert control.promote("flights", T0 + 1, "anna", "labels come next week").status == "promoted"
    assert traffic(state, "flights").stable == releases[1]
    with pytest.raises(Missing, match="was promoted"):
        control.abort("flights", T0 + 2, "anna", "oh no")


def test_a_stable_release_that_was_moved_meanwhile_ends_the_comparison(
    state: State, registry: Registry, releases: tuple[str, str], tmp_path: Path
) -> None:
    control = controller(state, Says("pass"))
    control.start("flights", releases[1], Rollout(stages=(Stage("shadow"),)), T0, "anna")
    third = registry.add(release("third"), file(tmp_path, "third")).digest
    registry.point("flights", "stable", third, T0 + 5, "ben", "hotfix")
    assert traffic(state, "flights") == Traffic(third)
    assert control.look("flights", T0 + 10).status == "aborted"
    assert traffic(state, "flights") == Traffic(third)


def test_a_step_that_cannot_be_written_whole_is_not_written_at_all(state: State, releases: tuple[str, str]) -> None:
    control = controller(state, Says("pass"))
    control.start("flights", releases[1], Rollout(stages=(Stage("shadow"),)), T0, "anna")
    with state.engine.begin() as connection:
        connection.execute(text("ALTER TABLE events RENAME TO gone"))
    with pytest.raises((SQLAlchemyError, RoadworthyError)):
        control.look("flights", T0 + 1)
    with state.engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO events"))
    assert control.status("flights").status == "running"
    assert traffic(state, "flights").stable == releases[0]
    assert control.look("flights", T0 + 1).status == "promoted"
    assert changes(state) == ["started", "promoted"]


def test_two_controllers_at_once_take_each_step_once(state: State, releases: tuple[str, str]) -> None:
    refused: list[str] = []

    def run(k: int) -> None:
        control = controller(state, Says("pass"))
        try:
            control.start("flights", releases[1], Rollout(stages=(Stage("shadow"),)), T0 + k, f"controller {k}")
        except (Taken, BadData) as lost:
            refused.append(str(lost))
        barrier.wait()
        control.look("flights", T0 + 100)

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert changes(state) == ["started", "promoted"]
    assert len(Registry(state).history("flights", "stable")) == 2


def test_gates_are_made_from_a_plan_with_their_settings() -> None:
    plan = Rollout(gates=("errors", {"latency": {"slower": 1.5}}, "quality:margin=0.02"))
    assert gates_of(plan) == (Errors(), Latency(slower=1.5), Quality(margin=0.02))


@dataclass(frozen=True)
class SaysInTurn:
    """A gate that says one thing after the other."""

    words: list[str]
    rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        return Verdict(self.words.pop(0), "as told")


def test_what_a_gate_over_the_whole_rollout_has_shown_stays_until_it_says_the_opposite(
    state: State, registry: Registry, releases: tuple[str, str]
) -> None:
    control = controller(state, SaysInTurn(["wait", "pass", "wait", "fail"]))
    control.start("flights", releases[1], PLAN, T0, "anna")
    said = [control.look("flights", T0 + k * HOUR / 4).verdicts[0].decision for k in range(1, 4)]
    assert said == ["wait", "pass", "pass"]
    assert control.look("flights", T0 + HOUR).status == "rolled_back"
