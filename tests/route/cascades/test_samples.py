from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.samples import Draws, draw_chances, parted, refuse_few


def test_rows_near_the_thresholds_are_drawn_oftener():
    scores = np.linspace(0.001, 0.999, 2000)
    chances, least = draw_chances(scores, (0.3, 0.8), 0.05)
    assert chances.min() >= least > 0
    assert chances.mean() == pytest.approx(0.05, rel=0.01)
    assert chances[np.searchsorted(scores, 0.3)] > 3 * chances[0]
    assert np.isfinite(draw_chances(np.array([np.nan, 0.5]), (0.5,), 0.1)[0]).all()


def test_both_parts_hold_every_row_once():
    design, test = parted(101, np.random.default_rng(0))
    assert sorted([*design.tolist(), *test.tolist()]) == list(range(101))
    assert len(design) == 30


def test_weights_undo_the_draw():
    rng = np.random.default_rng(0)
    chances = np.repeat([1.0, 0.1], 5000)
    rows = rng.choice(10_000, 4000, p=chances / chances.sum())
    share = Draws.of(chances[rows], 0.1, 4000).share("x", rows >= 5000)
    assert share.low < 0.5 < share.high
    assert share.high - share.low > 0.03


@pytest.mark.parametrize(("chances", "least"), [([0.5, 0.2], None), ([0.5, 0.2], 0.3), ([0.5, 1.2], 0.1), ([0.5], 0.1)])
def test_chances_that_cannot_be_are_refused(chances, least):
    with pytest.raises(BadData, match="chance"):
        Draws.of(chances, least, 2)


def test_no_row_that_counts_shows_nothing():
    none = np.zeros(5, bool)
    assert not Draws(None).shows(~none, none, 0.5, 0.9)


def test_the_refusal_says_how_many_rows_it_would_take():
    with pytest.raises(BadData, match=r"needs at least 29 rows .* these have 10: label about 348 rows in all"):
        refuse_few(10, 0.9, 0.05, "rows", 100)
    refuse_few(29, 0.9, 0.05, "rows", 100)
