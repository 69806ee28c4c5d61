"""Twelve controllers die by `kill -9` in the middle of rollouts; the torture benchmark kills three hundred."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, text

from roadworthy.core.spec import Stage
from roadworthy.store.metadata import aliases
from roadworthy.store.state import State
from roadworthy.testing.rollout_deaths import CHANCE, Deaths
from roadworthy.testing.rollout_faults import faults
from roadworthy.testing.rollouts import BEGAN, World, file_in, plan_of, release, says


@pytest.fixture
def world(tmp_path: Path):
    root = tmp_path / "project"
    with State.open(tmp_path / "state", "process") as state:
        made = World.made(state, root)
        yield made


@pytest.mark.slow
def test_twelve_deaths_leave_no_contradiction(tmp_path: Path) -> None:
    root = tmp_path / "project"
    with State.open(root / ".roadworthy", "process") as state:
        (root / "chance.py").write_text(CHANCE)
        made = World.made(state, root / "more")
        made.registry.add(release("third"), file_in(root, "third"))
    command = [sys.executable, "-m", "roadworthy.testing.rollout_deaths", str(root), "flights", "12", "5"]
    ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    found = msgspec.json.decode(ended.stdout, type=Deaths)
    assert (found.kills, found.faults) == (12, [])
    assert found.steps["started"] > 3
    assert found.steps["stage"] > 0


def ended(world: World) -> None:
    control = world.controller()
    stages = (Stage("shadow"), Stage("canary", 0.5))
    control.start("flights", world.candidate, plan_of(says("pass"), stages=stages), BEGAN, "anna")
    control.look("flights", BEGAN + 1)
    control.look("flights", BEGAN + 2)
    assert faults(world.state, "flights") == []


RUNS_ON = "UPDATE rollouts SET status = 'running', state = replace(state, '\"status\":\"promoted\",', '')"
AGAIN = "INSERT INTO events (at, kind, subject, data) SELECT at, kind, subject, data FROM events LIMIT 1"
LOOSE = (
    """INSERT INTO audit (at, "by", action, subject, data, previous, hash) VALUES (1, 'x', 'y', 'z', '{}', 'a', 'b')"""
)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (RUNS_ON, "its events say"),
        (AGAIN, "'started': 2"),
        ("DELETE FROM rollouts", "events without a rollout"),
        (LOOSE, "not chained"),
    ],
)
def test_what_contradicts_itself_is_found(world: World, spoil: str, said: str) -> None:
    ended(world)
    with world.state.engine.begin() as connection:
        connection.execute(text(spoil))
    assert any(said in fault for fault in faults(world.state, "flights"))


def test_an_alias_that_no_step_moved_is_found(world: World) -> None:
    ended(world)
    row = {"deployment": "flights", "alias": "stable", "digest": world.stable, "at": BEGAN + 9, "by": "x"}
    with world.state.engine.begin() as connection:
        connection.execute(insert(aliases).values(**row, why="rollout of nobody"))
    assert any("rollouts moved stable" in fault for fault in faults(world.state, "flights"))
