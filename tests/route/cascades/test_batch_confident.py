from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.route.cascades.batch_confident import answer_classes
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.fits import Target

WANTED = Target(agreement=0.9, delta=0.2)


def classes(n, rng):
    """Predictions over four classes, right as often as their confidence says."""
    confidence = rng.beta(3, 1, n)
    large = rng.integers(0, 4, n)
    return Cheap(np.where(rng.random(n) < confidence, large, (large + 1) % 4), confidence), large


def test_agreement_is_missed_no_oftener_than_delta():
    missed, sent = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        cheap, large = classes(2000, rng)
        found = answer_classes(cheap, lambda asked, large=large: large[asked], WANTED, rng)
        missed += (found.classes == large).mean() < 0.9
        sent.append(found.by_last.mean())
    assert missed <= binom.ppf(0.999, 150, 0.2)
    assert np.mean(sent) < 0.7


def test_no_confidence_and_few_rows_are_sent_on():
    rng = np.random.default_rng(0)
    cheap, large = classes(2000, rng)
    cheap.confidence[:50] = np.nan
    assert answer_classes(cheap, lambda asked: large[asked], WANTED, rng).by_last[:50].all()
    few = answer_classes(cheap.take(np.arange(60, 70)), lambda asked: large[asked], WANTED, rng)
    assert few.by_last.all()
    assert "too few" in few.fit.certificate


@pytest.mark.parametrize("flips", [0.0, 0.05])
def test_flips_leave_fewer_errors(flips):
    cheap, large = classes(3000, np.random.default_rng(0))
    found = answer_classes(cheap, lambda asked: large[asked], WANTED, np.random.default_rng(1), flips)
    assert (found.classes == large).mean() > 0.9 + flips / 2
