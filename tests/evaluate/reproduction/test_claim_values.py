"""A metric's name and value are read as they were meant."""

from __future__ import annotations

import pytest

from roadworthy.core.measure import Claim
from roadworthy.evaluate.reproduction.claim_values import read_metric, read_value, unsaid


@pytest.mark.parametrize(
    ("text", "share", "value", "tolerance"),
    [
        (0.91, True, 0.91, 0.0),
        ("91 %", True, 0.91, 0.0),
        ("91%", False, 0.91, 0.0),
        (91, True, 0.91, 0.0),
        (91, False, 91.0, 0.0),
        (1, True, 1.0, 0.0),
        ("0.5 %", True, 0.005, 0.0),
        ("89.4 ± 0.5", True, 0.894, 0.005),
        ("89.4 +- 0.5", True, 0.894, 0.005),
        ("89.4 +/- 0.5 %", True, 0.894, 0.005),
        (r"0.894 \pm 0.005", True, 0.894, 0.005),
        ("89.4 % ± 0.5 %", False, 0.894, 0.005),
        ("0.894 (0.005)", True, 0.894, 0.005),
        ("89.4 (0.5)", True, 0.894, 0.005),
        ("0.894(5)", True, 0.894, 0.005),
        ("89.4 (0.5) %", True, 0.894, 0.005),
        (".783", True, 0.783, 0.0),
        ("1e-3", False, 0.001, 0.0),
        ("-2.5", False, -2.5, 0.0),
    ],
)
def test_a_value_is_read_as_it_was_meant(text: object, share: bool, value: float, tolerance: float) -> None:
    assert read_value(text, share) == (value, pytest.approx(tolerance))


@pytest.mark.parametrize("text", ["about 0.9", "", "0,91", True, "0.9 ± 1 %", [0.9], "0.9 0.8", "nan", "1e999", None])
def test_what_is_no_number_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"is no number|mixes a share and per cent"):
        read_value(text, share=True)


@pytest.mark.parametrize("text", [101, "150 %", -0.1])
def test_a_share_out_of_range_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no share"):
        read_value(text, share=True)


@pytest.mark.parametrize(
    ("given", "metric", "definition"),
    [
        *[(name, "auc", "") for name in ("AUC", "ROC AUC", "roc_auc", "auroc", "ROC-AUC", "eval_roc_auc")],
        *[(name, "accuracy", "") for name in ("acc", "Accuracy", "Top 1 Accuracy", "eval_accuracy", "acc,none")],
        *[(name, "macro_f1", "macro") for name in ("F1 (macro)", "macro-F1", "f1_macro", "Macro avg F1-score")],
        ("micro f1", "f1", "micro"),
        ("weighted precision", "precision", "weighted"),
        ("acc_norm", "accuracy", "length-normalised"),
        ("Top-5 accuracy", "top_5", "top-5"),
        ("accuracy@3", "top_3", "top-3"),
        ("Exact Match", "exact_match", ""),
        ("Average Precision", "average_precision", ""),
        ("balanced accuracy", "balanced_accuracy", ""),
        ("pass@1", "pass_1", ""),
    ],
)
def test_one_metric_has_one_name_and_its_variant_is_kept(given: str, metric: str, definition: str) -> None:
    assert read_metric(given)[:2] == (metric, definition)


def test_split_and_extractor_in_a_name_are_kept() -> None:
    assert read_metric("val_acc").split == "validation"
    assert read_metric("exact_match,flexible-extract").extractor == "flexible-extract"


def test_a_claim_says_what_it_leaves_open() -> None:
    assert unsaid(Claim("f1", 0.9)) == (
        "on which data",
        "on which split",
        "how many rows",
        "any tolerance",
        "how it is averaged",
    )
    assert unsaid(Claim("f1", 0.9, 0.01, data="d", split="test", n=5, definition="macro")) == ()
