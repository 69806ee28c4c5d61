"""The screen shows what came in the last minutes, once each, and what is wrong."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from roadworthy.cli.watching import Watch, drawn, sparkline
from roadworthy.core.record import Record
from roadworthy.observe.alerts import Alert, keep
from roadworthy.store.state import State

NOW = 1_000_000 * 60.0 + 30


def row(k, at, total=0.01, arm="stable", release="a" * 64, error=None):
    return Record(f"r{k}", at, release, arm, {"x": 1.0}, {}, seconds={"total": total, "model": total / 2}, error=error)


def text(frame):
    screen = Console(file=io.StringIO(), width=100)
    screen.print(drawn(frame))
    return screen.file.getvalue()


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def test_percentiles_by_arm_and_stage_of_the_last_minutes_only(state):
    state.records.write([row(k, NOW - 10, 0.01) for k in range(99)] + [row(100, NOW - 10, 0.5)])
    state.records.write([row(k, NOW - 1200, 9.0) for k in range(200, 250)])
    state.records.write([row(k, NOW - 10, 0.2, "canary", "b" * 64) for k in range(300, 310)])
    frame = Watch(state, "clinic", NOW).look(NOW)
    canary, stable = frame.arms
    assert (canary.arm, canary.requests, stable.arm, stable.requests) == ("canary", 10, "stable", 100)
    p50, _, _, top = stable.stages["total"]
    assert (p50.value, top.value) == (pytest.approx(0.01, rel=0.01), pytest.approx(0.5, rel=0.01))
    assert list(stable.stages) == ["total", "model"]


def test_what_comes_between_two_looks_is_counted_once(state):
    state.records.write([row(k, NOW - 5) for k in range(10)])
    watch = Watch(state, "clinic", NOW)
    state.records.write([row(k, NOW - 4) for k in range(10, 15)])
    assert watch.look(NOW).arms[0].requests == 15
    assert watch.look(NOW + 1).arms[0].requests == 15


def test_minutes_that_are_over_are_forgotten(state):
    state.records.write([row(k, NOW - 5) for k in range(10)])
    watch = Watch(state, "clinic", NOW)
    assert sum(watch.look(NOW).requests) == 10
    assert watch.look(NOW + 7200).requests == (0,) * 60
    assert not watch.look(NOW + 7200).arms


def test_failures_have_a_share_and_shadows_are_no_traffic(state):
    state.records.write([row(k, NOW - 5, error="Late: no" if k < 2 else None) for k in range(20)])
    state.records.write([row(k, NOW - 5, arm="shadow") for k in range(100, 120)])
    frame = Watch(state, "clinic", NOW).look(NOW)
    stable = next(arm for arm in frame.arms if arm.arm == "stable")
    assert (stable.failed.value, stable.failed.n) == (0.1, 20)
    assert frame.requests[-1] == 20
    assert "10.00%" in text(frame)


def test_open_alerts_are_on_the_screen_until_they_are_resolved(state):
    raised = Alert("clinic", "errors", "raised", NOW, "5 % of requests fail", 0.0, NOW, NOW, NOW)
    keep(state.engine, [raised])
    watch = Watch(state, "clinic", NOW)
    assert "5 % of requests fail" in text(watch.look(NOW))
    keep(state.engine, [msgspec.structs.replace(raised, status="resolved", at=NOW + 5)])
    assert "no alert is open" in text(watch.look(NOW + 6))


def test_an_empty_log_is_drawn_too_and_goes_to_json(state):
    frame = Watch(state, "clinic", NOW).look(NOW)
    assert "no request in the last 5 minutes" in text(frame)
    assert "no answer in the last hour" in text(frame)
    assert msgspec.json.decode(msgspec.json.encode(frame))["p99"] == [None] * 60


def test_a_percentile_that_few_rows_do_not_bound_is_marked(state):
    state.records.write([row(k, NOW - 5) for k in range(20)])
    shown = text(Watch(state, "clinic", NOW).look(NOW))
    (line,) = [line for line in shown.splitlines() if " total " in line]
    assert [word.endswith("?") for word in line.split()[-4:]] == [False, True, True, True]


def test_equal_values_are_equally_high():
    assert sparkline([3, 3, 3]) == "███"
    assert sparkline([None, 0]) == " ▁"
