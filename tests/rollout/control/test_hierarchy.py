"""Which signals are asked in which stage, and the hash under which a plan is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from roadworthy.core.errors import SpecError
from roadworthy.core.spec import Rollout, Signal, Stage
from roadworthy.rollout.control.admission import check_plan
from roadworthy.rollout.control.hierarchy import gates_of, hash_of, on_stage

SHADOW, CANARY = Stage("shadow"), Stage("canary", 0.1)


def asked(plan: Rollout, stage: Stage) -> list[int]:
    return list(on_stage(plan, stage, gates_of(plan)))


def test_latency_is_asked_of_live_answers_unless_its_signal_says_otherwise() -> None:
    plan = Rollout(gates=("errors", "latency"))
    assert (asked(plan, SHADOW), asked(plan, CANARY)) == ([0], [0, 1])
    told = Rollout(gates=(), signals=(Signal("errors"), Signal("latency", modes=("shadow",))))
    assert (asked(told, SHADOW), asked(told, CANARY)) == ([0, 1], [0])


def test_a_stage_in_which_nothing_may_promote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'shadow 100 %' has no signal that may promote"):
        check_plan(Rollout(stages=(SHADOW, CANARY), gates=("latency",)), tmp_path)


def test_the_hash_covers_what_decides_and_not_how_often_one_looks() -> None:
    plan = Rollout(gates=("errors",))
    assert hash_of(plan, {}) == hash_of(replace(plan, look_hours=1.0), {})
    others = [
        replace(plan, key="tenant"),
        replace(plan, freeze=("sat",)),
        replace(plan, gates=({"errors": {"margin": 0.02}},)),
        replace(plan, stages=(CANARY,)),
    ]
    assert len({hash_of(other, {}) for other in [plan, *others]}) == 5
    assert hash_of(plan, {"mine.py": "a"}) != hash_of(plan, {"mine.py": "b"})
