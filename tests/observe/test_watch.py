from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.spec import Monitor
from roadworthy.core.window import Window
from roadworthy.observe.alerts import DAY, history
from roadworthy.observe.detectors.calibration import Calibration
from roadworthy.observe.detectors.psi import Psi
from roadworthy.observe.watch import detectors_of, look, sweep, watch
from roadworthy.store.state import State

DETECTORS = {"psi": Psi(), "calibration": Calibration(least_rows=100)}


def records(days: float, shift=0.0, since=0.0, off=0.0, arm="stable", release="r1", delay=DAY, seed=0) -> list[Record]:
    """200 rows a day; labels become known `delay` seconds later."""
    rng = np.random.default_rng(seed)
    made = []
    for at in np.arange(since, since + days, 1 / 200) * DAY:
        p = rng.uniform(0.2, 0.6)
        label = float(rng.random() < p - off)
        values = {"x": rng.normal() + shift}
        made.append(
            Record(f"{at:.3f}", float(at), release, arm, values, {"probability": p}, label=label, label_at=at + delay)
        )
    return made


@pytest.fixture(scope="module")
def reference() -> Window:
    return Window.of(records(10, seed=9))


def decisions(looks) -> dict[str, str]:
    return {each.detector: each.verdict.decision for each in looks}


def test_a_look_takes_the_rows_of_its_window_only(reference):
    rows = records(7) + records(7, shift=3.0, since=7)
    assert decisions(look(DETECTORS, reference, rows, 0, 7 * DAY)) == {"psi": "pass", "calibration": "pass"}
    assert decisions(look(DETECTORS, reference, rows, 7 * DAY, 14 * DAY))["psi"] == "fail"
    assert look(DETECTORS, reference, rows, 0, 7 * DAY)[0].n == 1400


def test_a_look_knows_no_label_before_its_time(reference):
    late = records(7, off=0.2, delay=30 * DAY)
    assert decisions(look(DETECTORS, reference, late, 0, 7 * DAY))["calibration"] == "wait"
    assert decisions(look(DETECTORS, reference, records(7, off=0.2), 0, 7 * DAY))["calibration"] == "fail"


def test_a_window_without_rows_waits(reference):
    assert set(decisions(look(DETECTORS, reference, [], 0, 7 * DAY)).values()) == {"wait"}


def test_a_sweep_looks_as_often_as_the_monitor_says(reference):
    looks = list(sweep({"psi": Psi()}, reference, records(21), Monitor(every_days=7, window_days=7), start=0.0))
    assert [(each.since / DAY, each.until / DAY) for each in looks[:3]] == [(0, 7), (7, 14), (14, 21)]
    assert list(sweep({"psi": Psi()}, reference, [], Monitor(), start=0.0)) == []


def test_an_alarm_is_raised_goes_on_and_ends(reference, tmp_path):
    heard = []
    with State.open(tmp_path / "state", "process") as state:
        state.records.write(records(14, shift=2.0) + records(7, since=14))
        given = [
            watch(state, "flights", {"psi": Psi()}, reference, day * DAY, release="r1", sinks=[heard.append])
            for day in (7, 14, 21)
        ]
        assert [[a.status for a in alerts] for alerts in given] == [["raised"], ["again"], ["resolved"]]
        assert [a.status for a in heard] == ["raised", "resolved"]
        assert [a for alerts in given for a in alerts] == history(state.engine, "flights")
    assert (heard[0].since, heard[0].until, heard[0].release) == (0.0, 7 * DAY, "r1")


def test_shadows_and_other_releases_are_not_watched(reference, tmp_path):
    with State.open(tmp_path / "state", "process") as state:
        state.records.write(records(7) + records(7, shift=3.0, arm="shadow") + records(7, 3.0, 0.001, release="r2"))
        assert watch(state, "flights", {"psi": Psi()}, reference, 7 * DAY, release="r1") == []
        assert [a.detector for a in watch(state, "flights", {"psi": Psi()}, reference, 7 * DAY)] == ["psi"]


def test_detectors_are_made_from_their_plans():
    made = detectors_of(("psi", {"calibration": {"at_most": 0.1}}))
    assert made == {"psi": Psi(), "calibration": Calibration(at_most=0.1)}


def test_a_detector_of_the_project_can_be_used(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Mine:\n    alpha: float = 0.01\n"
    )
    assert detectors_of(["mine.py:Mine"], tmp_path)["mine.py:Mine"].alpha == 0.01


def test_a_detector_listed_twice_is_refused():
    with pytest.raises(SpecError, match="'psi' is listed twice"):
        detectors_of(["psi", "psi:alpha=0.05"])
