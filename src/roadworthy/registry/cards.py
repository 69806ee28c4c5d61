"""Model cards: measurements written to Hugging Face's `model-index` front matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from roadworthy.core.artifact import Release
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement

# The titles of metrics in a card that we write; the type stays what Hugging Face calls it.
_TYPES = {"auc": "roc_auc", "ece": "expected_calibration_error"}


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
