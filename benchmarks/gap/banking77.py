"""What a plausible mix of damage costs two classic text models on BANKING77, and how much of it a repair gives back.

The figures to meet are those of the notes: -12.6 % of the accuracy with words, -9.0 % with letters.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.core.stats import z_of
from roadworthy.evaluate.base import Repair
from roadworthy.evaluate.corruptions.unicode import UnicodeForm
from roadworthy.evaluate.mix import PLAUSIBLE, estimate, mixture
from roadworthy.evaluate.repairs.invisible import Invisible
from roadworthy.evaluate.repairs.nfkc import Nfkc

Right = NDArray[np.float64]
Classify = Callable[[Sample], Right]
SEEDS = 5


def read(file: Path) -> Sample:
    """One split of BANKING77 (`text,category`), with the category as the target."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    text, target = (np.array([row[name] for row in rows], dtype=object) for name in ("text", "category"))
    return Sample({"text": text}, source=str(file), fields={"text": Field("text")}, targets=target)


def models() -> dict[str, Any]:
    """TF-IDF of words, and of two to four letters in a row, each under a logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    letters = TfidfVectorizer(analyzer="char", ngram_range=(2, 4))
    return {
        "word": make_pipeline(TfidfVectorizer(), LogisticRegression(C=5, max_iter=300)),
        "char": make_pipeline(letters, LogisticRegression(C=5, max_iter=300)),
    }


def classifiers(data: Path) -> dict[str, Classify]:
    """Both models, fitted: each says of every row of a sample whether it was right (1) or wrong (0)."""
    train = read(data / "train.csv")

    def right(model: Any) -> Classify:
        fitted = model.fit(train.columns["text"], train.targets)
        return lambda sample: (fitted.predict(sample.columns["text"]) == sample.targets).astype(np.float64)

    return {name: right(model) for name, model in models().items()}


def drop(name: str, right: Classify, test: Sample) -> Measurement:
    """The relative change of the accuracy under the mix, over all seeds; rows are drawn anew for the interval."""
    before = right(test)
    after = np.mean([right(mixture(test, PLAUSIBLE, np.random.default_rng(seed))) for seed in range(SEEDS)], axis=0)
    rng = np.random.default_rng(0)
    rows = (rng.integers(0, test.n, test.n) for _ in range(200))
    half = z_of(0.95) * float(np.std([after[some].mean() / before[some].mean() - 1 for some in rows], ddof=1))
    value = float(after.mean() / before.mean()) - 1
    conditions = {"clean_accuracy": round(float(before.mean()), 4), "seeds": SEEDS}
    return Measurement(
        f"banking77_{name}_drop", 100 * value, test.n, 100 * (value - half), 100 * (value + half), "%", "", conditions
    )


def left(name: str, right: Classify, test: Sample, lab: Sample) -> Iterator[Measurement]:
    """The change of the accuracy by full-width letters and by zero-width ones, as they come and once repaired."""
    before = right(test)
    noises: tuple[tuple[UnicodeForm, Repair], ...] = (
        (UnicodeForm(form="full_width", rate=0.1), Nfkc()),
        (UnicodeForm(form="zero_width", rate=0.05), Invisible()),
    )
    for noise, mend in noises:
        spoilt = noise(test, 1.0, np.random.default_rng(0))
        for state, sample in (("spoilt", spoilt), ("repaired", mend(spoilt, lab))):
            moved = right(sample) - before
            value, half = float(moved.mean()), z_of(0.95) * float(moved.std(ddof=1)) / np.sqrt(len(moved))
            where = f"{noise.form}, {state}"
            yield Measurement(f"banking77_{name}_change", value, test.n, value - half, value + half, where=where)


def mix_error(test: Sample, lab: Sample) -> Measurement:
    """How far the estimated share of a family is from the planted one, at worst, on the mix that `drop` measures."""
    found = estimate(mixture(test, PLAUSIBLE, np.random.default_rng(0)), lab, np.random.default_rng(0))
    planted = {str(part.plan): part.weight for part in PLAUSIBLE.parts}
    errors = {
        family: sum(part.weight for part in found.parts if str(part.plan).split(":")[0] == family) - weight
        for family, weight in planted.items()
    }
    conditions = {family: round(error, 4) for family, error in errors.items()}
    return Measurement("banking77_mix_error", max(map(abs, errors.values())), test.n, conditions=conditions)


def banking77(data: Path) -> list[Measurement]:
    """Every figure of this file. `data` is the folder with `train.csv` and `test.csv`."""
    lab, test = read(data / "train.csv"), read(data / "test.csv")
    found = [mix_error(test, lab)]
    for name, right in classifiers(data).items():
        found += [drop(name, right, test), *left(name, right, test, lab)]
    return found
