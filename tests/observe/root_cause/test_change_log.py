"""What changed, read from the events and the aliases of a real state directory, and written by the notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Application, Columns, Data, Field, Log, ModelSpec, Rollout, Signature, Spec, Stage
from roadworthy.observe.alerts import Alert, keep
from roadworthy.observe.root_cause import change_log as log
from roadworthy.observe.root_cause.change_log import Change, changes, ranked
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.events import write_event
from roadworthy.store.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def made(state: State, tmp_path: Path, text: str) -> str:
    file = tmp_path / "model.txt"
    file.write_text(text)
    signature = Signature({"x": Field()}, {"y": Field()})
    return Registry(state).add(Release("toy", (Artifact("model", "", 0),), signature), {"model": file}).digest


def test_deploys_and_rollout_steps_are_there_without_anybody_noting_them(state, tmp_path):
    registry = Registry(state)
    first, second = made(state, tmp_path, "1"), made(state, tmp_path, "2")
    registry.point("toy", "stable", first, 100.0, "ann", "the first")
    controller = Controller(state, registry)
    controller.start("toy", second, Rollout(stages=(Stage("canary", 0.25, 1.0),)), 200.0, "ann")
    controller.promote("toy", 300.0, "ann", "looks good")
    found = changes(state, "toy", 0.0, 1000.0)
    assert [c.kind for c in found] == ["deploy", "rollout", "deploy", "rollout"]
    assert "now canary 25%" in found[1].text
    assert {c.release for c in found[1:]} == {second}
    assert changes(state, "toy", 150.0, 250.0) == found[1:2]
    assert changes(state, "other", 0.0, 1000.0) == []


def test_what_the_server_and_its_jobs_note_is_told_in_words(state):
    engine = state.engine
    log.note_start(engine, 1.0, "toy", host="127.0.0.1", port=8080)
    log.note_load(engine, 2.0, "toy", "ab" * 32, 1.25)
    log.note_unload(engine, 3.0, "toy", "ab" * 32, "nobody asked")
    log.note_retrain(engine, 4.0, "toy", "cd" * 32, "due")
    log.note_labels(engine, 5.0, "toy", 1200)
    log.note_host(engine, 6.0, "toy", "the disk is full")
    log.note_stop(engine, 7.0, "toy")
    assert [c.text for c in changes(state, "toy", 0.0, 10.0)] == [
        "server started: host 127.0.0.1, port 8080",
        "abababababab was loaded in 1.2 s, its cache empty",
        "abababababab was let go nobody asked",
        "cdcdcdcdcdcd was trained: due",
        "1,200 labels were joined",
        "the disk is full",
        "server stopped",
    ]


def spec(keep_days: float) -> Spec:
    return Spec(
        Application("toy", "binary", {"x": Field()}), Data(Columns("y"), "a", "b"), ModelSpec("m"),
        log=Log(keep_days=keep_days),
    )  # fmt: skip


def test_settings_are_noted_when_they_differ_and_name_what_does(state):
    assert log.note_settings(state.engine, 1.0, "toy", spec(30.0)) is not None
    assert log.note_settings(state.engine, 2.0, "toy", spec(30.0)) is None
    assert log.note_settings(state.engine, 3.0, "toy", spec(90.0)) is not None
    found = changes(state, "toy", 0.0, 10.0)
    assert [(c.at, c.text) for c in found] == [(3.0, "settings: log.keep_days from 30.0 to 90.0")]


def test_alarms_are_changes_and_what_was_not_delivered_is_none(state):
    alert = Alert("toy", "psi", "raised", 50.0, "age drifted", 0.0, 50.0, 50.0, 50.0)
    keep(state.engine, [alert])
    write_event(state.engine, 51.0, "alert_undelivered", "toy/psi", {"error": "refused"})
    write_event(state.engine, 52.0, "alert", "other/psi", {"detector": "psi"})
    assert [c.text for c in changes(state, "toy", 0.0, 100.0)] == ["psi raised: age drifted"]


def test_an_event_of_a_kind_that_nobody_knows_is_told_as_it_is(state):
    write_event(state.engine, 1.0, "key_rotated", "toy", {"by": "ann", "verdict": Verdict("pass", "x")})
    assert [c.text for c in changes(state, "toy", 0.0, 100.0)] == ["key rotated: by ann"]


def test_the_nearest_change_comes_first_and_one_about_the_slice_before_all():
    near, far, after = Change(990.0, "labels", "near"), Change(0.0, "labels", "far"), Change(1500.0, "labels", "after")
    about = Change(900.0, "rollout", "about", "ab" * 32)
    order = ranked([far, after, near, about], 1000.0, 600.0, ["ab" * 6])
    assert [r.change.text for r in order] == ["about", "near", "after", "far"]
    assert [r.matches for r in order] == [True, False, False, False]
    assert order[1].seconds == -10.0
