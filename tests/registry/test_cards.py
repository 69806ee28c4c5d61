"""A card says what was measured, as Hugging Face wants it, and is read back as claims."""

from __future__ import annotations

import math

import pytest
import yaml

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Signature
from roadworthy.evaluate.reproduction.claim_files import read_claims
from roadworthy.registry.cards import write_card

MEASURED = [
    Measurement("auc", 0.7831, 24000, 0.777, 0.789),
    Measurement("ece", 0.012, 24000, 0.008, 0.016, where="carrier=UA"),
    Measurement("log_loss", 0.46, 24000, unit="nats"),
    Measurement("nothing", math.nan, 0),
]


def test_what_was_measured_comes_back_as_claims_with_its_interval(tmp_path):
    path = tmp_path / "README.md"
    write_card(path, "flights-lab", MEASURED, data="NYC flights 2013", split="Jan-Apr")
    claims = read_claims(path)
    assert [(c.metric, c.value, round(c.tolerance, 6), c.where) for c in claims] == [
        ("auc", 0.7831, 0.006, ""),
        ("ece", 0.012, 0.004, "carrier=UA"),
        ("log_loss", 0.46, 0.0, ""),
    ]
    assert {(c.data, c.split) for c in claims} == {("NYC flights 2013", "Jan-Apr")}


def test_a_written_card_has_what_hugging_face_asks_for(tmp_path):
    path = tmp_path / "README.md"
    release = Release("flights", (Artifact("model", "a" * 64, 7),), Signature({}, {}), data={"train": "d" * 64})
    write_card(path, "flights", MEASURED, data="NYC flights", meaning="Late?", licence="cc0-1.0", release=release)
    _, front, body = path.read_text().split("---\n", 2)
    found = yaml.safe_load(front)
    result = found["model-index"][0]["results"][0]
    assert found["license"] == "cc0-1.0"
    assert result["task"]["type"] == "tabular-classification"
    assert result["dataset"] == {"type": "nyc-flights", "name": "NYC flights"}
    assert [m["type"] for m in result["metrics"]] == ["roc_auc", "expected_calibration_error", "log_loss"]
    assert all(isinstance(m["value"], float) for m in result["metrics"])
    assert "| auc | 0.7831 | 0.777 to 0.789 | 24,000 |" in body
    assert "| log_loss | 0.46 nats | not known | 24,000 |" in body
    assert release.digest in body
    assert "Late?" in body


def test_a_card_of_nothing_measured_is_refused(tmp_path):
    with pytest.raises(SpecError, match="needs at least one measured value"):
        write_card(tmp_path / "README.md", "flights", MEASURED[3:], data="x")
    assert not (tmp_path / "README.md").exists()
