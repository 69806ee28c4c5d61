"""A rollback raises an incident with its evidence, somebody is told of it, and a report can be written from it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from roadworthy.core.record import Label
from roadworthy.core.spec import Stage
from roadworthy.rollout.control.incident import Exposure, Incident
from roadworthy.rollout.control.post_incident import post_incident_report
from roadworthy.store.events import read_events
from roadworthy.store.state import State
from roadworthy.testing.rollouts import BEGAN, HOUR, World, plan_of, says

CANARY = (Stage("shadow", hours=1), Stage("canary", 0.25, 3, 24))


@pytest.fixture
def world(both_states: State, tmp_path: Path) -> World:
    return World.made(both_states, tmp_path / "project")


def rolled_back(world: World, **more: Any) -> Incident:
    """A canary of which some requests fail, on one place."""
    control = world.controller(**more)
    words = world.root / "words"
    words.write_text("pass fail")
    plan = plan_of(
        {"errors": {"least": 50, "margin": 0.05}}, {"says.py:SaysInTurn": {"file": str(words)}}, stages=CANARY
    )
    control.start("flights", world.candidate, plan, BEGAN, "anna")
    for release, arm in ((world.stable, "stable"), (world.candidate, "shadow")):
        world.write(release, arm, BEGAN, 300)  # type: ignore[arg-type]
    assert control.look("flights", BEGAN + HOUR).stage == 1
    since = BEGAN + HOUR
    world.write(world.stable, "stable", since, 100, tags={"origin": "LGA"})
    world.write(world.candidate, "canary", since + 1, 30, tags={"origin": "LGA"})
    world.write(world.candidate, "canary", since + 500, 10, tags={"origin": "JFK"}, error="TimeoutError: |late|\n# x")
    world.state.records.write_labels([Label(f"r{since + 11:.0f}", 1.0, since + 60)])
    assert control.look("flights", since + 1000).status == "rolled_back"
    return control.incidents("flights")[0]


def test_an_incident_has_whom_the_candidate_answered_every_step_and_rows_to_look_at(world: World) -> None:
    found = rolled_back(world)
    assert (found.kind, found.deployment, found.candidate) == ("rolled_back", "flights", world.candidate)
    assert found.exposed == Exposure("", 40, 10)
    assert set(found.exposures[1:]) == {Exposure("origin=LGA", 30, 0), Exposure("origin=JFK", 10, 10)}
    assert [moment.what for moment in found.timeline] == ["started", "stage", "rolled_back"]
    assert [moment.by for moment in found.timeline] == ["anna", "controller", "controller"]
    assert [v.of for v in found.verdicts] == ["errors", "says.py:SaysInTurn"]
    assert found.stage == "canary 25 %"
    whys = [row.why for row in found.rows]
    assert whys[0].startswith("failed: TimeoutError")
    assert "probability 0.3, and the label is 1" in whys
    assert any("took 10.0 ms" in why for why in whys)
    assert read_events(world.state.engine, "incident", "flights")[0].data["because"] == found.because


def test_somebody_is_told_once_and_again_only_where_it_failed(world: World, caplog: Any) -> None:
    heard: list[Incident] = []

    def deaf(_: Incident) -> None:
        raise ConnectionError("nobody answers the telephone")

    with caplog.at_level(logging.CRITICAL):
        incident = rolled_back(world, on_incident=deaf)
        deafer = world.controller(on_incident=deaf)
        deafer.look("flights", BEGAN + 9 * HOUR)
        assert not deafer.rests("flights")
    later = world.controller(on_incident=heard.append)
    later.look("flights", BEGAN + 9 * HOUR)
    later.look("flights", BEGAN + 9 * HOUR)
    assert heard == [incident]
    assert later.rests("flights")
    world.controller(on_incident=heard.append).look("flights", BEGAN + 9 * HOUR)
    assert len(heard) == 1


def test_a_promoted_or_aborted_rollout_is_no_incident(world: World) -> None:
    control = world.controller()
    control.start("flights", world.candidate, plan_of(says("pass"), stages=CANARY[:1]), BEGAN, "anna")
    control.abort("flights", BEGAN + 1, "anna", "not today")
    control.start("flights", world.candidate, plan_of(says("pass"), stages=CANARY[:1]), BEGAN + 2, "anna")
    assert control.look("flights", BEGAN + 2 * HOUR).status == "promoted"
    assert control.incidents("flights") == []


def test_the_report_tells_what_happened_in_numbers_and_asks_what_only_people_know(world: World) -> None:
    found = rolled_back(world)
    rows = world.state.records.read(ids=[row.id for row in found.rows[:1]])
    text = post_incident_report(found, "wrappers: + celsius.py:Celsius", rows, "Europe/Berlin")
    for said in (
        f"# flights: release {world.candidate[:12]} was rolled back",
        "in the stage canary 25 % of rollout",
        "it had answered 40 requests of users, of which 10 failed (25.00%)",
        "CET | stage | controller |",
        "| errors | error_rate on candidate | 0.2564 | ",
        "| origin=JFK | 10 | 10 |",
        "failed: TimeoutError: \\|late\\| # x |",
        "    wrappers: + celsius.py:Celsius",
        '      "error": "TimeoutError: |late|\\n# x"',
        "- What in the release explains what `errors` saw",
        "- Must anybody of the 40 who were answered be told",
    ):
        assert said in text, text
    assert "\n# x" not in text


def test_the_report_of_a_rollback_by_hand_needs_no_rollout(world: World) -> None:
    world.registry.point("flights", "stable", world.candidate, BEGAN, "anna", "second")
    control = world.controller()
    control.rollback("flights", BEGAN + 5, "ben", "prices are wrong")
    text = post_incident_report(control.incidents("flights")[0])
    assert f"{world.candidate[:12]} was taken out of production" in text
    assert f"Release {world.stable[:12]} answers all requests again." in text
    assert "no difference was handed in" in text
