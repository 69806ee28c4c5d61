from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from msgspec.structs import replace

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature

RELEASE = Release(
    "flights",
    (Artifact("model", "a" * 64, 1000, engine="onnx"),),
    Signature({"x": Field(unit="m"), "carrier": Field("category")}, {"probability": Field()}),
    preprocessing=({"clip": {"low": 0}},),
    data={"train": "b" * 64, "calibration": "c" * 64},
    measured=(Measurement("auc", 0.75, 100, 0.7, 0.8),),
    made_at=5.0,
)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"artifacts": (Artifact("model", "d" * 64, 1000, engine="onnx"),)},
        {"artifacts": (Artifact("model", "a" * 64, 1000, engine="sklearn"),)},
        {"signature": Signature({"carrier": Field("category"), "x": Field(unit="m")}, {"probability": Field(low=0.0)})},
        {"preprocessing": ()},
        {"wrappers": ("calibrated",)},
        {"data": {"train": "b" * 64}},
        {"serving": {"most_rows": 1}},
        {"parent": "e" * 64},
        {"made_at": 6.0},
    ],
)
def test_another_release_has_another_digest(changed):
    assert replace(RELEASE, **changed).digest != RELEASE.digest


def test_the_order_of_the_data_does_not_matter():
    turned = replace(RELEASE, data={"calibration": "c" * 64, "train": "b" * 64})
    assert turned.digest == RELEASE.digest


def test_the_digest_survives_storing_and_reading():
    again = msgspec.json.decode(msgspec.json.encode(RELEASE), type=Release)
    assert again.digest == RELEASE.digest
    assert len(again.digest) == 64


def test_a_measurement_of_nothing_does_not_change_the_digest_on_the_way():
    release = replace(RELEASE, measured=(Measurement("ece", float("nan"), 0),))
    assert msgspec.json.decode(msgspec.json.encode(release), type=Release).digest == release.digest


def test_the_digest_is_the_same_in_another_process():
    code = (
        "from roadworthy.core.artifact import *; from roadworthy.core.spec import Field\n"
        "print(Release('a', (Artifact('m', 'd', 1),), Signature({'x': Field()}, {}), data={'b': '1', 'a': '2'}).digest)"
    )
    found = {
        subprocess.check_output([sys.executable, "-c", code], text=True, env={"PYTHONHASHSEED": seed}) for seed in "12"
    }
    assert len(found) == 1
