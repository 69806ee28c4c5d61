from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from roadworthy.core.spec import (
    Application,
    Columns,
    Data,
    Field,
    ModelSpec,
    Monitor,
    Requirement,
    Rollout,
    Spec,
    Stage,
)

SPEC = Spec(
    Application("flights", "binary", {"x": Field(), "carrier": Field("category")}, output="late"),
    Data(Columns("late"), "lab.parquet", "production.parquet"),
    ModelSpec("model.onnx"),
    root=Path("/projects/flights"),
)


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [("number", "FP32"), ("integer", "INT64"), ("category", "BYTES"), ("text", "BYTES"), ("boolean", "BOOL")],
)
def test_each_kind_of_field_has_a_datatype_on_the_wire(kind, datatype):
    assert Field(kind).datatype == datatype


def test_the_signature_is_the_inputs_in_order_and_the_output():
    assert list(SPEC.signature.inputs) == ["x", "carrier"]
    assert list(SPEC.signature.outputs) == ["late"]


def test_paths_are_relative_to_the_project():
    assert SPEC.path("data/lab.parquet") == Path("/projects/flights/data/lab.parquet")
    assert SPEC.state == Path("/projects/flights/.roadworthy")


@pytest.mark.parametrize(
    ("mode", "share", "told"),
    [
        ("canary", 0.0, "above 0 and at most 1, got 0.0"),
        ("canary", 1.5, "above 0 and at most 1, got 1.5"),
        ("shadow", -0.1, "`share` of a shadow must be above 0"),
        ("holdback", 0.6, "at most 0.5; got 0.6"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(mode, share, told):
    with pytest.raises(ValueError, match=told):
        Stage(mode, share)


def test_the_rollout_that_nobody_wrote_goes_from_shadow_to_half():
    assert [(stage.mode, stage.share) for stage in Rollout().stages] == [
        ("shadow", 1),
        ("canary", 0.1),
        ("canary", 0.5),
    ]


@pytest.mark.parametrize(
    ("found", "kind", "told"),
    [
        ({"every_day": 3}, Monitor, "every_day"),
        ({"kind": "numeric"}, Field, "numeric"),
        ({"mode": "canary", "share": 2}, Stage, "at most 1, got 2"),
        ({"metric": "auc"}, Requirement, "needs `at_least` or `at_most`"),
        ({"name": "a", "task": "ranking", "inputs": {}}, Application, "ranking"),
    ],
)
def test_what_the_project_file_may_not_say_is_refused(found, kind, told):
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(found, kind)


def test_the_defaults_name_leaves_that_exist():
    from roadworthy.observe.base import detector

    assert set(Monitor().detectors) <= set(detector)
