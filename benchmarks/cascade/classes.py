"""Digits through a small model and a large one: one threshold on the confidence, and one for each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, proportion
from roadworthy.route.cascades.batch_confident import answer_classes
from roadworthy.route.cascades.confident import Cheap, fit_confident, level_of
from roadworthy.route.cascades.fits import Target

AGREEMENT = 0.97


def measure_digits(delta: float, seeds: int) -> list[Measurement]:
    """Agreement with the large model: rows sent on, and how often the target is missed."""
    cheap, large = two_models()
    wanted, found = Target(agreement=AGREEMENT, delta=delta), []
    print(
        f"\ndigits, agreement {AGREEMENT} with the large model (they agree on {np.mean(cheap.predicted == large):.3f})"
    )
    for way in ("batch", "sample", "sample_by_class"):
        sent, missed = [], 0
        for seed in range(1000, 1000 + seeds):
            rng = np.random.default_rng(seed)
            share, agreement = one_run(way, cheap, large, wanted, rng)
            sent.append(share)
            missed += agreement < AGREEMENT
        miss = proportion("", missed, seeds)
        name = f"digits_{way}"
        found += [
            mean(f"{name}_delegation", sent),
            Measurement(
                f"{name}_violations_over_delta", miss.value / delta, seeds, miss.low / delta, miss.high / delta
            ),
        ]
        print(f"  {way:16} {np.mean(sent):.3f} ({missed} missed in {seeds})")
    return found


def one_run(
    way: str, cheap: Cheap, large: NDArray[np.int64], wanted: Target, rng: np.random.Generator
) -> tuple[float, float]:
    """The share of rows sent on and the agreement of all."""
    if way == "batch":
        answered = answer_classes(cheap, lambda rows: large[rows], wanted, rng)
        return float(answered.by_last.mean()), float((answered.classes == large).mean())
    drawn = rng.integers(0, len(large), len(large))
    fit = fit_confident(large[drawn], [cheap.take(drawn)], wanted, rng, by_class=way.endswith("class"))
    at = level_of(fit.levels, [cheap])
    return float((at < 0).mean()), float(((at < 0) | (cheap.predicted == large)).mean())


def two_models() -> tuple[Cheap, NDArray[np.int64]]:
    """Answers to all digits by models that have not seen them (5 folds): eight features, and all with a kernel."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    inputs, labels = load_digits(return_X_y=True)
    small = make_pipeline(PCA(8, random_state=0), StandardScaler(), LogisticRegression(max_iter=500))
    shares = cross_val_predict(small, inputs, labels, cv=5, method="predict_proba")
    large = cross_val_predict(SVC(C=5, gamma=0.001), inputs, labels, cv=5)
    return Cheap(shares.argmax(axis=1), shares.max(axis=1), "small"), large.astype(np.int64)
