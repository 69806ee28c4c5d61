from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.routers.segments import Segments


def drawn(gains: dict[str, float], rows: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    names = np.repeat(list(gains), rows)
    weak = rng.random(len(names)) < 0.6
    strong = weak | (rng.random(len(names)) < np.repeat([g / 0.4 for g in gains.values()], rows))
    return names.tolist(), strong.astype(float), weak.astype(float)


def test_few_rows_are_drawn_to_the_mean_and_many_are_believed():
    names, strong, weak = drawn({"a": 0.3, "b": 0.02, "c": 0.1, "d": 0.2}, 400)
    keep = [k for k, name in enumerate(names) if name != "a" or k < 4]
    found = Segments.fit([names[k] for k in keep], strong[keep], weak[keep], np.ones(len(keep)))
    gains, spreads = (dict(zip(found.names, column, strict=True)) for column in (found.gains, found.spreads))
    own = (strong - weak)[:4].mean()
    assert abs(gains["a"] - 0.1) < abs(own - 0.1) or own == pytest.approx(0.1, abs=0.05)
    assert gains["b"] == pytest.approx(0.02, abs=0.03)
    assert spreads["a"] > 2 * spreads["b"]


def test_segments_that_are_all_alike_are_shrunk_to_one():
    names, strong, weak = drawn(dict.fromkeys("abcdefgh", 0.15), 30, seed=1)
    alike = Segments.fit(names, strong, weak, np.ones(len(names)))
    names, strong, weak = drawn(dict(zip("abcdefgh", [0.0, 0.39] * 4, strict=True)), 30, seed=1)
    unlike = Segments.fit(names, strong, weak, np.ones(len(names)))
    assert np.ptp(alike.gains) < 0.1 < 0.25 < np.ptp(unlike.gains)
    assert alike.strength > 3 * unlike.strength


def test_the_spread_covers_the_truth_as_often_as_it_says():
    rng, inside, n = np.random.default_rng(2), 0, 0
    for seed in range(40):
        truth = {str(k): float(g) for k, g in enumerate(rng.beta(2, 6, 20) * 0.4)}
        names, strong, weak = drawn(truth, 25, seed)
        found = Segments.fit(names, strong, weak, np.ones(len(names)))
        gaps = np.array([truth[name] for name in found.names]) - found.gains
        inside += int((np.abs(gaps) < 1.645 * np.array(found.spreads)).sum())
        n += len(gaps)
    assert 0.86 < inside / n <= 1.0


def test_rows_that_stand_for_many_count_as_what_they_are_worth():
    names, strong, weak = drawn({"a": 0.2, "b": 0.1}, 50)
    even = Segments.fit(names, strong, weak, np.ones(100))
    uneven = Segments.fit(names, strong, weak, np.where(np.arange(100) % 10 == 0, 20.0, 0.1))
    assert even.rows == (50.0, 50.0)
    assert uneven.rows[0] < 8
    assert uneven.spreads[0] > even.spreads[0]


def test_only_the_ratio_of_weights_matters():
    names, strong, weak = drawn({"a": 0.2, "b": 0.1}, 50)
    assert Segments.fit(names, strong, weak, np.full(100, 10.0)) == Segments.fit(names, strong, weak, np.ones(100))
