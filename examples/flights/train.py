"""Trains the flights model on rows whose outcome is known, and writes it as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.learn.base import Trained

# Chosen on later weeks, not on a random split: half the time of the lab's 200, and better out of time.
ROUNDS = 100
OPSET = 17
# Two threads are a third faster on two idle cores, and ten times slower when another process wants one of the cores:
# they spin while they wait for each other. One thread also sums in one order, so that a seed gives one model.
THREADS = 1


def train(sample: Sample, folder: Path, seed: int) -> Trained:
    """A new model from all rows whose label is known, as `folder/flights.onnx`."""
    learnt = known(sample)
    file = folder / "flights.onnx"
    write_onnx(fit(learnt, ROUNDS, seed), file)
    return Trained(file=file, engine="onnx", note=f"{ROUNDS} rounds on {learnt.n:,} rows, seed {seed}")


def known(sample: Sample) -> Sample:
    """The rows whose outcome is known. Raises BadData where there is none."""
    labels = np.full(sample.n, np.nan) if sample.labels is None else sample.labels
    if not np.isfinite(labels).any():
        raise BadData(f"{sample.source or 'the sample'} has no known labels to learn from")
    return sample.take(np.isfinite(labels))


def fit(sample: Sample, rounds: int, seed: int) -> Any:
    """A scikit-learn pipeline for the columns of a sample whose labels are all known."""
    made = pipeline(sample, rounds, seed)
    with few_threads():
        return made.fit(frame(sample.columns), sample.labels)


def predict(fitted: Any, sample: Sample) -> NDArray[np.float64]:
    """What scikit-learn itself says to each row: the probability (n,) to be late."""
    with few_threads():
        return np.asarray(fitted.predict_proba(frame(sample.columns))[:, 1], dtype=np.float64)


def few_threads() -> AbstractContextManager[Any]:
    """Holds OpenMP to THREADS; only libraries that are loaded can be held, so scikit-learn comes first."""
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(THREADS, "openmp")
    return limits


def pipeline(sample: Sample, rounds: int, seed: int) -> Any:
    """Categories become numbers; `categorical_features` is not used because skl2onnx cannot write it."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # Positions, not names: the pipeline then takes a plain matrix as well as a table.
    text = [n for n, column in enumerate(sample.columns.values()) if column.dtype == object]
    numbers = [n for n in range(len(sample.columns)) if n not in text]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer([("text", encoder, text), ("numbers", "passthrough", numbers)])
    return Pipeline([("encode", encode), ("trees", HistGradientBoostingClassifier(max_iter=rounds, random_state=seed))])


def frame(columns: Mapping[str, Any]) -> pl.DataFrame:
    """The columns as a table: text as it is, numbers as float32, which is what the wire carries."""
    return pl.DataFrame(
        {name: values if values.dtype == object else values.astype(np.float32) for name, values in columns.items()}
    )


def write_onnx(fitted: Any, file: Path) -> None:
    """One input a column: float32 (n, 1) or text (n, 1). One output `probabilities` (n, 2)."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    encode = fitted.named_steps["encode"]
    text = {encode.feature_names_in_[n] for n in encode.transformers_[0][2]}
    kinds = {True: StringTensorType([None, 1]), False: FloatTensorType([None, 1])}
    inputs = [(name, kinds[name in text]) for name in encode.feature_names_in_]
    model = to_onnx(fitted, initial_types=inputs, target_opset=OPSET, options={id(fitted): {"zipmap": False}})
    # The converter keeps them in a set: one seed is to give one file, whatever the process hashes by.
    model.opset_import.sort(key=lambda opset: opset.domain)
    file.write_bytes(model.SerializeToString())


def write_skops(fitted: Any, file: Path) -> None:
    """The same pipeline in a format that cannot run code when it is loaded."""
    import skops.io

    skops.io.dump(fitted, file)
