"""A card says what was measured, as Hugging Face wants it, and is read back as claims."""

from __future__ import annotations

import math

import pytest
import yaml
from huggingface_hub import ModelCard
from msgspec.structs import replace

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.spec import Application, Field, Signature
from roadworthy.evaluate.reproduction.claim_files import read_claims
from roadworthy.registry.exchange.card_body import CardFacts, Course
from roadworthy.registry.exchange.cards import check_card, model_card, pipeline_tag, write_card, write_model_card

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


INPUTS = {
    "hour": Field(unit="h", low=0, high=23, meaning="hour of departure | local"),
    "origin": Field("category", values=("EWR", "JFK"), nullable=True),
}
APPLICATION = Application(
    "flights",
    "binary",
    INPUTS,
    owner="desk@example.org",
    meaning="Will it be late?",
    requirements=(
        Requirement("auc", at_least=0.7),
        Requirement("ece", at_most=0.05),
        Requirement("p99_ms", at_most=50, unit="ms"),
        Requirement("auc", at_least=0.79, where="origin=LGA"),
    ),
)
RELEASE = Release(
    "flights",
    (Artifact("model", "a" * 64, 1234, engine="onnx"),),
    Signature(INPUTS, {"probability": Field()}),
    data={"train": "d" * 64},
    training={"depth": 6},
    versions={"scikit-learn": "1.9.1"},
    parent="p" * 64,
    made_by="ada",
    made_at=1_700_000_000.0,
    code="git:c0ffee",
    wrappers=("calibrated:slope=0.9",),
    measured=(
        Measurement("auc", 0.78, 24000, 0.77, 0.79),
        Measurement("auc", 0.64, 900, 0.60, 0.68, where="origin=LGA"),
        Measurement("accuracy", 0.8, 24000, 0.79, 0.81, conditions={"confidence": 0.99}),
    ),
    calibration=(Measurement("ece", 0.01, 24000, 0.008, 0.016),),
)
FACTS = CardFacts(
    RELEASE,
    APPLICATION,
    data="NYC flights 2013",
    split="Jan-Apr",
    licence="cc0-1.0",
    rollouts=(Course(1_700_000_000.0, "canary 25 %", "rolled back", "errors | 3 % against 1 %", 1_700_086_400.0),),
)
SECTIONS = (
    "Intended use",
    "What it takes and gives",
    "Measured",
    "By slice",
    "Calibration",
    "Requirements",
    "Known limits",
    "Training",
    "Lineage",
    "Rollouts",
    "How to load it",
)


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def test_hugging_face_reads_every_metric_of_a_card_with_its_slices():
    card = ModelCard(model_card(FACTS))
    assert [(one.metric_type, one.metric_value, one.metric_name) for one in card.data.eval_results] == [
        ("roc_auc", 0.78, "auc"),
        ("roc_auc", 0.64, "auc on origin=LGA"),
        ("accuracy", 0.8, "accuracy"),
        ("expected_calibration_error", 0.01, "ece"),
    ]
    assert {one.dataset_split for one in card.data.eval_results} == {"Jan-Apr"}
    assert card.data.model_name == "flights"
    told = (card.data.license, card.data.library_name, card.data.pipeline_tag, card.data.tags)
    assert told == ("cc0-1.0", "onnx", "tabular-classification", ["roadworthy", "binary"])


def test_a_card_of_a_release_comes_back_as_claims(tmp_path):
    path = tmp_path / "README.md"
    assert write_model_card(path, FACTS)
    found = [(claim.metric, claim.value, claim.where, claim.n) for claim in read_claims(path)]
    assert ("auc", 0.64, "origin=LGA", 900) in found
    assert len(found) == 4


