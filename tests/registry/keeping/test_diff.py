"""The difference of two releases names every field, and says when the answers are the same."""

from __future__ import annotations

import io

import msgspec
from msgspec.structs import replace
from rich.console import Console

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.keeping.diff import Change, Diff, answer_alike, diff, diff_text

OLD = Release(
    "clinic",
    (Artifact("model", "a" * 64, 10, engine="onnx", made_by="train.py"),),
    Signature({"radius": Field("number", unit="mm"), "texture": Field()}, {"probability": Field()}),
    wrappers=("isotonic",),
    data={"train": "d" * 64},
    versions={"numpy": "2.0"},
    measured=(Measurement("auc", 0.8, 100, 0.75, 0.85), Measurement("f1", 0.5, 100)),
)


def changes(new):
    return {change.field: (change.old, change.new) for change in diff(OLD, new).changes}


def shown(found):
    console = Console(file=io.StringIO(), width=160)
    console.print(diff_text(found))
    return console.file.getvalue()


def test_a_release_is_itself():
    found = diff(OLD, OLD)
    assert (found.changes, found.alike) == ((), True)
    assert "one and the same release" in shown(found)


def test_every_field_that_differs_is_named():
    artifact = Artifact("model", "b" * 64, 12, engine="torch", made_by="train.py")
    signature = Signature({"radius": Field("number", unit="cm"), "age": Field("integer")}, {"probability": Field()})
    new = replace(
        OLD,
        artifacts=(artifact, Artifact("code", "c" * 64, 1)),
        signature=signature,
        wrappers=("isotonic", "conformal"),
        data={"train": "e" * 64, "calibration": "f" * 64},
        training={"seed": 1},
        versions={"numpy": "2.1"},
        code="git:1234",
    )
    told = changes(new)
    assert told["artifacts.model.digest"] == ("a" * 64, "b" * 64)
    assert told["artifacts.model.bytes"] == (10, 12)
    assert told["artifacts.model.engine"] == ("onnx", "torch")
    assert told["artifacts.code"] == (None, {"digest": "c" * 64, "bytes": 1})
    assert told["signature.inputs.radius.unit"] == ("mm", "cm")
    assert told["signature.inputs.texture"][1] is None
    assert told["signature.inputs.age"] == (None, {"kind": "integer"})
    assert told["wrappers"] == (["isotonic"], ["isotonic", "conformal"])
    assert told["data.train"] == ("d" * 64, "e" * 64)
    assert told["data.calibration"] == (None, "f" * 64)
    assert told["training.seed"] == (None, 1)
    assert told["versions.numpy"] == ("2.0", "2.1")
    assert told["code"] == (None, "git:1234")
    assert not any("order" in field for field in told)
    assert not diff(OLD, new).alike


def test_who_when_and_how_it_was_made_change_no_answer():
    told = replace(OLD.artifacts[0], made_by="retrain", parent="9" * 64)
    new = replace(OLD, artifacts=(told,), made_at=5.0, made_by="ben", note="again", data={"train": "e" * 64})
    assert answer_alike(OLD, new)
    assert set(changes(new)) == {
        "artifacts.model.made_by",
        "artifacts.model.parent",
        "data.train",
        "made_at",
        "made_by",
        "note",
    }
    assert "they answer alike; only made_at differs" in shown(diff(OLD, replace(OLD, made_at=9.0)))


def test_another_order_of_the_inputs_decides_answers():
    turned = dict(reversed(OLD.signature.inputs.items()))
    found = diff(OLD, replace(OLD, signature=Signature(turned, OLD.signature.outputs)))
    assert found.changes == (Change("signature.order of inputs", ["radius", "texture"], ["texture", "radius"]),)
    assert not found.alike


def test_another_plan_or_serving_decides_answers():
    for new in (replace(OLD, wrappers=()), replace(OLD, preprocessing=("impute",)), replace(OLD, serving={"x": 1})):
        assert not answer_alike(OLD, new)


def test_what_was_measured_stands_side_by_side():
    measured = (
        Measurement("auc", 0.9, 100, 0.86, 0.94),
        Measurement("auc", 0.9, 100, 0.86, 0.94, where="ward=a"),
        Measurement("f1", 0.6, 100),
    )
    new = replace(OLD, measured=measured, calibration=(Measurement("ece", 0.1, 50, 0.05, 0.15),))
    found = diff(OLD, new)
    told = {(c.metric, c.where): (c.old is not None, c.new is not None, c.overlap) for c in found.measured}
    assert told == {
        ("auc", ""): (True, True, False),
        ("auc", "ward=a"): (False, True, None),
        ("f1", ""): (True, True, None),
        ("ece", ""): (False, True, None),
    }
    assert (found.changes, found.alike) == ((), True)
    text = shown(found)
    assert "they answer alike; only what was measured differs" in text
    assert "0.8 [0.75, 0.85] (n=100)" in text
    assert "auc on ward=a" in text
    assert diff(OLD, replace(new, measured=(Measurement("auc", 0.84, 9, 0.85, 0.9),))).measured[0].overlap


def test_a_diff_goes_to_json_and_back():
    found = diff(OLD, replace(OLD, measured=(), wrappers=()))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Diff) == found
    assert "1 fields that decide answers differ" in shown(found)
