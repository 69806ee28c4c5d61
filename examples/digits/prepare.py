"""Makes the digits project: a small neural net that reads handwritten digits, and the tables to ask it about.

Run it with `python prepare.py`. The images are scikit-learn's own copy of the UCI set "Optical Recognition of
Handwritten Digits" (1,797 images of 8 x 8 pixels). It writes `data/` and `model/` beside itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier


def prepare(root: Path, progress: Callable[[str], None] = lambda what: None) -> None:
    """Write `data/{lab,production}.parquet` and `model/digits.onnx`; the last third of the images is production."""
    digits = load_digits()
    images, labels = digits.data.astype(np.float32), digits.target.astype(np.float64)
    learnt, lab = slice(0, 1000), slice(1000, 1200)
    progress("training a net of 64-256-256-10 on 1,000 images")
    net = MLPClassifier((256, 256), max_iter=100, random_state=0).fit(images[learnt], labels[learnt].astype(int))
    for folder in ("data", "model"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    model = to_onnx(net, images[:1], options={"zipmap": False})
    (root / "model" / "digits.onnx").write_bytes(model.SerializeToString())
    table(images[lab], labels[lab], 1000).write_parquet(root / "data" / "lab.parquet")
    table(images[1200:], labels[1200:], 1200).write_parquet(root / "data" / "production.parquet")


def table(images: np.ndarray, labels: np.ndarray, first: int) -> pl.DataFrame:
    """One row an image: its id, its 64 pixels from 0 to 16, row by row, and the digit that it shows."""
    ids = [f"digit-{first + k}" for k in range(len(images))]
    return pl.DataFrame({"id": ids, "pixels": images.tolist(), "digit": labels})


if __name__ == "__main__":
    prepare(Path(__file__).parent, print)
