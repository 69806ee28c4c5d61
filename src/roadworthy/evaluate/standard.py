"""What a model is measured by, and spoilt by, unless somebody names others; the first metric is the headline."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from roadworthy.core.spec import Application, Field, Kind, Task
from roadworthy.evaluate.base import Corruption, Metric, corruption
from roadworthy.evaluate.images.imagenet_c import STANDARD
from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.answer_length import AnswerLength
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.base_rate import BaseRate
from roadworthy.evaluate.metrics.bias import Bias
from roadworthy.evaluate.metrics.ece import Ece
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.metrics.flexible_match import FlexibleMatch
from roadworthy.evaluate.metrics.log_loss import LogLoss
from roadworthy.evaluate.metrics.macro_f1 import MacroF1
from roadworthy.evaluate.metrics.mae import Mae
from roadworthy.evaluate.metrics.r2 import R2
from roadworthy.evaluate.metrics.rmse import Rmse
from roadworthy.evaluate.metrics.token_f1 import TokenF1
from roadworthy.evaluate.metrics.top_k import TopK

# What befalls a column of each kind in production, as plans, the commonest first.
SPOILT_BY: dict[Kind, tuple[str, ...]] = {
    "number": ("missing", "duplicated", "sentinel", "unit", "noise", "sign_flip", "rounded"),
    "integer": ("missing", "duplicated", "sentinel", "unit", "sign_flip"),
    "category": ("missing", "duplicated", "respelt:form=padded", "respelt:form=upper", "unseen"),
    "boolean": ("missing", "duplicated"),
    "text": (
        *("typo", "mixed_language", "incomplete", "paste", "unicode:form=full_width", "unicode:form=zero_width"),
        *("unicode:form=homoglyph", "ocr", "spacing", "letter_case", "punctuation", "mojibake", "number_locale"),
    ),
}

MEASURED_BY: dict[Task, Callable[[int], tuple[Metric, ...]]] = {
    "binary": lambda classes: (Auc(), LogLoss(), Ece(), Accuracy(), BaseRate()),
    "multiclass": lambda classes: (Accuracy(), MacroF1(), LogLoss(), *([TopK(5)] if classes > 5 else []), Ece()),
    "regression": lambda classes: (Mae(), Rmse(), R2(), Bias()),
    "generation": lambda classes: (ExactMatch(), FlexibleMatch(), TokenF1(), AnswerLength()),
}


def standard_metrics(application: Application) -> tuple[Metric, ...]:
    """What the application's task is measured by; the top five are asked about where there are more classes."""
    return MEASURED_BY[application.task](len(application.classes))


def standard_corruptions(inputs: Mapping[str, Field]) -> tuple[Corruption, ...]:
    """What befalls inputs of these kinds in production; images suffer the 19 kinds of ImageNet-C."""
    kinds = {field.kind for field in inputs.values()}
    plans = dict.fromkeys(plan for kind, plans in SPOILT_BY.items() if kind in kinds for plan in plans)
    return (*(corruption.make(plan) for plan in plans), *(STANDARD if "image" in kinds else ()))
