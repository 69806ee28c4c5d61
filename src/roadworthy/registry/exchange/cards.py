"""Model cards: measurements written to Hugging Face's `model-index` front matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Application
from roadworthy.registry.exchange.card_body import CardFacts, body, bounded, rows_of, title

# The titles of metrics in a card that we write; the type stays what Hugging Face calls it.
_TYPES = {"auc": "roc_auc", "ece": "expected_calibration_error"}
_LIBRARIES = {"onnx": "onnx", "sklearn": "sklearn", "torch": "pytorch", "mlflow": "mlflow"}
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def model_card(facts: CardFacts) -> str:
    """The card of a release, from measured facts only; what was not measured is said not to be."""
    task = pipeline_tag(facts.application)
    front: dict[str, Any] = {
        **({"license": facts.licence} if facts.licence else {}),
        **_library(facts.release),
        "pipeline_tag": task,
        "tags": list(dict.fromkeys(("roadworthy", facts.application.task, *facts.tags))),
    }
    known = facts.known()
    if known:
        front["metrics"] = list(dict.fromkeys(_TYPES.get(m.name, m.name) for m in known))
        data = facts.data or "not named"
        front["model-index"] = [{"name": facts.release.name, "results": [_result(known, task, data, facts.split)]}]
    return _with_front(front, body(facts))


def write_model_card(path: Path, facts: CardFacts) -> bool:
    """Write the card of a release, whole or not at all; True where `huggingface_hub` was there to check it."""
    text = model_card(facts)
    checked = check_card(text, str(path))
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as refused:
        beside.unlink(missing_ok=True)
        raise BadData(f"cannot write the card {str(path)!r}: {refused}") from refused
    return checked


def check_card(text: str, name: str = "the card") -> bool:
    """Whether `huggingface_hub` is there and reads each metric of a card. Raises BadData saying what is wrong.

    What its `validate` asks of the Hub over the network is left out.
    """
    front = _front_of(text, name)
    try:
        from huggingface_hub import ModelCard
    except ImportError:
        return False
    try:
        read: list[Any] = ModelCard(text).data.get("eval_results") or []
    except (ValueError, TypeError, KeyError) as wrong:
        raise BadData(f"{name!r} is no model card that Hugging Face can read: {wrong}; write it anew") from wrong
    written = _metrics_in(front, name)
    if [(m["type"], m["value"]) for m in written] != [(one.metric_type, one.metric_value) for one in read]:
        raise BadData(f"{name!r}: Hugging Face reads {len(read)} of its {len(written)} metrics; write it anew")
    return True


def pipeline_tag(asked: Application) -> str:
    """What Hugging Face calls a task on such inputs."""
    if asked.task == "generation":
        return "text-generation"
    kinds = {one.kind for one in asked.inputs.values()}
    on = "image" if kinds == {"image"} else "text" if kinds == {"text"} else "tabular"
    return "tabular-regression" if asked.task == "regression" else f"{on}-classification"


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
    """Write a short card of a model that is no release yet; what was not measured (n=0) is left out."""
    facts = [m for m in measured if m.n and m.value == m.value]
    if not facts:
        raise SpecError(f"a card of {name!r} needs at least one measured value, got {list(measured)!r}")
    front = {"license": licence} if licence else {}
    index = [{"name": name, "results": [_result(facts, task, data, split)]}]
    path.write_text(_with_front({**front, "model-index": index}, _short(name, facts, meaning, release)), "utf-8")


def _with_front(front: dict[str, Any], text: str) -> str:
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{text}"


def _library(release: Release) -> dict[str, str]:
    """Named only where it is one that Hugging Face knows."""
    engine = next((one.engine for one in release.artifacts if one.name == "model" and one.engine), "")
    name = read_plan(engine)[0] if engine else ""
    return {"library_name": _LIBRARIES[name]} if name in _LIBRARIES else {}


def _result(facts: Sequence[Measurement], task: str, data: str, split: str) -> dict[str, Any]:
    kind = re.sub(r"[^a-z0-9]+", "-", data.lower()).strip("-")
    return {
        "task": {"type": task},
        "dataset": {"type": kind, "name": data} | ({"split": split} if split else {}),
        "metrics": [_metric(m) for m in facts],
    }


def _metric(measured: Measurement) -> dict[str, Any]:
    """One metric as `model-index` has it; the interval, n and slice are keys that other readers pass over."""
    entry = {"type": _TYPES.get(measured.name, measured.name), "name": title(measured), "value": measured.value}
    bounds = {"low": measured.low, "high": measured.high} if bounded(measured) else {}
    where = {"where": measured.where} if measured.where else {}
    return {**entry, **bounds, "n": measured.n, **where}


def _front_of(text: str, name: str) -> dict[str, Any]:
    found = _FRONT.match(text)
    if found is None:
        raise BadData(f"{name!r} has no front matter: a card begins with `---`, YAML and a line `---`")
    try:
        front = yaml.safe_load(found[1])
    except yaml.YAMLError as wrong:
        raise BadData(f"{name!r}: the front matter is not readable as YAML: {wrong}") from wrong
    if not isinstance(front, dict):
        raise BadData(f"{name!r}: the front matter is not a mapping of names, but {front!r:.60}")
    return front


def _metrics_in(front: dict[str, Any], name: str) -> list[dict[str, Any]]:
    try:
        results = [result for model in front.get("model-index") or () for result in model["results"]]
        return [{"type": one["type"], "value": one["value"]} for result in results for one in result["metrics"]]
    except (KeyError, TypeError) as wrong:
        raise BadData(f"{name!r}: its `model-index` lacks {wrong}: write `results[].metrics[]`") from wrong


def _short(name: str, facts: Sequence[Measurement], meaning: str, release: Release | None) -> str:
    lines = [f"# {name}", ""] + ([meaning, ""] if meaning else [])
    lines += rows_of(facts)
    if release is not None:
        lines += ["", f"Release `{release.digest}`, made by {release.made_by or 'hand'}."]
        lines += [f"- artifact `{a.name}`: `{a.digest}` ({a.bytes:,} bytes)" for a in release.artifacts]
        lines += [f"- data `{what}`: {which}" for what, which in release.data.items()]
    return "\n".join(lines) + "\n"
