"""`roadworthy run` lives a short life of the clinic from end to end, through the real server."""

from __future__ import annotations

import json

from roadworthy.cli.opening import existing_state
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry


def test_a_short_life_ends_well_and_is_written_down(life):
    root, told = life
    assert told.code == 0, told.err
    kept = json.loads((root / ".roadworthy" / "life.json").read_text())
    assert kept["title"] == told.body["title"] == "The life of clinic"
    assert "<html" in (root / ".roadworthy" / "report.html").read_text()
    assert "<html" in (root / ".roadworthy" / "gap.html").read_text()


def test_every_request_of_those_days_was_answered_and_recorded(life):
    root, _ = life
    with existing_state(read_project(root)) as state:
        answered = state.records.read(arms=("stable", "canary"))
    assert len(answered) == len({r.id for r in answered}) == 6 * 144
    assert [r.error for r in answered if r.error] == []
    assert sum(r.label is not None for r in answered) > 800


def test_a_candidate_was_trained_on_the_fourth_day_and_shadowed(life):
    root, told = life
    assert [line["candidate"] for line in told.body["rollouts"]] == ["clinic"]
    with existing_state(read_project(root)) as state:
        assert len(Registry(state).list()) == 2
        assert state.records.count(arms=("shadow",)) > 50


def test_the_managed_model_ranks_as_well_as_the_claim(life):
    _, told = life
    frozen, managed = ({m["name"]: m["value"] for m in told.body["total"][who]} for who in ("frozen", "managed"))
    assert frozen["auc"] > 0.95
    assert managed["auc"] > 0.95


def test_the_server_is_gone_at_the_end(life):
    root, _ = life
    assert not (root / ".roadworthy" / "server.json").exists()


def test_what_was_lived_can_be_asked_about_and_added_to(call, lived):
    assert call("rollout", "status", "--project", lived).code in {0, 1, 3}
    assert call("label", "visit-99999", "1", "--project", lived).code == 1
    with existing_state(read_project(lived)) as state:
        last = state.records.read(arms=("stable", "canary"))[-1]
    assert call("label", last.id, "1", "--project", lived).code == 0


def test_a_project_that_is_not_there_is_refused(call, tmp_path):
    assert call("run", tmp_path / "nowhere").code == 2
