"""Makes the cascade project: digits as three scanners see them, a large net that reads them, a small one it taught.

Run it with `python prepare.py`. The digits are scikit-learn's own copy of the UCI set "Optical Recognition of
Handwritten Digits" (1,797 images of 8 x 8 pixels). It writes `data/` and `model/` beside itself.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Images = NDArray[np.float32]
# How badly each scanner does. The lab has no row of the phone's.
SCANNERS = {"desk": 0.1, "hall": 0.5, "phone": 1.0}
LAB, PRODUCTION = ("desk", "desk", "hall"), ("desk", "hall", "phone")
LEARNT, HELD_BACK = slice(0, 700), slice(700, 1200)
# Half of the machine of roadworthy.yaml, which has two cores.
USD_PER_CORE_HOUR = 0.0425


def prepare(root: Path, progress: Callable[[str], None] = lambda what: None) -> None:
    """Write `data/{lab,production,arriving}.parquet` and `model/{small,large,large-int8}.onnx`."""
    rng = np.random.default_rng(0)
    digits = load_digits()
    images, labels = digits.data.astype(np.float32), digits.target
    for folder in ("data", "model"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    lab = images[HELD_BACK]
    known = table(lab, labels[HELD_BACK], rng.choice(LAB, len(lab)), np.arange(1797)[HELD_BACK], rng)
    known.write_parquet(root / "data" / "lab.parquet")
    # Of the rest all three scanners see each digit: half of them came last week, half will arrive, in no order.
    rest = HELD_BACK.stop + rng.permutation(len(images) - HELD_BACK.stop)
    for name, part in (("production", rest[::2]), ("arriving", rest[1::2])):
        seen = [table(images[part], labels[part], np.full(len(part), by), part, rng) for by in PRODUCTION]
        shuffled = pl.concat(seen).sample(fraction=1.0, shuffle=True, seed=0)
        shuffled.write_parquet(root / "data" / f"{name}.parquet")
    train(images[LEARNT], labels[LEARNT], root / "model", rng, progress)
    for name, seconds in seconds_a_row(root / "model", lab[:300]).items():
        usd = 1000 * seconds * USD_PER_CORE_HOUR / 3600
        progress(f"{name}: {1e6 * seconds:.0f} us of a core for a row asked alone, {usd:.2g} USD for 1,000")


def scanned(images: Images, how_bad: float, rng: np.random.Generator) -> Images:
    """The images as a scanner sees them: shifted by a pixel, smeared, paler and noisy, the more so the worse it is."""
    found = images.reshape(-1, 8, 8).copy()
    for k, image in enumerate(found):
        seen = image
        if rng.random() < 0.3 * how_bad:
            seen = np.pad(seen, 1)[1:-1, 1 + (step := int(rng.choice((-1, 1)))) : 9 + step]
        if rng.random() < 0.4 * how_bad:
            seen = np.maximum(seen, 0.7 * np.pad(seen, 1)[1:-1, 2:])
        paler = 1 - 0.3 * how_bad * rng.random()
        found[k] = np.clip(np.round(paler * seen + rng.normal(0, 1.8 * how_bad, seen.shape)), 0, 16)
    return found.reshape(-1, 64)


def table(
    images: Images, labels: NDArray[np.int64], by: NDArray[np.str_], which: NDArray[np.int64], rng: np.random.Generator
) -> pl.DataFrame:
    """One row an image: its id, its 64 pixels as the scanner saw them, that scanner, and the digit that it shows."""
    seen = np.concatenate([scanned(images[k : k + 1], SCANNERS[str(name)], rng) for k, name in enumerate(by)])
    ids = [f"digit-{k}-{name}" for k, name in zip(which, by, strict=True)]
    return pl.DataFrame(
        {"id": ids, "pixels": seen.tolist(), "scanner": by.tolist(), "digit": labels.astype(np.float64)}
    )


def train(
    images: Images, labels: NDArray[np.int64], folder: Path, rng: np.random.Generator, progress: Callable[[str], None]
) -> None:
    """The large net learns each image as seen by eight scanners; the small model learns what the large one answers."""
    badness = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0)
    seen, truth = np.concatenate([scanned(images, bad, rng) for bad in badness]), np.tile(labels, len(badness))
    progress(f"training a net of 64-1024-1024-10 on {len(seen):,} images")
    large = MLPClassifier((1024, 1024), max_iter=8, learning_rate_init=5e-4, random_state=0)
    small = LogisticRegression(C=0.01, max_iter=100)
    # A few small products on each thread would cost more than they save.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        large.fit(seen, truth)
        small.fit(seen, large.predict(seen))
    for name, model in (("small", small), ("large", large)):
        made = to_onnx(model, images[:1], options={"zipmap": False})
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
    round_to_8_bits(folder / "large.onnx", folder / "large-int8.onnx", seen[:500])


def round_to_8_bits(file: Path, rounded: Path, images: Images) -> None:
    """The same net with products in 8 bits, by scales that `images` settle: no row of a batch changes another's."""
    logging.disable(logging.WARNING)  # onnxruntime advises the root logger about graphs that are not this one
    quantize_static(
        file,
        rounded,
        Rows(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    logging.disable(logging.NOTSET)


class Rows(CalibrationDataReader):  # type: ignore[misc]
    """Images as the quantiser wants to read them, all at once."""

    def __init__(self, images: Images) -> None:
        self._batches = [{"X": images}]

    def get_next(self) -> dict[str, Images] | None:
        """All rows, then nothing."""
        return self._batches.pop() if self._batches else None


def seconds_a_row(folder: Path, images: Images) -> dict[str, float]:
    """Processor time of each model for one row, asked about one row at a time on one thread."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    found = {}
    for name in ("small", "large-int8", "large"):
        session = InferenceSession(folder / f"{name}.onnx", options)
        (column,) = session.get_inputs()
        begin = time.process_time()
        for k in range(len(images)):
            session.run(None, {column.name: images[k : k + 1]})
        found[name] = (time.process_time() - begin) / len(images)
    return found


if __name__ == "__main__":
    prepare(Path(__file__).parent, print)
