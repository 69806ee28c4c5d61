from __future__ import annotations

import numpy as np
import pytest

from roadworthy.route.cascades.design import Chances, cuts_of, pilot_rows, plan


def test_the_guess_follows_the_chance():
    rng = np.random.default_rng(0)
    scores = rng.random(4000)
    guess = Chances.learnt(scores, rng.random(4000) < scores)
    assert guess(np.array([0.1, 0.5, 0.9])) == pytest.approx([0.1, 0.5, 0.9], abs=0.05)


@pytest.mark.parametrize("labels", [np.ones(20, bool), np.zeros(20, bool), np.arange(20) >= 10])
def test_one_class_or_parted_classes_leave_the_guess_finite(labels):
    guess = Chances.learnt(np.linspace(0, 1, 20), labels)(np.linspace(0, 1, 50))
    assert np.all((guess > 0) & (guess < 1))


def test_a_score_is_found_for_each_chance_of_a_rising_line():
    scores = np.linspace(0.01, 0.99, 400)
    guess = Chances.learnt(scores, np.random.default_rng(0).random(400) < scores, degree=1)
    assert guess.rising
    assert guess(np.array([guess.score_at(0.3)])) == pytest.approx([0.3])
    assert not Chances.learnt(scores, scores < 0.5, degree=1).rising


def test_rows_are_cut_only_where_scores_differ():
    assert cuts_of(np.array([0.1, 0.1, 0.2, 0.5, 0.5])).tolist() == [0, 2, 3, 5]
    assert cuts_of(np.zeros(0)).tolist() == [0, 0]


def test_the_plan_goes_from_safe_to_daring_and_draws_from_the_last():
    wrong = np.sort(np.random.default_rng(0).random(5000)) ** 3
    found = plan(wrong, np.arange(5001), 300.0, 0.05)
    assert np.all(np.diff(found.ends) > 0)
    assert found.ends[0] <= 300
    assert wrong[: found.ends[-1]].sum() > 250
    assert 0 < found.draws < found.ends[-1] / 2


def test_a_plan_without_an_error_allowed_is_empty():
    found = plan(np.full(100, 0.5), np.arange(101), 0.0, 0.05)
    assert (found.ends.tolist(), found.draws) == ([0], 0)


def test_the_pilot_is_a_small_part():
    assert [pilot_rows(n) for n in (0, 10, 1000, 12_697, 68_221)] == [0, 2, 150, 253, 600]
