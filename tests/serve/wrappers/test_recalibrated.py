from __future__ import annotations

import asyncio
import json

import msgspec
import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.dials import Dial, Dialled, Follower
from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.recorded import rows_of
from roadworthy.serve.wrappers.calibrated import Calibrated
from roadworthy.serve.wrappers.recalibrated import Recalibrated

START = {"calibrated": {"slope": 0.5}}


async def inner(request: Request) -> Response:
    outputs = {"probability": Tensor("probability", "FP32", (2,), [0.2, 0.9])}
    return Response(request.id, outputs, path=(Step("inner", "asked"),))


def ask(handler) -> Response:
    return asyncio.run(handler(Request("r", {"x": Tensor("x", "FP32", (2, 1), [1.0, 2.0])}, 0.0)))


def records(days=150, true=None, a_day=60, first=0):
    rng = np.random.default_rng(first)
    rows = []
    for k in range(days * a_day):
        p = float(rng.uniform(0.05, 0.95))
        label = float(rng.random() < (true or Calibrated()).calibrate(p))
        at = (first + k / a_day) * 86_400.0
        rows.append(Record(f"r{k}", at, "", "stable", {}, {"uncalibrated": p}, label=label, label_at=at + 3600))
    return rows


def test_it_answers_by_what_the_release_began_with_until_it_is_turned():
    handler = Recalibrated(START)(inner)
    assert isinstance(handler, Dialled)
    got = ask(handler)
    np.testing.assert_allclose(got.outputs["probability"].data, Calibrated(0.5).calibrate([0.2, 0.9]), rtol=1e-6)
    assert got.outputs["uncalibrated"].data == pytest.approx([0.2, 0.9])
    assert got.confidence == pytest.approx([1 - got.outputs["probability"].data[0], got.outputs["probability"].data[1]])
    assert got.path == (Step("inner", "asked"), Step("recalibrated", "slope 0.5, intercept 0; as released"))
    handler.turn(Dial("calibration", 1e9, {"slope": 2.0, "intercept": -1.0}, 1204, "shown to be better"))
    turned = ask(handler)
    np.testing.assert_allclose(
        turned.outputs["probability"].data, Calibrated(2.0, -1.0).calibrate([0.2, 0.9]), rtol=1e-6
    )
    assert turned.path[-1].because == "slope 2, intercept -1; 1,204 labels, 2001-09-09T01:46:40Z"


def test_its_answers_leave_records_that_it_can_follow():
    handler = Recalibrated(START)(inner)
    request = Request("r", {"x": Tensor("x", "FP32", (2, 1), [1.0, 2.0])}, 0.0)
    rows = rows_of(request, asyncio.run(handler(request)))
    assert [row.outputs["uncalibrated"] for row in rows] == pytest.approx([0.2, 0.9])
    labelled = [msgspec.structs.replace(row, label=1.0, label_at=5.0) for row in rows]
    dial = Recalibrated(START).follow(labelled, None, 7.0, 3)
    assert (dial.name, dial.at, dial.n, dial.position) == ("calibration", 7.0, 2, 3)
    assert (dial.value["slope"], dial.value["rows"]) == (0.5, 2.0)


def test_the_dial_turns_once_labels_show_that_it_is_better():
    settings = Recalibrated()
    assert isinstance(settings, Follower)
    rows, dial = records(true=Calibrated(0.5, -1.5)), None
    for part in range(0, len(rows), 900):
        dial = settings.follow(rows[part : part + 900], dial, float(part))
        dial = msgspec.json.decode(msgspec.json.encode(dial), type=Dial)
    assert dial.n == len(rows)
    assert dial.value["intercept"] == pytest.approx(-1.5, abs=0.3)
    handler = settings(inner)
    handler.turn(dial)
    assert ask(handler).outputs["probability"].data[0] < 0.15
    once = settings.follow(rows, None, 0.0)
    assert once.value["intercept"] == pytest.approx(dial.value["intercept"])


def test_rows_that_say_nothing_turn_nothing():
    settings, row = Recalibrated(START), records(1)[0]
    useless = [
        msgspec.structs.replace(row, label=None),
        msgspec.structs.replace(row, error="TimeoutError"),
        msgspec.structs.replace(row, outputs={"probability": 0.3}),
        msgspec.structs.replace(row, outputs={"uncalibrated": float("nan")}),
        msgspec.structs.replace(row, label=2.0),
    ]
    assert settings.follow(useless, None, 0.0) is None
    assert settings.follow([*useless, row], None, 0.0).n == 1


def test_classes_are_followed_too():
    settings = Recalibrated({"temperature": {"output": "scores"}}, least_rows=10)
    row = Record("r", 0.0, "", "stable", {}, {"uncalibrated": [1.0, 2.0, 0.5]}, label=2.0, label_at=0.0)
    dial = settings.follow([row] * 20, None, 0.0)
    assert (dial.n, dial.value["temperature"]) == (20, 1.0)
    assert settings.follow([msgspec.structs.replace(row, label=3.0)], None, 0.0) is None


def test_a_dial_of_another_calibration_is_refused_and_what_is_in_force_stays():
    handler = Recalibrated()(inner)
    before = ask(handler)
    with pytest.raises(SpecError, match="dial 'calibration' has no value 'slope' for 'calibrated' \\(it has: alpha\\)"):
        handler.turn(Dial("calibration", 0.0, {"alpha": 0.1}, 5, ""))
    assert ask(handler) == before
    with pytest.raises(SpecError, match="dial 'calibration' has no value 'slope'"):
        Recalibrated().follow(records(1), Dial("calibration", 0.0, {"alpha": 0.1}, 5, ""), 0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": 0.0}, "`alpha` must be between 0 and 1, got 0.0"),
        ({"half_life": 0.0}, "`half_life` must be above 0"),
        ({"start": "isotonic"}, "`start`: 'isotonic' cannot be fitted again"),
        ({"start": "calibratd"}, "`start`: no wrapper named 'calibratd'"),
        ({"guard": "none"}, "Invalid enum value 'none'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(SpecError, match=said):
        wrapper.make({"recalibrated": settings})


def test_a_plan_makes_it_again():
    made = Recalibrated(START, guard="each", half_life=2000.0)
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    assert repr(made(inner)).startswith("Recalibrated(start={'calibrated'")
