"""Model cards: claims read from, and measurements written to, Hugging Face's `model-index` front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from roadworthy.core.artifact import Release
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Claim, Measurement

# What people call a metric, without case, spaces and punctuation, and what it is called here.
_NAMES = {
    "auc": "auc",
    "auroc": "auc",
    "rocauc": "auc",
    "rocaucscore": "auc",
    "areaundertheroccurve": "auc",
    "acc": "accuracy",
    "accuracy": "accuracy",
    "f1": "f1",
    "f1score": "f1",
    "precision": "precision",
    "recall": "recall",
    "ece": "ece",
    "expectedcalibrationerror": "ece",
    "logloss": "log_loss",
    "crossentropy": "log_loss",
    "crossentropyloss": "log_loss",
    "brier": "brier",
    "brierscore": "brier",
}
_SHARES = {"auc", "accuracy", "f1", "precision", "recall", "ece"}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_VALUE = re.compile(rf"\s*({_NUMBER})\s*(%?)\s*(?:(?:±|\+/?-|\\pm)\s*({_NUMBER})\s*(%?))?\s*")

# The titles of metrics in a card that we write; the type stays what Hugging Face calls it.
_TYPES = {"auc": "roc_auc", "ece": "expected_calibration_error"}


def read_claims(card: Path) -> list[Claim]:
    """The metrics in a card's `model-index`. Shares come out in [0, 1], be they written 0.91, 91 % or 91.0.

    Raises SpecError, naming the file and the place in it, where something is missing or is no number.
    """
    index = _front_matter(card).get("model-index")
    if not isinstance(index, list) or not index:
        raise SpecError(f"`{card}` has no `model-index` in its front matter: add one with `results` and `metrics`")
    claims = [claim for place, model in _items(index, "model-index") for claim in _claims(card, place, model)]
    if not claims:
        raise SpecError(f"`{card}` has a `model-index` without metrics: add `results[].metrics[]` with `type`, `value`")
    return claims


def read_value(text: Any, share: bool) -> tuple[float, float]:
    """A value and its tolerance: half the width of what was stated with it, 0 where nothing was.

    >>> read_value("89.4 +- 0.5", share=True)
    (0.894, 0.005)
    >>> read_value("91 %", share=False)
    (0.91, 0.0)
    """
    match = _VALUE.fullmatch(str(text))
    if match is None or isinstance(text, bool):
        raise ValueError(f"{text!r} is no number; allowed are 0.91, 91 % and 89.4 +- 0.5")
    value, tolerance = float(match[1]), abs(float(match[3] or 0.0))
    if match[4] and not match[2] and value <= 1:
        raise ValueError(f"{text!r} mixes a share and per cent; write both in per cent, or neither")
    percent = bool(match[2] or match[4]) or (share and 1 < value <= 100)
    if share and not 0 <= value <= (100 if percent else 1):
        raise ValueError(f"{text!r} is no share: it must lie between 0 and 1, or 0 % and 100 %")
    # Rounded, so that 89.4 % is 0.894 and not 0.8940000000000001.
    return (round(value / 100, 12), round(tolerance / 100, 12)) if percent else (value, tolerance)


def metric_name(given: str) -> str:
    """What we call a metric: `ROC AUC` is `auc`; a name that we do not know is kept, with underscores.

    >>> metric_name("ROC AUC"), metric_name("Word error rate")
    ('auc', 'word_error_rate')
    """
    return _NAMES.get(re.sub(r"[^a-z0-9]", "", given.lower()), re.sub(r"[^a-z0-9]+", "_", given.lower()).strip("_"))


def write_card(
    path: Path,
    name: str,
    measured: Sequence[Measurement],
    *,
    data: str,
    task: str = "tabular-classification",
    split: str = "",
    meaning: str = "",
    licence: str = "",
    release: Release | None = None,
) -> None:
    """Write a model card from measured facts only; what was not measured (n=0) is left out."""
    facts = [m for m in measured if m.n and m.value == m.value]
    if not facts:
        raise SpecError(f"a card of {name!r} needs at least one measured value, got {list(measured)!r}")
    result = {
        "task": {"type": task},
        "dataset": {"type": re.sub(r"[^a-z0-9]+", "-", data.lower()).strip("-"), "name": data}
        | ({"split": split} if split else {}),
        "metrics": [_metric(m) for m in facts],
    }
    front = {"license": licence} if licence else {}
    matter = yaml.safe_dump(
        {**front, "model-index": [{"name": name, "results": [result]}]}, sort_keys=False, allow_unicode=True
    )
    path.write_text(f"---\n{matter}---\n\n{_body(name, facts, meaning, release)}", encoding="utf-8")


def _front_matter(card: Path) -> Mapping[str, Any]:
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as gone:
        raise SpecError(f"cannot read the model card `{card}`: {gone}") from gone
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if match is None:
        raise SpecError(f"`{card}` has no front matter: it must begin with a line `---`, YAML, and a line `---`")
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError as wrong:
        # On one line; the first line of the file is the `---` that YAML does not see.
        mark = getattr(wrong, "problem_mark", None)
        where = f"line {mark.line + 2}: " if mark else ""
        why = getattr(wrong, "problem", None) or wrong
        raise SpecError(f"`{card}`: the front matter is not YAML: {where}{why}") from wrong
    if not isinstance(found, dict):
        raise SpecError(f"`{card}`: the front matter must be `key: value` lines, got {found!r}")
    return found


def _claims(card: Path, place: str, model: Any) -> Iterator[Claim]:
    """The claims of one model of the index."""
    name = str(_need(card, place, model, "name"))
    for at, result in _items(_need(card, place, model, "results"), f"{place}.results"):
        data = result.get("dataset") if isinstance(result, dict) else None
        for where, metric in _items(_need(card, at, result, "metrics"), f"{at}.metrics"):
            yield _claim(card, where, metric, _data(data), f"{card.name}: {name}")


def _claim(card: Path, place: str, metric: Any, data: str, source: str) -> Claim:
    kind = metric_name(str(_need(card, place, metric, "type")))
    try:
        value, tolerance = read_value(_need(card, place, metric, "value"), kind in _SHARES)
    except ValueError as wrong:
        raise SpecError(f"`{card}`: `{place}.value` ({kind}): {wrong}") from wrong
    if tolerance == 0 and {"low", "high"} <= metric.keys():
        tolerance = (float(metric["high"]) - float(metric["low"])) / 2
    return Claim(kind, value, tolerance, str(metric.get("where", "")), source, data)


def _need(card: Path, place: str, found: Any, key: str) -> Any:
    if not isinstance(found, dict) or found.get(key) is None:
        has = ", ".join(map(str, found)) if isinstance(found, dict) else repr(found)
        raise SpecError(f"`{card}`: `{place}` has no `{key}` (it has: {has or 'nothing'})")
    return found[key]


def _items(found: Any, place: str) -> list[tuple[str, Any]]:
    """The entries of a list, each with its place in the file; a single entry counts as a list of one."""
    return [(f"{place}[{k}]", item) for k, item in enumerate(found if isinstance(found, list) else [found])]


def _data(dataset: Any) -> str:
    if not isinstance(dataset, dict):
        return ""
    named = str(dataset.get("name") or dataset.get("type") or "")
    return f"{named} ({dataset['split']})" if dataset.get("split") else named


def _metric(measured: Measurement) -> dict[str, Any]:
    """One metric as `model-index` has it; the interval, n and slice are keys that other readers pass over."""
    entry = {"type": _TYPES.get(measured.name, measured.name), "name": _title(measured), "value": measured.value}
    bounds = {"low": measured.low, "high": measured.high} if _bounded(measured) else {}
    where = {"where": measured.where} if measured.where else {}
    return {**entry, **bounds, "n": measured.n, **where}


def _title(measured: Measurement) -> str:
    return f"{measured.name} on {measured.where}" if measured.where else measured.name


def _bounded(measured: Measurement) -> bool:
    return abs(measured.low) != float("inf") and abs(measured.high) != float("inf")


def _body(name: str, facts: Sequence[Measurement], meaning: str, release: Release | None) -> str:
    lines = [f"# {name}", ""] + ([meaning, ""] if meaning else [])
    lines += ["| metric | value | interval | rows |", "|---|---|---|---|"]
    for m in facts:
        interval = f"{m.low:.4g} to {m.high:.4g}" if _bounded(m) else "not known"
        unit = "" if m.unit == "1" else f" {m.unit}"
        lines.append(f"| {_title(m)} | {m.value:.4g}{unit} | {interval} | {m.n:,} |")
    if release is not None:
        lines += ["", f"Release `{release.digest}`, made by {release.made_by or 'hand'}."]
        lines += [f"- artifact `{a.name}`: `{a.digest}` ({a.bytes:,} bytes)" for a in release.artifacts]
        lines += [f"- data `{what}`: {which}" for what, which in release.data.items()]
    return "\n".join(lines) + "\n"
