from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert

from roadworthy.core.record import Label, Record
from roadworthy.observe.alerts import DAY
from roadworthy.observe.quality.draws import Draw, chances, collect, waiting
from roadworthy.store.state import State

NOW = 30 * DAY
IDS = [f"{k:032x}" for k in range(20_000)]


def record(k: int, at: float = NOW - 60, arm="stable", error=None, confidence=0.8) -> Record:
    return Record(f"r{k}", at, "5b" * 32, arm, {"x": 1.0}, {"p": 0.4}, confidence, error=error)


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path, "process") as opened:
        yield opened


def test_draws_the_share_it_is_told_whatever_the_ids_look_like():
    draw = Draw(0.05, "salt")
    assert abs(sum(map(draw.drawn, IDS)) / len(IDS) - 0.05) < 5 * (0.05 * 0.95 / len(IDS)) ** 0.5
    assert not any(map(Draw(0.0, "salt").drawn, IDS))
    assert all(map(Draw(1.0, "salt").drawn, IDS))


def test_places_are_spread_evenly_and_differ_by_salt():
    places = np.array([Draw(0.1, "one").place(id) for id in IDS])
    others = np.array([Draw(0.1, "two").place(id) for id in IDS])
    assert np.abs(np.bincount((places * 10).astype(int)) / len(IDS) - 0.1).max() < 0.01
    assert abs(np.corrcoef(places, others)[0, 1]) < 0.03


def test_a_greater_share_draws_the_same_and_more():
    few, many = ({id for id in IDS if Draw(share, "salt").drawn(id)} for share in (0.01, 0.03))
    assert few < many


def test_another_process_draws_the_same():
    code = "from roadworthy.observe.quality.draws import Draw; print(Draw(0.1, 'salt').place('r7'))"
    assert float(subprocess.check_output([sys.executable, "-c", code])) == Draw(0.1, "salt").place("r7")


def test_a_tilt_draws_the_unsure_more_often_and_keeps_a_floor():
    draw = Draw(0.1, "salt", tilt=0.8)
    assert draw.chance(1.0) == pytest.approx(0.02)
    assert draw.chance(0.5) == pytest.approx(0.18)
    assert draw.chance(None) == draw.chance(float("nan")) == 0.1
    assert Draw(0.9, "salt", tilt=0.9).chance(0.5) == 1.0
    drawn = sum(draw.drawn(id, 0.5) for id in IDS) / len(IDS)
    assert abs(drawn - 0.18) < 0.02


@pytest.mark.parametrize(("share", "tilt"), [(-0.1, 0.0), (1.1, 0.0), (0.1, 1.0), (0.1, -0.1)])
def test_settings_that_cannot_be_are_refused(share, tilt):
    with pytest.raises(ValueError, match="must be"):
        Draw(share, "salt", tilt)


def test_what_is_drawn_is_kept_once_with_its_chance(state):
    draw = Draw(0.2, "salt")
    state.records.write([record(k) for k in range(500)])
    assert collect(state, draw, NOW) == sum(draw.drawn(f"r{k}") for k in range(500))
    assert collect(state, draw, NOW) == 0
    state.records.write([record(k) for k in range(400, 600)])
    collect(state, draw, NOW)
    kept = chances(state, 0.0, NOW)
    assert set(kept) == {f"r{k}" for k in range(600) if draw.drawn(f"r{k}")}
    assert set(kept.values()) == {0.2}


def test_the_chance_of_the_time_stays_when_the_share_is_changed(state):
    state.records.write([record(k) for k in range(200)])
    collect(state, Draw(0.5, "salt"), NOW)
    before = chances(state, 0.0, NOW)
    state.records.write([record(k) for k in range(200, 400)])
    collect(state, Draw(0.1, "salt"), NOW)
    after = chances(state, 0.0, NOW)
    assert {id: after[id] for id in before} == before
    assert set(after.values()) == {0.5, 0.1}
    state.records.write([record(k, arm="canary") for k in range(200)])
    collect(state, Draw(1.0, "salt"), NOW)
    again = chances(state, 0.0, NOW)
    assert {id: again[id] for id in after} == after
    assert sum(chance == 1.0 for chance in again.values()) == sum(f"r{k}" not in after for k in range(200))


def test_shadows_and_failures_are_not_drawn(state):
    state.records.write([record(1, arm="shadow"), record(2, error="broke"), record(3, arm="canary")])
    collect(state, Draw(1.0, "salt"), NOW)
    assert set(chances(state, 0.0, NOW)) == {"r3"}


def test_the_first_call_begins_a_day_ago(state):
    state.records.write([record(1, at=NOW - 2 * DAY), record(2, at=NOW - DAY / 2)])
    assert collect(state, Draw(1.0, "salt"), NOW) == 1
    assert set(chances(state, 0.0, NOW)) == {"r2"}


def test_those_without_a_label_wait_for_a_person(state):
    state.records.write([record(1), record(2)])
    collect(state, Draw(1.0, "salt"), NOW)
    assert [each.id for each in waiting(state, 0.0, NOW)] == ["r1", "r2"]
    state.records.write_labels([Label("r1", 1.0, NOW)])
    assert [each.id for each in waiting(state, 0.0, NOW)] == ["r2"]
    assert waiting(state, NOW, NOW + DAY) == []


def test_postgresql_understands_what_keeps_a_row_once(state):
    audits = state.tables["audits"]
    statement = insert(audits).values([{"id": "r"}]).on_conflict_do_nothing(index_elements=["id"])
    assert "ON CONFLICT (id) DO NOTHING" in str(statement.compile(dialect=postgresql.dialect()))
