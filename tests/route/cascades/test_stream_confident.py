from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import Stream
from roadworthy.route.cascades.stream_confident import answer_predictions

WANTED = Target(agreement=0.9, delta=0.2)


def classes(n, rng, order="shuffled"):
    """Predictions over four classes, right as often as their confidence says, or ever less often."""
    confidence = rng.beta(3, 1, n)
    large, trust = rng.integers(0, 4, n), np.linspace(1, 0.3, n) if order == "drifting" else np.ones(n)
    right = rng.random(n) < confidence * trust
    cheap = Cheap(np.where(right, large, (large + 1) % 4), confidence)
    place = np.argsort(confidence) if order == "clustered" else np.arange(n)
    return cheap.take(place), large[place]


def through(stream, cheap, large, rng, size=800):
    """The share that agrees after each batch."""
    same, shares = np.zeros(0, bool), []
    for start in range(0, len(large), size):
        rows = np.arange(start, min(start + size, len(large)))
        found = answer_predictions(stream, cheap.take(rows), lambda asked, rows=rows: large[rows[asked]], rng)
        same = np.concatenate([same, found.classes == large[rows]])
        assert np.array_equal(found.classes[found.by_last], large[rows][found.by_last])
        shares.append(same.mean())
    return shares


@pytest.mark.parametrize("order", ["shuffled", "clustered", "drifting"])
def test_agreement_is_below_the_target_after_a_batch_no_oftener_than_delta(order):
    missed, sent = 0, []
    for seed in range(30):
        rng, stream = np.random.default_rng(seed), Stream(WANTED)
        cheap, large = classes(4000, rng, order)
        missed += min(through(stream, cheap, large, rng)) < 0.9
        sent.append(stream.tally.delegation)
    assert missed <= binom.ppf(0.999, 30, 0.2)
    assert np.mean(sent) < (0.9 if order == "drifting" else 0.75)


def test_what_is_reached_is_below_the_truth():
    rng, stream = np.random.default_rng(0), Stream(WANTED)
    cheap, large = classes(4000, rng)
    assert stream.tally.reached(WANTED)[0] >= 0.9
    assert stream.tally.reached(WANTED)[0] <= 1
    shares = through(stream, cheap, large, rng)
    assert 0.9 <= stream.tally.reached(WANTED)[0] <= shares[-1]


def test_rows_without_a_class_from_the_last_model_have_none():
    rng, stream = np.random.default_rng(0), Stream(WANTED)
    cheap, large = classes(2000, rng)
    silent = rng.random(2000) < 0.03
    cheap.confidence[:40] = np.nan
    found = answer_predictions(stream, cheap, lambda asked: np.where(silent[asked], -1, large[asked]), rng)
    assert (found.classes[found.failed] == -1).all()
    assert (found.failed | found.by_last)[:40].all()
    answered = ~found.failed
    assert (found.classes == large)[answered].mean() > 0.9
    assert stream.tally.failed == found.failed.sum() > 0


def test_a_stream_of_another_promise_is_refused():
    cheap, _ = classes(10, np.random.default_rng(0))
    with pytest.raises(BadData, match="need a target of accuracy or agreement"):
        answer_predictions(Stream(Target(precision=0.9, recall=0.9)), cheap, lambda asked: asked, None)
