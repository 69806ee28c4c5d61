"""Each format is read as its authors write it, and says what it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.claims.eval_results import EvalResults
from roadworthy.evaluate.claims.model_index import ModelIndex
from roadworthy.evaluate.claims.papers_with_code import PapersWithCode
from roadworthy.evaluate.reproduction.claim_files import read_claims

FILES = Path(__file__).parent / "files"


def test_the_claims_of_a_model_card_are_read() -> None:
    data, source = "banking77/en@5503434ddd", "https://leaderboard"
    about = {"source": source, "data": data, "split": "test", "model": "banks"}
    arc = {"source": "card.md", "data": "ARC/ARC-Challenge", "prompt": "25-shot", "model": "banks"}
    assert read_claims(FILES / "card.md") == (
        Claim("accuracy", 0.91, n=3080, **about),
        Claim("accuracy", 0.91, **about),
        Claim("macro_f1", 0.894, 0.005, definition="macro", **about),
        Claim("f1", 0.894, 0.005, definition="weighted", **about),
        Claim("top_5", 0.9725, definition="top-5", **about),
        Claim("accuracy", 0.691, definition="length-normalised", **arc),
        Claim("wer", 12.5, **arc),
    )


def test_a_repository_is_read_with_its_result_files() -> None:
    assert read_claims(FILES / "repo") == (
        Claim("accuracy", 0.412, source="gpqa.yaml", data="Idavidrein/gpqa/gpqa_diamond@5503434"),
        Claim("accuracy", 0.209, source="https://traces", data="cais/hle", prompt="no-tools"),
    )


def test_the_metric_of_a_result_file_can_be_said() -> None:
    found = EvalResults(metric="exact_match")(FILES / "repo" / ".eval_results" / "gpqa.yaml")
    assert found is not None
    assert {claim.metric for claim in found} == {"exact_match"}


def test_evaluation_tables_are_read_with_subtasks_and_subdatasets() -> None:
    found = read_claims(FILES / "tables.json")
    assert [(c.model, c.data, c.metric, c.value, c.source) for c in found] == [
        ("net", "ImageNet", "accuracy", 0.842, "https://a"),
        ("other", "ImageNet", "accuracy", 0.8, "https://b"),
        ("net", "ImageNet/v2", "accuracy", 0.715, "Nets"),
        ("net", "Cars", "accuracy", 0.931, "https://cars"),
    ]


def test_of_a_table_one_model_on_one_data_set_can_be_taken() -> None:
    found = PapersWithCode(model="net", dataset="Cars")(FILES / "tables.json")
    assert found is not None
    assert [claim.value for claim in found] == [0.931]


def test_our_own_file_says_all_that_a_claim_can() -> None:
    auc, match, slice_ = read_claims(FILES / "claims.yaml")
    assert auc == Claim("auc", 0.9265, 0.005, source="notebook", data="adult", split="test", n=16281)
    assert (match.metric, match.extractor, match.value) == ("exact_match", "strict-match", 0.202)
    assert (match.tolerance, match.data, match.prompt) == (pytest.approx(0.0196), "gsm8k/main@e53f048", "8-shot")
    assert (slice_.split, slice_.where, slice_.tolerance) == ("test", "segment=a", pytest.approx(0.01))
    assert slice_.data == "sha256:" + "a" * 64


def test_our_own_file_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    file.write_text(json.dumps({"claims": [{"metric": "acc", "value": "91 %"}]}))
    assert read_claims(file) == (Claim("accuracy", 0.91, source="claims.json"),)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.md", "# A card\n", r"holds no claims of a known format \(eval_results: "),
        ("a.md", "---\nmodel-index:\n- name: x\n", "the front matter has no end"),
        ("a.md", "---\nmodel-index: [\n---\n", "is not YAML: line 2"),
        ("a.md", "---\nmodel-index: []\n---\n", "has a `model-index` without metrics"),
        ("a.md", "---\nmodel-index: [{name: m}]\n---\n", r"`model-index\[0\]` has no `results` \(it has: name\)"),
        ("a.md", "---\nmodel-index: [{name: m, results: [7]}]\n---\n", r"results\[0\]` has no `metrics` \(it has: 7\)"),
        (
            "a.md",
            "---\nmodel-index: [{name: m, results: [{metrics: [{type: auc, value: high}]}]}]\n---\n",
            r"`model-index\[0\].results\[0\].metrics\[0\].value` \(auc\): 'high' is no number; allowed are",
        ),
        ("a.yaml", "claims: []\n", "`claims` is empty"),
        ("a.yaml", "claims: [{metric: auc}]\n", r"`claims\[0\]` has no `value` \(it has: metric\)"),
        ("a.yaml", "claims: [{metric: auc, value: 1, splitt: x}]\n", "unknown key 'splitt'; did you mean 'split'"),
        ("a.yaml", "claims: [{metric: auc, value: 0.9, n: many}]\n", "`claims.*n` must be a number, got 'many'"),
        ("a.yaml", "- dataset: {task_id: x}\n  value: 1\n", "`dataset` has no `id`|has no `id`"),
        ("a.json", '[{"task": "t", "datasets": [{"dataset": "d", "sota": {"rows": [{}]}}]}]', "has no `metrics`"),
        ("a.json", '[{"task": "t", "datasets": [{"dataset": "d", "sota": ', "is not JSON"),
    ],
)
def test_what_is_missing_is_named_with_file_and_place(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData, match=says) as refused:
        read_claims(tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"---\nmodel-index: \xff\xfe\n---\n")
    with pytest.raises(BadData, match="cannot read the claims"):
        read_claims(tmp_path / "README.md")


def test_a_folder_without_claims_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"has no claims: it needs a README\.md"):
        read_claims(tmp_path)


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    text = (FILES / "card.md").read_text(encoding="utf-8")
    (tmp_path / "card.md").write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    assert ModelIndex()(tmp_path / "card.md") == ModelIndex()(FILES / "card.md")
