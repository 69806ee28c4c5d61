"""Writes the commented `roadworthy.yaml` that a new project starts from: what the table tells, and what to fill in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import BadData, nearest
from roadworthy.core.spec import Columns, Field, Kind, Task
from roadworthy.data.schema import guess_columns, infer
from roadworthy.data.tables import read_frame

ENGINES = {".onnx": "onnx", ".skops": "sklearn"}
WIDTH = 110

# What each metric of a first project file would be, task by task: bounds to think about, not advice.
FIRST_BOUNDS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("{metric: auc, at_least: 0.70}", "{metric: ece, at_most: 0.05}"),
    "multiclass": ("{metric: accuracy, at_least: 0.80}",),
    "regression": (),
    "generation": (),
}

# Plain words that YAML reads as something other than text.
NOT_TEXT = {"", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}


class Parts(NamedTuple):
    """What the text is made of."""

    name: str
    task: Task
    inputs: Mapping[str, Field]
    unused: Sequence[str]
    columns: Columns
    table: str
    model: str
    card: str


def skeleton(
    model_file: Path,
    table: Path,
    label: str,
    id: str = "",
    at: str = "",
    name: str = "",
    root: Path = Path(),
    model_inputs: Mapping[str, str] | Sequence[str] = (),
) -> str:
    """The text of a project file in `root`, which `read_project` reads as it is.

    `model_inputs` names the model's inputs in its order, with their types (`FP32`, or `tensor(float)` as ONNX says
    it) where the model tells them; where it is empty, every column without another role is an input. Raises BadData
    where the table is not readable or lacks a column.
    """
    guessed = guess_columns(table, label)
    columns = replace(guessed, id=id or guessed.id, at=at or guessed.at)
    read_frame(table, [column for column in (label, columns.id, columns.at) if column])
    seen = infer(table, columns)
    types = dict(model_inputs) if isinstance(model_inputs, Mapping) else dict.fromkeys(model_inputs, "")
    inputs = {n: _as_model_takes(seen[n], types[n]) for n in _matched(types, seen, columns, table)} if types else seen
    unused = [n for n in seen if n not in inputs]
    card = model_file.parent / "README.md"
    parts = Parts(
        name or root.resolve().name or "application",
        task_of(table, label),
        inputs,
        unused,
        columns,
        _relative(table, root),
        _relative(model_file, root),
        _relative(card, root) if card.is_file() else "",
    )
    return "\n".join([*_application(parts), *_data(parts), *_model(parts), *_operation()]) + "\n"


def task_of(table: Path, label: str) -> Task:
    """What the outcomes look like: 0 and 1, a few whole numbers or texts, or a quantity."""
    outcome = read_frame(table, [label])[label].drop_nulls()
    if outcome.dtype.is_numeric() or str(outcome.dtype) == "Boolean":
        values = np.unique(outcome.to_numpy().astype(np.float64))
        if np.isin(values, (0.0, 1.0)).all():
            return "binary"
        return "multiclass" if len(values) <= 20 and (values == np.round(values)).all() else "regression"
    return "multiclass"


def _matched(types: Iterable[str], seen: Mapping[str, Field], columns: Columns, table: Path) -> list[str]:
    names = list(types)
    for name in names:
        if name == columns.label:
            raise BadData(f"the model takes {name!r} as an input, which is the label: it cannot be known beforehand")
        if name not in seen:
            known = f"{nearest(name, seen)} (it has: {', '.join(seen)})"
            raise BadData(
                f"the model takes an input {name!r}, which {str(table)!r} has no column for{known}; rename it"
            )
    return names


def _as_model_takes(field: Field, datatype: str) -> Field:
    """The field with the kind that the model's own type asks for: it may take whole numbers as floats, say."""
    carried = re.sub(r"^tensor\((\w+)\)$", r"\1", datatype).lower()
    if carried in ("bytes", "string"):
        return field if field.datatype == "BYTES" else replace(field, kind="category", low=None, high=None)
    kind: Kind = "number" if carried.startswith(("fp", "float", "double")) else field.kind
    kind = "integer" if carried.startswith(("int", "uint")) else kind
    return replace(field, kind="boolean" if carried.startswith("bool") else kind)


