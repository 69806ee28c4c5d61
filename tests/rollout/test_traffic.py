from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import insert

from roadworthy.core.errors import Missing
from roadworthy.core.spec import Rollout, Stage
from roadworthy.rollout.rollout_state import RolloutState, encode
from roadworthy.rollout.traffic import Traffic, traffic
from roadworthy.store.metadata import aliases, releases, rollouts
from roadworthy.store.state import State

OLD, NEW, OTHER = ("a" * 64, "b" * 64, "c" * 64)
PLAN = Rollout(
    stages=(
        Stage("shadow", 0.5, where="origin=LGA"),
        Stage("canary", 0.1),
        Stage("ab", 0.5),
        Stage("holdback", 0.05),
    ),
    gates=(),
    key="tenant",
)
RUNNING = RolloutState("r1", "flights", NEW, OLD, PLAN, 10.0, 20.0, "anna")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path, "process") as opened:
        with opened.engine.begin() as connection:
            for digest in (OLD, NEW, OTHER):
                connection.execute(insert(releases).values(digest=digest, name="r", made_at=1.0, manifest="{}"))
        yield opened


def point(state: State, digest: str) -> None:
    row = {"deployment": "flights", "alias": "stable", "digest": digest, "at": 1.0, "by": "anna", "why": "test"}
    with state.engine.begin() as connection:
        connection.execute(insert(aliases).values(**row))


def begin(state: State, running: RolloutState) -> None:
    with state.engine.begin() as connection:
        row = insert(rollouts).values(id=running.id, deployment="flights", status=running.status)
        connection.execute(row.values(state=encode(running), updated_at=1.0))


def test_without_a_stable_release_there_is_no_traffic(state: State) -> None:
    with pytest.raises(Missing, match="'flights' has no stable release"):
        traffic(state, "flights")


def test_without_a_rollout_stable_answers_alone(state: State) -> None:
    point(state, OLD)
    begin(state, replace(RUNNING, status="aborted"))
    assert traffic(state, "flights") == Traffic(OLD)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (0, Traffic(OLD, NEW, "shadow", 0.5, "r1", "origin=LGA", "tenant")),
        (1, Traffic(OLD, NEW, "canary", 0.1, "r1", "", "tenant")),
        (2, Traffic(OLD, NEW, "ab", 0.5, "r1", "", "tenant")),
    ],
)
def test_a_stage_says_who_is_tried_and_on_whom(state: State, stage: int, told: Traffic) -> None:
    point(state, OLD)
    begin(state, replace(RUNNING, stage=stage))
    assert traffic(state, "flights") == told
    assert told.held is None


def test_in_a_holdback_the_candidate_is_stable_and_control_is_held_beside_it(state: State) -> None:
    point(state, OLD)
    point(state, NEW)
    begin(state, replace(RUNNING, stage=3))
    found = traffic(state, "flights")
    assert found == Traffic(NEW, OLD, "holdback", 0.05, "r1", "", "tenant")
    assert found.held == OLD


@pytest.mark.parametrize(("stage", "stable"), [(0, NEW), (1, OTHER), (3, OLD), (3, OTHER)])
def test_where_stable_was_moved_by_hand_it_answers_alone(state: State, stage: int, stable: str) -> None:
    point(state, stable)
    begin(state, replace(RUNNING, stage=stage))
    assert traffic(state, "flights") == Traffic(stable)
