"""Claim values reads what people write as a metric's name and value: `acc_norm`, `91 %`, `89.4 ± 0.5`."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from roadworthy.core.measure import Claim

# What people call a metric, without case, spaces and punctuation, and what it is called here.
NAMES = {
    **dict.fromkeys(("acc", "accuracy", "accuracyscore", "categoricalaccuracy", "classificationaccuracy"), "accuracy"),
    **dict.fromkeys(("balancedaccuracy", "balancedacc", "balancedaccuracyscore", "uar"), "balanced_accuracy"),
    **dict.fromkeys(("auc", "auroc", "rocauc", "rocaucscore", "aucroc", "areaundertheroccurve"), "auc"),
    **dict.fromkeys(("averageprecision", "auprc", "aucpr", "prauc", "averageprecisionscore"), "average_precision"),
    **dict.fromkeys(("f1", "f1score", "fscore", "fmeasure"), "f1"),
    **dict.fromkeys(("precision", "precisionscore"), "precision"),
    **dict.fromkeys(("recall", "recallscore", "sensitivity"), "recall"),
    **dict.fromkeys(("exactmatch", "em", "exactmatchscore"), "exact_match"),
    **dict.fromkeys(("ece", "expectedcalibrationerror"), "ece"),
    **dict.fromkeys(("logloss", "crossentropy", "crossentropyloss", "nll"), "log_loss"),
    **dict.fromkeys(("brier", "brierscore"), "brier"),
    **dict.fromkeys(("mcc", "matthewscorrelation", "matthewscorrelationcoefficient"), "mcc"),
    **dict.fromkeys(("mae", "meanabsoluteerror"), "mae"),
    **dict.fromkeys(("mse", "meansquarederror"), "mse"),
    **dict.fromkeys(("rmse", "rootmeansquarederror"), "rmse"),
    **dict.fromkeys(("r2", "r2score", "rsquared"), "r2"),
}
_SHARES = {*NAMES.values(), "macro_f1", "token_f1", "flexible_match"} - {
    "log_loss",
    "brier",
    "mcc",
    "mae",
    "mse",
    "rmse",
    "r2",
}
_VARIANTS = {
    **{word: word for word in ("macro", "micro", "weighted", "samples", "binary", "ovr", "ovo")},
    **dict.fromkeys(("norm", "normalized", "normalised", "length"), "normalised"),
    **dict.fromkeys(("bytes", "byte"), "byte-normalised"),
}
_SPLITS = {"test": "test", "val": "validation", "validation": "validation", "dev": "validation", "train": "train"}
_EMPTY = {"eval", "overall", "avg", "averaged", "average", "score", "metric"}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STATED = re.compile(
    rf"\s*({_NUMBER})\s*(%?)\s*(?:(?:±|\+/?-|\\pm)\s*({_NUMBER})\s*(%?)|\(\s*({_NUMBER})\s*(%?)\s*\)\s*(%?))?\s*"
)


class MetricName(NamedTuple):
    """A metric as we call it, and what its written name says beside: the variant, the split, the extractor."""

    metric: str
    definition: str = ""
    split: str = ""
    extractor: str = ""


def read_metric(given: str) -> MetricName:
    """What a written metric is here; a name that nobody knows is kept, with underscores.

    >>> read_metric("ROC AUC").metric, read_metric("Word error rate").metric
    ('auc', 'word_error_rate')
    >>> read_metric("acc_norm")[:2], read_metric("Macro F1")[:2], read_metric("test_top5_acc")[:3]
    (('accuracy', 'length-normalised'), ('macro_f1', 'macro'), ('top_5', 'top-5', 'test'))
    >>> read_metric("exact_match,strict-match")
    MetricName(metric='exact_match', definition='', split='', extractor='strict-match')
    """
    name, _, extractor = (part.strip() for part in given.partition(","))
    extractor = "" if extractor == "none" else extractor
    # "Top-5", "top 5" and "accuracy@5" are one word each.
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?:top[-_ ]?|@)(\d+)", r" top\1 ", name.lower()))
    if "".join(words) in NAMES:
        return MetricName(NAMES["".join(words)], extractor=extractor)
    split = next((_SPLITS[word] for word in words if word in _SPLITS), "")
    bare = [word for word in words if not _says_more(word)]
    metric = NAMES.get("".join(bare), "")
    if not metric:
        return MetricName(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"), extractor=extractor)
    definition = _definition(metric, words)
    return MetricName(_own_name(metric, definition), definition, split, extractor)


def _own_name(metric: str, definition: str) -> str:
    """Some variants are metrics of their own here."""
    if metric == "accuracy" and definition.startswith("top-"):
        return definition.replace("-", "_")
    return "macro_f1" if (metric, definition) == ("f1", "macro") else metric


def family(metric: str) -> str:
    """What a metric is a variant of: `accuracy` of `top_5`, `f1` of `macro_f1`, itself of all else."""
    return "accuracy" if re.fullmatch(r"top_\d+", metric) else metric.removeprefix("macro_")


def is_share(metric: str) -> bool:
    """Whether a metric lies between 0 and 1."""
    return family(metric) in _SHARES


def _says_more(word: str) -> bool:
    return word in _VARIANTS or word in _SPLITS or word in _EMPTY or bool(re.fullmatch(r"top\d+", word))


def _definition(metric: str, words: list[str]) -> str:
    found = dict.fromkeys(_VARIANTS[word] for word in words if word in _VARIANTS)
    parts = ["length-normalised" if part == "normalised" and metric == "accuracy" else part for part in found]
    # Top 1 is what everybody means who does not say it.
    best = [f"top-{word[3:]}" for word in words if re.fullmatch(r"top\d+", word) and word != "top1"]
    return ", ".join([*parts, *best])


def read_value(text: Any, share: bool) -> tuple[float, float]:
    """A value and its tolerance: half the width of what was stated with it, 0 where nothing was.

    A share comes out in [0, 1], be it written 0.91, 91 % or 91.0. A whole number in brackets counts the last digits,
    as physicists write it. Raises ValueError saying what is allowed.

    >>> read_value("89.4 +- 0.5", share=True), read_value("0.894 (0.005)", share=True)
    ((0.894, 0.005), (0.894, 0.005))
    >>> read_value("91 %", share=False), read_value("0.894(5)", share=True)
    ((0.91, 0.0), (0.894, 0.005))
    """
    match = _STATED.fullmatch(str(text))
    if match is None or isinstance(text, bool) or not math.isfinite(float(match[1])):
        raise ValueError(f"{text!r} is no number; allowed are 0.91, 91 %, 89.4 +- 0.5 and 0.894 (0.005)")
    value, tolerance = float(match[1]), abs(float(match[3] or 0.0)) or _bracketed(match[1], match[5])
    behind = match[4] or match[6] or match[7] or ""
    if behind and not match[2] and value <= 1:
        raise ValueError(f"{text!r} mixes a share and per cent; write both in per cent, or neither")
    percent = bool(match[2] or behind) or (share and 1 < value <= 100)
    if share and not 0 <= value <= (100 if percent else 1):
        raise ValueError(f"{text!r} is no share: it must lie between 0 and 1, or 0 % and 100 %")
    # Rounded, so that 89.4 % is 0.894 and not 0.8940000000000001.
    return (round(value / 100, 12), round(tolerance / 100, 12)) if percent else (value, tolerance)


def _bracketed(value: str, width: str | None) -> float:
    """The tolerance in brackets: `(0.005)` as it stands, `(5)` in units of the value's last digit."""
    if not width:
        return 0.0
    decimals = len(value.partition(".")[2]) if value.partition(".")[2].isdigit() else 0
    return abs(float(width)) * (10.0**-decimals if width.isdigit() else 1.0)


def unsaid(claim: Claim) -> tuple[str, ...]:
    """What a claim leaves open that its number depends on, in words.

    >>> unsaid(Claim("auc", 0.9, data="adult", split="test"))
    ('how many rows', 'any tolerance')
    """
    said = {
        "on which data": claim.data,
        "on which split": claim.split,
        "how many rows": claim.n,
        "any tolerance": claim.tolerance,
    }
    averaged = claim.metric in ("f1", "precision", "recall") and not claim.definition
    return (*(what for what, known in said.items() if not known), *(["how it is averaged"] if averaged else []))