def _application(parts: Parts) -> list[str]:
    bounds = [
        *FIRST_BOUNDS[parts.task],
        "{metric: p99_ms, at_most: 50, unit: ms}",
        "{metric: error_rate, at_most: 0.01}",
    ]
    return [
        "# What the application needs comes first; then what was claimed, the data, the model and how to release it.",
        "application:",
        f"  name: {quoted(parts.name)}",
        f"  task: {parts.task}                # binary, multiclass, regression or generation",
        '  owner: ""                   # who answers for this model',
        '  meaning: ""                 # what the output means, in one sentence',
        "  output: probability         # the name of the model's output",
        "  inputs:                     # in the model's order; the ranges are what the table shows, and bind nobody",
        *(line for name, field in parts.inputs.items() for line in _input(name, field)),
        *(f"    # the model does not take: {', '.join(parts.unused)}" for _ in parts.unused[:1]),
        "  requirements:               # bounds to think about: what would make this model useless to you?",
        *(f"    - {bound}" for bound in bounds),
        "    # - {metric: usd_per_1k, at_most: 0.01, unit: usd}    # needs cost.usd_per_hour",
        "",
    ]


def _input(name: str, field: Field) -> list[str]:
    """One line for an input; its known categories below it where they do not fit."""
    settings = [f"kind: {field.kind}", 'meaning: ""']
    settings += ["nullable: true"] if field.nullable else []
    settings += [f"width: {field.width}"] if field.width > 1 else []
    seen = f"    # seen: {field.low:g} to {field.high:g}" if field.low is not None and field.high is not None else ""
    values = f"values: [{', '.join(quoted(v) for v in field.values)}]"
    line = f"    {quoted(name)}: {{{', '.join([*settings, *([values] if field.values else [])])}}}{seen}"
    if not field.values or len(line) <= WIDTH:
        return [line]
    head = [f"    {quoted(name)}:", *(f"      {setting}" for setting in settings), "      values: ["]
    return [*head, *_wrapped([quoted(v) for v in field.values], "        "), "      ]"]


def _data(parts: Parts) -> list[str]:
    columns = parts.columns
    return [
        "data:",
        _line(f"  lab: {quoted(parts.table)}", "the rows that the claim was measured on"),
        _line(f"  production: {quoted(parts.table)}", "replace it with rows as they really arrive, in their order"),
        _line("  # history: history.parquet", "rows that a retraining may learn from too"),
        "  columns:                    # what is in the tables beside the inputs",
        f"    label: {quoted(columns.label)}",
        *_role("id", columns.id, "unique for every row; labels that come later are joined by it"),
        *_role("at", columns.at, "when the model is asked"),
        *_role("known_at", columns.known_at, "when the outcome becomes known"),
        *_role("key", "", "whose requests stay on one arm of a canary"),
        "    # tags: []                # columns whose slices are looked at one by one",
        "",
        "# claims:                     # what the lab or the paper states; a model card can state it instead",
        "#   - {metric: auc, value: 0.80, tolerance: 0.01, source: notebook}",
        "",
    ]


def _role(role: str, column: str, meaning: str) -> list[str]:
    return [_line(f"    {role}: {quoted(column)}" if column else f"    # {role}: {role}", meaning)]


def _line(setting: str, meaning: str) -> str:
    return f"{setting:<28}  # {meaning}"


def _model(parts: Parts) -> list[str]:
    engine = ENGINES.get(Path(parts.model).suffix, "")
    return [
        "model:",
        f"  file: {quoted(parts.model)}",
        f"  engine: {engine}"
        if engine
        else "  # engine: engine.py:Name    # what runs this file: a name or your own code",
        f"  card: {quoted(parts.card)}" if parts.card else _line("  # card: README.md", "its `model-index` has claims"),
        _line("  # train: train.py:train", "a function (sample, folder, seed) -> Trained, for retraining"),
        "",
    ]


def _operation() -> list[str]:
    return [
        "rollout:                      # what a candidate goes through before it answers everybody",
        "  stages:",
        "    - {mode: shadow, hours: 24}                # answers nobody, is compared on the same requests",
        "    - {mode: canary, share: 0.1, hours: 24}    # answers a tenth of the keys",
        "    - {mode: canary, share: 0.5, hours: 24}",
        "  gates: [errors, latency, quality]            # each stage must pass all of them; one `fail` rolls back",
        "",
        "monitor:",
        "  detectors: [drift, calibration]  # drift of every column, and of the probabilities against outcomes",
        "  every_days: 7",
        "  window_days: 7",
        "",
        "# cost:",
        "#   usd_per_hour: 0.085       # what the machine costs",
    ]


def quoted(text: str) -> str:
    """The text as YAML: plain where that is read back as the same text, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) and text.lower() not in NOT_TEXT
    return text if plain else json.dumps(text)


def _wrapped(items: Sequence[str], indent: str) -> list[str]:
    lines = [indent]
    for item in items:
        if len(lines[-1]) + len(item) > WIDTH:
            lines.append(indent)
        lines[-1] += f"{item}, "
    return [line.rstrip() for line in lines]


def _relative(file: Path, root: Path) -> str:
    return Path(os.path.relpath(file.resolve(), root.resolve())).as_posix()