def test_each_section_says_what_is_known():
    card = model_card(FACTS)
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert "- answers for it: desk@example.org" in section(card, "Intended use")
    assert r"| hour | number | h | from 0 to 23 | no | hour of departure \| local |" in card
    assert "| origin | category |  | EWR, JFK | yes |  |" in card
    assert "| auc | 0.78 | 0.77 to 0.79 | 24,000 |" in section(card, "Measured")
    assert "| accuracy | 0.8 | 0.79 to 0.81 (0.99) | 24,000 |" in section(card, "Measured")
    assert "| auc on origin=LGA | 0.64 | 0.6 to 0.68 | 900 |" in section(card, "By slice")
    assert "| ece | 0.01 | 0.008 to 0.016 | 24,000 |" in section(card, "Calibration")
    assert "- setting `depth`: 6" in section(card, "Training")
    assert "- package `scikit-learn`: 1.9.1" in section(card, "Training")
    lineage = section(card, "Lineage")
    for fact in (RELEASE.digest, "p" * 64, "git:c0ffee", "ada", "a" * 64, "calibrated:slope=0.9", "2023-11-14"):
        assert fact in lineage
    assert r"| canary 25 % | rolled back | errors \| 3 % against 1 % |" in section(card, "Rollouts")


def test_requirements_are_judged_and_weak_slices_named():
    card = model_card(FACTS)
    asked = section(card, "Requirements").splitlines()
    assert [line.split("**")[1] if "**" in line else line[-12:] for line in asked] == [
        "pass",
        "pass",
        "not measured",
        "fail",
    ]
    limits = section(card, "Known limits")
    assert "weak on origin=LGA: auc on origin=LGA 0.64 [0.6, 0.68] (n=900) breaks auc at least 0.7" in limits
    assert "Not measured, and so not known to hold: p99_ms at most 50 ms." in limits


def test_what_was_not_measured_is_said_and_nothing_is_invented():
    bare = CardFacts(Release("bare", (), Signature({}, {})), Application("bare", "regression", {}))
    text = model_card(bare)
    assert check_card(text)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front == {"pipeline_tag": "tabular-regression", "tags": ["roadworthy", "regression"]}
    told = {
        "Intended use": "nobody is named",
        "Measured": "Nothing was measured.",
        "By slice": "No slice was measured apart.",
        "Calibration": "Not measured",
        "Training": "Not recorded.",
        "Lineage": "- code: not recorded",
        "Rollouts": "none that is recorded",
    }
    assert [title for title, words in told.items() if words not in section(text, title)] == []


def test_a_newer_measurement_goes_before_the_one_in_the_release():
    newer = Measurement("auc", 0.7, 100, 0.6, 0.8)
    card = model_card(replace(FACTS, measured=(newer, Measurement("never"))))
    assert "| auc | 0.7 | 0.6 to 0.8 | 100 |" in card
    assert "0.77 to 0.79" not in card
    assert "never" not in card


@pytest.mark.parametrize(
    ("task", "kinds", "tag"),
    [
        ("binary", ("text",), "text-classification"),
        ("multiclass", ("image",), "image-classification"),
        ("multiclass", ("text", "number"), "tabular-classification"),
        ("regression", ("number",), "tabular-regression"),
        ("generation", ("text",), "text-generation"),
    ],
)
def test_a_task_is_called_as_hugging_face_calls_it(task, kinds, tag):
    fields = {kind: Field(kind, shape=(2, 2) if kind == "image" else ()) for kind in kinds}
    assert pipeline_tag(Application("a", task, fields)) == tag


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# no front", "no front matter"),
        ("---\na: [\n---\n", "not readable as YAML"),
        ("---\n- a\n---\n", "not a mapping"),
        ("---\nmodel-index: [{name: a}]\n---\n", "README"),
        ("---\nmodel-index: [{name: a, results: [{task: {type: t}, dataset: {type: d, name: d}}]}]\n---\n", "README"),
    ],
)
def test_a_broken_card_says_what_is_wrong(text, said):
    with pytest.raises(BadData, match=said):
        check_card(text, "README.md")


def test_a_card_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "README.md"
    path.mkdir()
    with pytest.raises(BadData, match="cannot write the card"):
        write_model_card(path, FACTS)
    assert list(tmp_path.iterdir()) == [path]
