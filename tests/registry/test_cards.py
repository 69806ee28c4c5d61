"""Claims are read from model cards as people write them, and a card says what is wrong with it."""

from __future__ import annotations

import math

import pytest
import yaml

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.spec import Signature
from roadworthy.registry.cards import metric_name, read_claims, read_value, write_card

CARD = """---
license: cc0-1.0
tags: [tabular]
model-index:
  - name: flights-lab
    results:
      - task: {type: tabular-classification}
        dataset: {name: nycflights13, type: nycflights13, split: "Jan-Apr, random"}
        metrics:
          - {type: roc_auc, value: 0.783, name: AUC}
          - {type: accuracy, value: 91 %}
          - {type: f1, value: "89.4 ± 0.5"}
      - task: {type: tabular-classification}
        dataset: {type: other}
        metrics:
          - {type: wer, value: 12.5}
---

# Flights
"""


@pytest.fixture
def card(tmp_path):
    def write(text):
        path = tmp_path / "README.md"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_claims_of_a_card_are_read(card):
    source, data = "README.md: flights-lab", "nycflights13 (Jan-Apr, random)"
    assert read_claims(card(CARD)) == [
        Claim("auc", 0.783, 0.0, "", source, data),
        Claim("accuracy", 0.91, 0.0, "", source, data),
        Claim("f1", 0.894, 0.005, "", source, data),
        Claim("wer", 12.5, 0.0, "", source, "other"),
    ]


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(card):
    assert read_claims(card("\ufeff" + CARD.replace("\n", "\r\n"))) == read_claims(card(CARD))


@pytest.mark.parametrize(
    ("text", "share", "value", "tolerance"),
    [
        (0.91, True, 0.91, 0.0),
        ("0.91", True, 0.91, 0.0),
        ("91 %", True, 0.91, 0.0),
        ("91%", False, 0.91, 0.0),
        (91, True, 0.91, 0.0),
        (91, False, 91.0, 0.0),
        (1, True, 1.0, 0.0),
        ("89.4 +- 0.5", True, 0.894, 0.005),
        ("89.4±0.5", True, 0.894, 0.005),
        ("89.4 +/- 0.5 %", True, 0.894, 0.005),
        (r"0.894 \pm 0.005", True, 0.894, 0.005),
        ("89.4 % ± 0.5 %", False, 0.894, 0.005),
        (".783", True, 0.783, 0.0),
        ("1e-3", False, 0.001, 0.0),
        ("-2.5", False, -2.5, 0.0),
    ],
)
def test_a_value_is_read_as_it_was_meant(text, share, value, tolerance):
    assert read_value(text, share) == (value, tolerance)


@pytest.mark.parametrize("text", ["about 0.9", "", "0,91", True, "0.9 ± 1 %", [0.9], "0.9 0.8"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match=r"is no number|mixes a share and per cent"):
        read_value(text, share=True)


@pytest.mark.parametrize("text", [101, "150 %", -0.1])
def test_a_share_out_of_range_is_refused(text):
    with pytest.raises(ValueError, match="is no share"):
        read_value(text, share=True)


@pytest.mark.parametrize("name", ["AUC", "ROC AUC", "roc_auc", "auroc", "ROC-AUC"])
def test_one_metric_has_one_name(name):
    assert metric_name(name) == "auc"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# A card without front matter\n", "has no front matter: it must begin with a line `---`"),
        ("---\na: 1\n", "has no front matter"),
        ("---\na: [1\n---\n", "the front matter is not YAML: line 2: expected"),
        ("---\n- 1\n---\n", "the front matter must be `key: value` lines"),
        ("---\nlicense: mit\n---\n", "has no `model-index` in its front matter: add one"),
        ("---\nmodel-index: []\n---\n", "has no `model-index`"),
        ("---\nmodel-index: [{name: m}]\n---\n", r"`model-index\[0\]` has no `results` \(it has: name\)"),
        ("---\nmodel-index: [{results: []}]\n---\n", r"`model-index\[0\]` has no `name` \(it has: results\)"),
        ("---\nmodel-index: [{name: m, results: []}]\n---\n", "has a `model-index` without metrics"),
        (
            "---\nmodel-index: [{name: m, results: [{task: x}]}]\n---\n",
            r"results\[0\]` has no `metrics` \(it has: task\)",
        ),
        ("---\nmodel-index: [{name: m, results: [7]}]\n---\n", r"results\[0\]` has no `metrics` \(it has: 7\)"),
        (
            "---\nmodel-index: [{name: m, results: [{metrics: [{type: auc}]}]}]\n---\n",
            r"`model-index\[0\].results\[0\].metrics\[0\]` has no `value` \(it has: type\)",
        ),
        (
            "---\nmodel-index: [{name: m, results: [{metrics: [{value: 0.9}]}]}]\n---\n",
            r"metrics\[0\]` has no `type` \(it has: value\)",
        ),
        (
            "---\nmodel-index: [{name: m, results: [{metrics: [{type: auc, value: high}]}]}]\n---\n",
            r"`model-index\[0\].results\[0\].metrics\[0\].value` \(auc\): 'high' is no number; allowed are",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_file(card, text, says):
    with pytest.raises(SpecError, match=rf"`.*README\.md`.*{says}"):
        read_claims(card(text))


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"cannot read the model card `.*gone\.md`"):
        read_claims(tmp_path / "gone.md")


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
    assert {c.data for c in claims} == {"NYC flights 2013 (Jan-Apr)"}


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
