"""Answers inside of MLflow as a release did. This file travels with the model and needs nothing of Roadworthy."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_PLAIN = ("sklearn.", "numpy.", "scipy.", "builtins.")
_ARRAYS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


def _load_pyfunc(path: str) -> Released:
    """What MLflow calls, with the folder of the model's data."""
    folder = Path(path)
    told = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    model = Graph(folder, told) if told["engine"] == "onnx" else Estimator(folder, told)
    return Released(model, told)


class Released:
    """The model between the wrappers of its release."""

    def __init__(self, model: Graph | Estimator, told: Mapping[str, Any]) -> None:
        self._model, self._told = model, told

    def predict(self, table: Any, params: Mapping[str, Any] | None = None) -> Any:
        """The one output as an array of a row each; several outputs by name. `table` has the columns of the inputs."""
        columns = {one["name"]: _column(table, one) for one in self._told["inputs"]}
        whole = {one["name"] for one in self._told["inputs"] if one["whole"]}
        for step in self._told["before"]:
            moved = _rescaled(columns[step["column"]], step)
            columns[step["column"]] = np.rint(moved) if step["column"] in whole else moved
        cast = {one["name"]: columns[one["name"]].astype(one["dtype"]) for one in self._told["inputs"]}
        outputs = self._model.answer(cast)
        for step in self._told["after"]:
            outputs = _corrected(outputs, step)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs


class Graph:
    """An ONNX graph."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        import onnxruntime

        place = folder / told["file"]
        file = place if place.is_file() else next(place.rglob("*.onnx"))
        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self._ports, self._told = self._session.get_inputs(), told

    def answer(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name, a binary classifier's being the probability of its second class."""
        found = self._session.run(None, {port.name: self._fed(port, columns) for port in self._ports})
        names = [output.name for output in self._session.get_outputs()]
        return _answers(dict(zip(names, found, strict=True)), self._told["output"])

    def _fed(self, port: Any, columns: Mapping[str, Any]) -> Any:
        names = self._taken(port, tuple(columns))
        array = np.concatenate([columns[name] for name in names], axis=1)
        if port.type == "tensor(string)":
            texts = ["" if value is None else str(value) for value in array.reshape(-1)]
            array = np.array(texts, dtype=object).reshape(array.shape)
        array = array.astype(_ARRAYS[port.type], copy=False)
        tail = port.shape[1:]
        if len(port.shape) == 2 or not all(isinstance(size, int) and size > 0 for size in tail):
            return array
        return array.reshape(len(array), *tail)

    def _taken(self, port: Any, columns: Sequence[str]) -> Sequence[str]:
        if port.name in self._told["graph_inputs"]:
            named: Sequence[str] = self._told["graph_inputs"][port.name]
            return named
        one = len(port.shape) > 1 and all(size == 1 for size in port.shape[1:])
        alone = len(self._ports) == 1 and port.name not in columns
        return columns if alone and (not one or len(columns) == 1) else (port.name,)


class Estimator:
    """A scikit-learn estimator."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        self._estimator, self._told = _unpickled(folder / told["file"], told["trust"]), told
        names = getattr(self._estimator, "feature_names_in_", None)
        self._names = None if names is None else [str(name) for name in names]

    def answer(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The probability of the second of two classes, those of many, or the value, under the release's name."""
        rows, name = self._rows(columns), self._told["output"]
        if not hasattr(self._estimator, "predict_proba"):
            return {name or "value": np.asarray(self._estimator.predict(rows))}
        found = np.asarray(self._estimator.predict_proba(rows))
        two = found.shape[1] == 2
        return {name or ("probability" if two else "probabilities"): found[:, 1] if two else found}

    def _rows(self, columns: Mapping[str, Any]) -> Any:
        names = self._names or list(columns)
        if self._names or _by_name(self._estimator):
            import pandas

            if all(columns[name].shape[1] == 1 for name in names):
                return pandas.DataFrame({name: columns[name][:, 0] for name in names})
        parts = [columns[name] for name in names]
        if any(part.dtype == object for part in parts):
            parts = [part.astype(object) for part in parts]
        return np.concatenate(parts, axis=1)


def _by_name(estimator: Any) -> bool:
    steps = getattr(estimator, "steps", None)
    first = steps[0][1] if steps else estimator
    picked = [columns for _, _, columns in getattr(first, "transformers", ())]
    return any(isinstance(c, str) or (isinstance(c, list) and c and isinstance(c[0], str)) for c in picked)


def _unpickled(file: Path, trust: bool) -> Any:
    if not zipfile.is_zipfile(file):
        import joblib

        return joblib.load(file)
    import skops.io

    held = skops.io.get_untrusted_types(file=file)
    return skops.io.load(file, trusted=[name for name in held if trust or name.startswith(_PLAIN)])


def _column(table: Any, one: Mapping[str, Any]) -> Any:
    """A column as (rows, width): numbers with NaN for null, or text with None."""
    given = table[one["name"]]
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    if one["dtype"] == "object":
        texts = [None if value is None or value != value else value for value in values]
        return np.array(texts, dtype=object).reshape(-1, one["width"])
    # Whole numbers beyond 2**53 would not come through a float.
    whole = one["dtype"] == "int64"
    return np.array(values, dtype=np.int64 if whole else np.float64).reshape(-1, one["width"])


def _rescaled(column: Any, step: Mapping[str, Any]) -> Any:
    moved = column * step["scale"] + step["offset"]
    return moved if step["modulo"] is None else moved % step["modulo"]


def _corrected(outputs: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    given = outputs[step["output"]]
    if step["wrapper"] == "temperature":
        scores = given / step["temperature"]
        grown = np.exp(scores - scores.max(axis=1, keepdims=True))
        honest = grown / grown.sum(axis=1, keepdims=True)
    else:
        p = np.clip(np.asarray(given, np.float64), 1e-6, 1 - 1e-6)
        honest = 0.5 + 0.5 * np.tanh(0.5 * (step["slope"] * np.log(p / (1 - p)) + step["intercept"]))
    return {**outputs, step["output"]: honest.astype(given.dtype)}


def _answers(found: Mapping[str, Any], output: str) -> dict[str, Any]:
    """A label beside (n, k) scores is a classifier: of two classes the second one's probability is the answer."""
    scores = [value for value in found.values() if value.ndim == 2 and value.dtype.kind == "f"]
    if len(found) == 2 and len(scores) == 1 and any(value.ndim == 1 for value in found.values()):
        two = scores[0].shape[1] == 2
        return {output or ("probability" if two else "probabilities"): scores[0][:, 1] if two else scores[0]}
    flat = {name: value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value for name, value in found.items()}
    return {output: next(iter(flat.values()))} if output and len(flat) == 1 else flat
