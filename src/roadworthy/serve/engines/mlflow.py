"""A model that MLflow saved: a folder with an `MLmodel` in it, or that folder as one zip file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import MissingExtra
from roadworthy.core.spec import Signature
from roadworthy.serve.base import Engine, engine
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.folder import opened
from roadworthy.serve.formats.mlmodel import Described, read_mlmodel

Columns = Mapping[str, NDArray[Any]]


@engine("mlflow")
@dataclass(frozen=True)
class Mlflow:
    """An MLflow model of the flavours onnx and scikit-learn; any other, with `trust`, as a Python function.

    ONNX and scikit-learn models run on the engines `onnx` and `sklearn`, with their settings, and without MLflow. A
    `python_function` (PyTorch, a class of one's own) is code of whoever made it: it needs `trust`, and MLflow, and gets
    a table of pandas. Its one answer is named `output` (`value`); a table answers its columns.
    """

    file: Path
    trust: bool = False
    threads: int = 1
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = ""
    limits: Limits = LIMITS

    def __call__(self, columns: Columns) -> Mapping[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises Unsafe for a model that is code and not trusted."""
        return self._model(columns)

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the model wants and the signature does not promise."""
        check = getattr(self._model, "check", None)
        if check is not None:
            check(signature)

    @classmethod
    def describe(cls, file: Path) -> Signature | None:
        """What the model takes, by the signature that was saved with it, and what it answers here."""
        made = cls(file)
        told = made._described
        if told.runs == "python_function":
            return told.signature
        found = (Onnx if told.runs == "onnx" else Sklearn).describe(told.file)
        return found if told.signature is None or found is None else Signature(told.signature.inputs, found.outputs)

    @classmethod
    def example(cls, folder: Path) -> tuple[Mlflow, dict[str, NDArray[Any]]]:
        """A small model written into `folder`, and rows for it: what the laws run every engine on."""
        kept, rows = Sklearn.example(folder)
        model = folder / "example"
        model.mkdir()
        kept.file.rename(model / "model.skops")
        (model / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.skops\n", encoding="utf-8")
        return cls(model), rows

    @cached_property
    def _described(self) -> Described:
        return read_mlmodel(opened(Path(self.file), self, self.limits), self.trust)

    @cached_property
    def _model(self) -> Engine:
        runs, file, signature = self._described
        if runs == "onnx":
            return Onnx(file, self.threads, self.inputs, self.output, self.limits)
        if runs == "sklearn":
            return Sklearn(file, self.trust, self.output, self.limits)
        return Pyfunc(file, self.output, tuple(signature.outputs) if signature else ())


@dataclass(frozen=True)
class Pyfunc:
    """A `python_function` of MLflow. Whoever makes one has been told that its code is trusted."""

    folder: Path
    output: str = ""
    outputs: tuple[str, ...] = ()

    def __call__(self, columns: Columns) -> dict[str, NDArray[Any]]:
        """What the function answers about a table of the columns."""
        if not len(next(iter(columns.values()), ())):
            # Few functions know what to say about no rows.
            return {name: np.empty(0) for name in self.outputs or (self.output or "value",)}
        table = {name: list(values) if values.shape[1] > 1 else values[:, 0] for name, values in columns.items()}
        return self._named(self._function.predict(_needed("pandas").DataFrame(table)))

    @cached_property
    def _function(self) -> Any:
        return _needed("mlflow.pyfunc").load_model(str(self.folder))

    def _named(self, answer: Any) -> dict[str, NDArray[Any]]:
        if isinstance(answer, Mapping) or hasattr(answer, "columns"):
            return {str(name): np.asarray(answer[name]) for name in answer}
        array = np.asarray(answer)
        return {self.output or "value": array[:, 0] if array.shape[1:] == (1,) else array}


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as absent:
        raise MissingExtra("a python_function of MLflow", absent.name or module, "mlflow") from absent
