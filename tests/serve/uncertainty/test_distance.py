from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis

from roadworthy.core.errors import BadData
from roadworthy.core.stats import auc
from roadworthy.serve.uncertainty.distance import fit_neighbours, fit_spreads, read, strangeness, write

RNG = np.random.default_rng(0)
SPREAD = np.array([[2.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 9.0]])
SEEN, HELD, NEW = (RNG.multivariate_normal([1.0, 2.0, 3.0], SPREAD, n) for n in (600, 300, 400))


def test_the_spread_gives_the_mahalanobis_distance_of_the_training_rows() -> None:
    found = fit_spreads(SEEN, HELD, Random(0), shrink=0.0)
    inverse = np.linalg.inv(np.cov(SEEN.T, bias=True))
    expected = [mahalanobis(row, SEEN.mean(axis=0), inverse) for row in NEW[:20]]
    np.testing.assert_allclose(found.distances(NEW[:20]), expected, rtol=1e-9)


def test_a_spread_that_is_shrunk_to_a_ball_gives_plain_distances() -> None:
    found = fit_spreads(SEEN, HELD, Random(0), shrink=1.0)
    plain = np.linalg.norm(NEW - SEEN.mean(axis=0), axis=1)
    np.testing.assert_allclose(found.distances(NEW), plain / np.sqrt(SEEN.var(axis=0).mean()), rtol=1e-9)


def test_a_row_is_as_far_as_the_nearest_class() -> None:
    two = np.r_[SEEN, SEEN + 100.0]
    classes = np.repeat(["a", "b"], len(SEEN))
    found = fit_spreads(two, np.r_[HELD, HELD + 100.0], Random(0), classes)
    between = found.distances(np.array([[51.0, 52.0, 53.0]]))
    assert found.distances(NEW).max() < between[0]
    assert found.distances(NEW + 100.0).max() < between[0]


def test_neighbours_are_those_of_the_coreset_in_units_of_each_column() -> None:
    found = fit_neighbours(SEEN, HELD, Random(0), most=50, k=3)
    scaled = (NEW - SEEN.mean(axis=0)) / SEEN.std(axis=0)
    np.testing.assert_allclose(found.distances(NEW), np.sort(cdist(scaled, found.points), axis=1)[:, 2], atol=1e-9)
    everything = fit_neighbours(SEEN, HELD, Random(0), most=600)
    np.testing.assert_allclose(everything.distances(SEEN), 0.0, atol=1e-6)


def test_no_training_row_is_far_from_a_coreset_as_a_random_choice_would_leave_some() -> None:
    scaled = (SEEN - SEEN.mean(axis=0)) / SEEN.std(axis=0)
    ours = cdist(scaled, fit_neighbours(SEEN, HELD, Random(0), most=50).points).min(axis=1).max()
    drawn = [cdist(scaled, scaled[RNG.choice(600, 50, replace=False)]).min(axis=1).max() for _ in range(20)]
    assert ours < min(drawn)


@pytest.mark.parametrize("fit", [fit_spreads, fit_neighbours])
def test_like_rows_raise_few_false_alarms_and_others_are_found(fit: object) -> None:
    reference = fit(SEEN, HELD, Random(0))  # type: ignore[operator]
    _, like = strangeness(reference, NEW)
    far, other = strangeness(reference, NEW * [1.0, -1.0, 1.0])
    assert (like <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 * (1 / 300 + 1 / 400))
    assert auc(np.r_[np.zeros(400), np.ones(400)], -np.r_[like, other]).value > 0.8
    assert far.shape == (400,)


@pytest.mark.parametrize("fit", [fit_spreads, fit_neighbours])
def test_a_reference_is_read_as_it_was_written(fit: object, tmp_path: Path) -> None:
    reference = fit(SEEN, HELD, Random(0))  # type: ignore[operator]
    again = read(write(reference, tmp_path / "reference.npz"))
    assert type(again) is type(reference)
    np.testing.assert_array_equal(again.distances(NEW), reference.distances(NEW))


def test_a_null_lies_at_the_centre_and_no_rows_are_no_trouble() -> None:
    for reference in (fit_spreads(SEEN, HELD, Random(0)), fit_neighbours(SEEN, HELD, Random(0))):
        row, filled = NEW[:1].copy(), NEW[:1].copy()
        row[0, 1], filled[0, 1] = np.nan, SEEN[:, 1].mean()
        np.testing.assert_allclose(reference.distances(row), reference.distances(filled))
        assert strangeness(reference, NEW[:0])[1].shape == (0,)


def test_what_nothing_can_be_fitted_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"got \(600, 3\) and \(300, 2\)"):
        fit_spreads(SEEN, HELD[:, :2], Random(0))
    with pytest.raises(BadData, match="null everywhere"):
        fit_spreads(SEEN * [1, np.nan, 1], HELD, Random(0))
    with pytest.raises(BadData, match="all 600 rows are alike"):
        fit_neighbours(np.ones((600, 3)), HELD, Random(0))
    with pytest.raises(BadData, match="needs 19 held-out rows or more, got 5"):
        fit_spreads(SEEN, HELD[:5], Random(0))
    with pytest.raises(BadData, match="`k` must be between 1 and"):
        fit_neighbours(SEEN, HELD, Random(0), most=5, k=6)
    with pytest.raises(BadData, match="got 2 classes for 600 rows"):
        fit_spreads(SEEN, HELD, Random(0), ["a", "b"])
    np.savez(tmp_path / "other.npz", kind=np.array(7))
    with pytest.raises(BadData, match="is no reference of distances"):
        read(tmp_path / "other.npz")
    with pytest.raises(BadData, match="fitted to 3 values a row"):
        strangeness(fit_spreads(SEEN, HELD, Random(0)), NEW[:, :2])
