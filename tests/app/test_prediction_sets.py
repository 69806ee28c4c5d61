"""Prediction sets and intervals reach whoever asks, by every protocol, and the record."""

from __future__ import annotations

import json
import urllib.request

import pytest

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.releases import Registry

NAMES = ("on time", "late")
LAC = {"lac": {"threshold": 0.8, "classes": NAMES, "output": "probability"}}
ABSOLUTE = {"absolute": {"threshold": 0.5, "output": "probability"}}
SEGMENTS = {"mondrian_segment": {"leaf": ABSOLUTE, "by": "x", "thresholds": {"7": 0.25, "": 0.5}}}
ADAPTIVE = {
    "adaptive": {
        "leaf": {"lac": {"classes": NAMES, "output": "probability"}},
        "scores": tuple(k / 20 for k in range(1, 20)),
    }
}


@pytest.fixture
def released(state, tmp_path):
    def point(*wrappers: object) -> None:
        file = tmp_path / "model.txt"
        file.write_text("0.25")
        signature = Signature({"x": Field()}, {"probability": Field()})
        release = Release("toy", (Artifact("model", "", 0, engine="toy.py:Toy"),), signature, wrappers=tuple(wrappers))
        Registry(state).point(
            "toy", "stable", Registry(state).add(release, {"model": file}).digest, 1.0, "test", "first"
        )

    return point


def post(url: str, body: object) -> dict:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        found: dict = json.loads(answer.read())
        return found


def test_sets_and_intervals_reach_every_protocol_the_client_and_the_record(start, state, released, predict_all):
    released(ABSOLUTE, LAC)
    _, address = start()
    (answer,) = predict_all(address, "r1")
    assert answer.prediction_set == [["on time", "late"]]
    assert (answer.outputs["low"].data, answer.outputs["high"].data) == ([-0.25], [0.75])
    x = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    v2 = post(f"{address.url}/v2/models/toy/infer", {"id": "r2", "inputs": [x]})
    assert v2["parameters"]["prediction_set"] == [["on time", "late"]] * 2
    assert {output["name"]: output["data"] for output in v2["outputs"]} == {
        "probability": [0.25, 0.25], "low": [-0.25, -0.25], "high": [0.75, 0.75],
    }  # fmt: skip
    plain = post(f"{address.url}/predict", {"id": "r3", "rows": [{"x": 1}]})
    (row,) = plain["rows"]
    assert (row["prediction_set"], row["low"], row["high"]) == (["on time", "late"], -0.25, 0.75)
    for id in ("r1", "r2.0", "r3"):
        (record,) = state.records.get(id)
        assert (record.prediction_set, record.outputs["low"], record.outputs["high"]) == (NAMES, -0.25, 0.75)


def test_the_alpha_in_force_and_an_unseen_segment_are_in_the_path_of_the_record(start, state, released):
    released(SEGMENTS, ADAPTIVE)
    _, address = start()
    body = {"id": "r", "rows": [{"x": 7}, {"x": 8}]}
    found = post(f"{address.url}/predict", body)
    assert [(row["prediction_set"], row["high"]) for row in found["rows"]] == [
        (["on time", "late"], 0.5),
        (["on time", "late"], 0.75),
    ]
    (seen,), (unseen,) = state.records.get("r.0"), state.records.get("r.1")
    assert [step.because for step in seen.path] == ["alpha 0.1000, 0 labels"]
    assert [step.at for step in unseen.path] == ["adaptive", "mondrian_segment"]


def test_an_endless_interval_is_null_in_json_and_infinite_in_the_record(start, state, released):
    released({"absolute": {"output": "probability"}})
    _, address = start()
    (row,) = post(f"{address.url}/predict", {"id": "r", "rows": [{"x": 7}]})["rows"]
    assert (row["low"], row["high"]) == (None, None)
    (record,) = state.records.get("r")
    assert (record.outputs["low"], record.outputs["high"]) == (float("-inf"), float("inf"))
