"""A scikit-learn estimator, read from a skops file, or from a pickle whose every name is on a list."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, MissingExtra, nearest
from roadworthy.core.insides import Columns, Insides
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.sklearn_insides import insides_of
from roadworthy.serve.safe_import import load


@engine("sklearn", needs=(("sklearn", "sklearn"), ("skops", "sklearn")))
@dataclass(frozen=True)
class Sklearn:
    """A scikit-learn estimator or pipeline, from a skops, pickle or joblib file.

    A file that holds anything but scikit-learn's own estimators is refused unless `trust` says that its maker is
    trusted. Columns go in as one matrix (object where one of them is text), ordered by the names that the estimator was
    fitted with, else as the signature has them; a pipeline that picks its columns by name gets a table (polars). A
    binary classifier answers `probability`, of its second class, others `probabilities` (n, classes), a regressor
    `value`; `output` renames the answer.
    """

    file: Path
    trust: bool = False
    output: str = ""
    limits: Limits = LIMITS

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One output of shape (n,) or (n, classes). Raises BadData for a file that is refused."""
        name, predict, nothing = self._answer
        if not len(next(iter(columns.values()), ())):
            # scikit-learn refuses to predict nothing.
            return {name: np.empty(nothing)}
        with warnings.catch_warnings():
            # The columns are put in the order of the names here; scikit-learn only sees that the matrix has none.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return {name: np.asarray(predict(self._rows(columns)))}

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the estimator wants and the signature does not promise."""
        for name in self._names or ():
            if name not in signature.inputs:
                near, known = nearest(name, signature.inputs), ", ".join(signature.inputs)
                raise BadData(f"{str(self.file)!r} wants an input {name!r}{near} (the project has: {known})")
        width = sum(f.width for name, f in signature.inputs.items() if self._names is None or name in self._names)
        wanted = getattr(self._estimator, "n_features_in_", width)
        if wanted != width:
            raise BadData(f"{str(self.file)!r} wants {wanted} values a row and the project promises {width}")

    def insides(self, rows: Columns) -> Insides | None:
        """The weights or trees of the last step, proven on these rows; None where it is of another kind."""
        return insides_of(self._estimator, self._rows, rows, next(iter(self(rows).values())))

    @classmethod
    def describe(cls, file: Path) -> Signature | None:
        """What the estimator takes and answers, as far as it tells; which of its columns are text it does not."""
        made = cls(file)
        width = getattr(made._estimator, "n_features_in_", 0)
        if not width:
            return None
        name, _, nothing = made._answer
        inputs = {column: Field() for column in made._names or ()} or {"x": Field(width=width)}
        return Signature(inputs, {name: Field(width=nothing[1] if len(nothing) > 1 else 1)})

    @classmethod
    def example(cls, folder: Path) -> tuple[Sklearn, dict[str, NDArray[Any]]]:
        """A small model written into `folder`, and rows for it: what the laws run every engine on."""
        import skops.io
        from sklearn.ensemble import HistGradientBoostingClassifier

        rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
        lab = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3).fit(rows, rows[:, 0] > rows[:, 1])
        skops.io.dump(lab, folder / "example.skops")
        return cls(folder / "example.skops"), {name: rows[:, [k]] for k, name in enumerate("abc")}

    @cached_property
    def _estimator(self) -> Any:
        found = load(Path(self.file), self.trust, self.limits)
        if not hasattr(found, "predict"):
            raise BadData(
                f"{str(self.file)!r} holds a {type(found).__name__}, which cannot predict; save the estimator"
            )
        return found

    @cached_property
    def _names(self) -> list[str] | None:
        names = getattr(self._estimator, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    @cached_property
    def _answer(self) -> tuple[str, Callable[[Any], NDArray[Any]], tuple[int, ...]]:
        """The output's name, what makes it of a matrix, and its shape on no rows."""
        estimator = self._estimator
        if not hasattr(estimator, "predict_proba"):
            return self.output or "value", estimator.predict, (0,)
        if len(estimator.classes_) == 2:
            return self.output or "probability", lambda rows: estimator.predict_proba(rows)[:, 1], (0,)
        return self.output or "probabilities", estimator.predict_proba, (0, len(estimator.classes_))

    @cached_property
    def _by_name(self) -> bool:
        """Whether the first step is a ColumnTransformer whose columns are names: it takes nothing but a table."""
        steps = getattr(self._estimator, "steps", None)
        first = steps[0][1] if steps else self._estimator
        picked = [columns for _, _, columns in getattr(first, "transformers", ())]
        return any(isinstance(c, str) or (isinstance(c, list) and c and isinstance(c[0], str)) for c in picked)

    def _rows(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        if self._by_name:
            return _table({name: columns[name] for name in self._names or columns})
        parts = [columns[name] for name in self._names or columns]
        if any(part.dtype == object for part in parts):
            parts = [part.astype(object) for part in parts]
        return np.concatenate(parts, axis=1)


def _table(columns: Mapping[str, NDArray[Any]]) -> Any:
    try:
        import polars
    except ImportError as absent:
        raise MissingExtra("a pipeline that picks columns by name", "polars", "data") from absent
    return polars.DataFrame({name: polars.Series(values.reshape(-1).tolist()) for name, values in columns.items()})
