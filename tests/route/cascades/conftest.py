from __future__ import annotations

import numpy as np
import pytest


def made_rows(n, rng, sharpness=3.0):
    """Scores on two decimals (many alike) and the truth, of which the scores are too sure."""
    odds = rng.normal(0.0, sharpness, n)
    truth = rng.random(n) < 1 / (1 + np.exp(-odds))
    return np.round(1 / (1 + np.exp(-1.3 * odds)), 2), truth


def reached(answers, truth):
    """The lesser of precision and recall."""
    hits = int((answers & truth).sum())
    return min(hits / max(int(answers.sum()), 1), hits / max(int(truth.sum()), 1))


@pytest.fixture
def rows():
    return made_rows


@pytest.fixture
def worst():
    return reached
