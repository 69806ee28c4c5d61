"""Rows read bit by bit are the rows that reading everything anew gives, whatever came late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.window import Window
from roadworthy.core.wire import Step
from roadworthy.rollout.control import followed
from roadworthy.rollout.control.followed import CANDIDATE_ARMS, CONTROL_ARMS, Followed, Rows
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.store.records import RecordLog

PLAN = Rollout(stages=(Stage("shadow"), Stage("canary", 0.5)))
ROLLOUT = RolloutState("ab" * 8, "flights", "candidate", "control", PLAN, 100.0, 100.0, "anna")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RecordLog]:
    log = RecordLog(tmp_path / "records.db", "process")
    yield log
    log.close()


def anew(records: RecordLog, now: RolloutState, at: float) -> tuple[Window, Window]:
    def known(record: Record) -> Record:
        later = record.label_at is not None and record.label_at > at
        return replace(record, label=None, label_at=None) if later else record

    found = (
        records.read(now.started_at, at, digest, arms)
        for digest, arms in ((now.control, CONTROL_ARMS), (now.candidate, CANDIDATE_ARMS))
    )
    control, candidate = (Window.of_all([known(record) for record in rows]) for rows in found)
    return control, candidate


def assert_same(found: Window, wanted: Window) -> None:
    assert found.n == wanted.n
    for name in ("labels", "at", "ids", "confidence", "known_at", "errors", "usd", "tokens", "sets", "arms"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    for group in ("inputs", "outputs", "tags", "seconds", "steps"):
        here, there = getattr(found, group), getattr(wanted, group)
        assert set(here) == set(there), group
        for name in there:
            assert here[name].dtype == there[name].dtype, name
            np.testing.assert_array_equal(here[name], there[name], err_msg=name)


def row(k: int, at: float, release: str, arm: str, rng: np.random.Generator) -> Record:
    failed = rng.random() < 0.2
    inputs = {"x": float(k), "kind": "text" if k % 7 else None} | ({"late": 1.0} if k > 200 else {})
    return Record(
        f"r{k}", at, release, arm, inputs, {} if failed else {"p": k / 1000},  # type: ignore[arg-type]
        error="late" if failed else None, seconds={"total": 0.1}, tags={"origin": "LGA"} if k % 3 else {},
        path=(Step("cache", "hit"),) if k % 5 else (), confidence=0.5, prediction_set=("a", "b") if k % 2 else None,
    )  # fmt: skip


def drive(records: RecordLog, kept: Followed, seed: int) -> None:
    """Looks between batches of rows and labels that come in any order, some of them before their time."""
    rng, at, k, labelled = np.random.default_rng(seed), 100.0, 0, set[int]()
    for turn in range(30):
        at += float(rng.integers(1, 30))
        batch = []
        for _ in range(int(rng.integers(0, 30))):
            when = at + float(rng.normal(-15, 20))
            release, arm = [("control", "stable"), ("candidate", "shadow"), ("candidate", "canary")][rng.integers(3)]
            batch.append(row(k, when, release, arm, rng))
            k += 1
        again = [int(n) for n in rng.integers(0, max(1, k), 3)] if k else []
        # A caller who was refused asks again with the same id; the failure stays beside the answer.
        batch += [replace(r, error=None, outputs={"p": 0.5}) for r in batch[:2] if r.error]
        batch += [row(n, at - 1, "control", "stable", rng) for n in again]
        records.write(batch)
        chosen = [n for n in rng.integers(0, max(1, k), 10).tolist() if n not in labelled]
        labelled |= set(chosen)
        records.write_labels([Label(f"r{n}", 1.0, at + float(rng.normal(0, 20))) for n in dict.fromkeys(chosen)])
        if turn == 20:
            at -= 10.0
        found = kept.rows(ROLLOUT, at)
        for have, want in zip(found[:2], anew(records, ROLLOUT, at), strict=True):
            assert_same(have, want)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_bit_by_bit_is_what_reading_all_anew_gives(records: RecordLog, seed: int) -> None:
    drive(records, Followed(records, ROLLOUT), seed)


def test_a_process_that_starts_again_reads_the_same_in_stretches(
    records: RecordLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(records, Followed(records, ROLLOUT), 7)
    monkeypatch.setattr(followed, "STRETCH_ROWS", 25)
    control, candidate = anew(records, ROLLOUT, 400.0)
    found = Followed(records, ROLLOUT).rows(ROLLOUT, 400.0)
    assert_same(found.control, control)
    assert_same(found.candidate, candidate)
    assert found.touched == int((candidate.arms == "canary").sum())  # type: ignore[union-attr]


def stage_rows(records: RecordLog, now: RolloutState, at: float) -> Rows:
    return Followed(records, now).rows(now, at)


def test_the_rows_of_a_later_canary_begin_when_the_servers_have_settled(records: RecordLog) -> None:
    stages = (Stage("canary", 0.1), Stage("canary", 0.5))
    now = replace(ROLLOUT, plan=Rollout(stages=stages), stage=1, stage_since=200.0, begun=(100.0, 200.0))
    times = [150.0, 200.1, 200.9, 201.5, 202.0, 203.0]
    for release, arm in (("control", "stable"), ("candidate", "canary")):
        records.write([Record(f"{arm}{at}", at, release, arm, {}, {}) for at in times])  # type: ignore[arg-type]
    found = stage_rows(records, now, 300.0)
    assert found.stage_control.at.tolist() == found.stage_candidate.at.tolist() == [202.0, 203.0]
    assert found.control.n == found.candidate.n == 6


def test_rows_of_another_arm_are_left_out_of_a_stage(records: RecordLog) -> None:
    now = replace(ROLLOUT, stage=1, stage_since=200.0, begun=(100.0, 200.0))
    for k, arm in enumerate(["shadow", "canary", "shadow", "canary", "canary"]):
        records.write([Record(f"c{k}", 200.0 + k, "candidate", arm, {}, {})])  # type: ignore[arg-type]
    assert stage_rows(records, now, 300.0).stage_candidate.at.tolist() == [203.0, 204.0]


def test_nobody_can_write_into_the_rows_that_a_gate_is_given(records: RecordLog) -> None:
    records.write([Record("c", 150.0, "candidate", "shadow", {"x": 1.0}, {})])
    found = Followed(records, ROLLOUT).rows(ROLLOUT, 300.0)
    with pytest.raises(ValueError, match="read-only"):
        found.candidate.inputs["x"][0] = 2.0
