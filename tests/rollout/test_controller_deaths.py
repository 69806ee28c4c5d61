"""A controller that dies before any statement leaves the step whole or not done, and the next one goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from roadworthy.core.spec import Stage
from roadworthy.rollout.control.incident import Incident
from roadworthy.rollout.controller import Controller
from roadworthy.store.state import State
from roadworthy.testing.rollout_faults import faults
from roadworthy.testing.rollouts import BEGAN, HOUR, World, file_in, plan_of, release, says

Step = Callable[[Controller], Any]


class Killed(BaseException):
    """As good as `kill -9`: nothing of ours catches it."""


@pytest.fixture
def world(both_states: State, tmp_path: Path) -> World:
    return World.made(both_states, tmp_path / "project")


@contextmanager
def dying(state: State, before: int) -> Iterator[None]:
    """Death before the given statement, commits among them."""
    left = [before]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    event.listen(state.engine, "before_cursor_execute", count)
    event.listen(state.engine, "commit", count)
    try:
        yield
    finally:
        event.remove(state.engine, "before_cursor_execute", count)
        event.remove(state.engine, "commit", count)


def story(world: World) -> Iterator[Step]:
    """Every kind of step, one after the other."""
    stages = (Stage("shadow", hours=1), Stage("canary", 0.5, hours=1), Stage("holdback", 0.1, hours=1))
    third = world.registry.add(release("third"), file_in(world.root, "third")).digest
    yield lambda c: c.start("flights", world.candidate, plan_of(says("pass"), stages=stages), BEGAN, "anna")
    yield lambda c: c.look("flights", BEGAN + HOUR)
    yield lambda c: c.pause("flights", BEGAN + HOUR, "ben", "lunch")
    yield lambda c: c.resume("flights", BEGAN + 1.1 * HOUR, "ben")
    yield lambda c: c.look("flights", BEGAN + 3 * HOUR)
    yield lambda c: c.promote("flights", BEGAN + 3 * HOUR, "anna", "known to be good")
    yield lambda c: c.start("flights", third, plan_of(says("fail")), BEGAN + 6 * HOUR, "anna")
    yield lambda c: c.look("flights", BEGAN + 7 * HOUR)
    yield lambda c: c.start("flights", third, plan_of(says("wait")), BEGAN + 8 * HOUR, "anna", override="again")
    yield lambda c: c.rollback("flights", BEGAN + 8 * HOUR, "anna", "prices are wrong")


@pytest.mark.slow
def test_death_before_any_statement_of_any_step_leaves_it_whole_or_undone(world: World) -> None:
    told: list[Incident] = []
    clock = [0.0]
    deaths = 0
    for number, step in enumerate(story(world), 1):
        steps_before = len(world.changes())
        for statement in range(1, 200):
            # Whoever died still has the lease, until its time is over.
            clock[0] += 100.0
            successor = world.controller(now=lambda: clock[0], on_incident=told.append)
            if len(world.changes()) > steps_before:
                break  # it died when the step was written
            try:
                with dying(world.state, statement):
                    step(successor)
            except Killed:
                deaths += 1
            assert faults(world.state, "flights") == [], f"step {number}, statement {statement}"
        assert len(world.changes()) == steps_before + 1
    assert world.changes() == [
        "started", "stage", "paused", "resumed", "stage", "promoted", "started", "rolled_back", "started", "aborted",
    ]  # fmt: skip
    assert deaths > 100
    last = world.controller(now=lambda: clock[0] + 100, on_incident=told.append)
    last.look("flights", BEGAN + 9 * HOUR)
    assert {incident.kind for incident in told} == {"rolled_back", "reverted"}
    assert world.registry.alias("flights", "stable") == world.stable


def test_who_lost_the_lease_while_it_asked_its_gates_writes_nothing(world: World) -> None:
    clock = [0.0]
    slow, quick = (world.controller(now=lambda: clock[0], holder=name) for name in ("slow", "quick"))
    slow.start("flights", world.candidate, plan_of(says("fail")), BEGAN, "anna")
    lease = slow._lease("flights")
    assert lease is not None
    old = slow.status("flights")
    found, rows = slow._looked(old, BEGAN + HOUR)
    assert quick.look("flights", BEGAN + HOUR) == old  # the lease is another's
    clock[0] += 11.0
    assert quick.look("flights", BEGAN + HOUR).status == "rolled_back"
    assert slow._steps.step(old, found, BEGAN + HOUR, lease, rows) is None
    assert slow.look("flights", BEGAN + HOUR).status == "rolled_back"
    assert world.changes() == ["started", "rolled_back"]


def test_a_controller_that_leaves_lets_the_next_one_look_at_once(world: World) -> None:
    first, second = world.controller(), world.controller()
    first.start("flights", world.candidate, plan_of(says("fail"), stages=(Stage("shadow"),)), BEGAN, "anna")
    (world.root / "says.py").rename(world.root / "away.py")
    assert first.look("flights", BEGAN + 1).problem
    (world.root / "away.py").rename(world.root / "says.py")
    assert second.look("flights", BEGAN + 2).status == "running"
    first.resign()
    assert second.look("flights", BEGAN + 2).status == "rolled_back"


def test_a_person_does_not_wait_for_the_lease_and_voids_what_a_controller_is_about_to_do(world: World) -> None:
    busy, person = world.controller(), world.controller()
    busy.start("flights", world.candidate, plan_of(says("pass"), stages=(Stage("shadow"),)), BEGAN, "anna")
    lease = busy._lease("flights")
    assert lease is not None
    old = busy.status("flights")
    found, rows = busy._looked(old, BEGAN + HOUR)
    assert found.status == "promoted"
    person.abort("flights", BEGAN + HOUR, "ben", "stop")
    assert busy._steps.step(old, found, BEGAN + HOUR, lease, rows) is None
    assert world.registry.alias("flights", "stable") == world.stable
    assert faults(world.state, "flights") == []
