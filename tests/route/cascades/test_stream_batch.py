from __future__ import annotations

import numpy as np

from roadworthy.route.cascades.batch import Desk
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import Errors
from roadworthy.route.cascades.stream_batch import Batch, Side
from roadworthy.route.cascades.tally import Tally

NINE = Target(precision=0.9, recall=0.9)
LABELS = np.array([1.0, 0.0, np.nan, 1.0, 0.0, np.nan])


def desk_of(labels):
    return Desk(len(labels), lambda rows: labels[rows])


def test_a_row_that_the_last_model_cannot_answer_is_an_error_of_either_side():
    desk, every = desk_of(LABELS), np.arange(6)
    desk.buy(np.arange(3))
    assert Side(Errors(), True, 0.1).wrong(desk, every).tolist() == [True, False, True, False, False, False]
    assert Side(Errors(), False, 0.1).wrong(desk, every).tolist() == [False, True, True, False, False, False]


def test_rows_that_are_entered_are_drawn_by_their_chances_and_errors_found_are_set_right():
    desk, side = desk_of(LABELS), Side(Errors(), True, 0.1)
    side.enter(desk, np.arange(6), np.array([1.0, 1.0, 1.0, 1e-9, 1e-9, 1e-9]), np.random.default_rng(0))
    assert desk.bought.tolist() == [True] * 3 + [False] * 3
    assert side.unseen(desk).tolist() == [3, 4, 5]
    known = side.settled(desk)
    assert (known.known, known.unknown, known.remaining) == (2, 3, 3.0)
    side.enter(desk, np.zeros(0, np.int64), np.zeros(0), np.random.default_rng(0))
    assert side.unseen(desk).tolist() == [3, 4, 5]


def test_every_row_is_answered_once_and_the_riskiest_are_sent_on_first():
    rng = np.random.default_rng(0)
    scores = np.sort(rng.random(3000))
    # Surer than it should be: rows that were planned as cheap have to go.
    truth = rng.random(3000) < 0.2 + 0.6 * scores
    asked = []

    def oracle(rows):
        asked.extend(rows.tolist())
        return truth[rows]

    desk = Desk(3000, oracle)
    batch = Batch(NINE, Tally(), scores, desk, (np.array([0.0, 1.0] * 200), np.array([False, True] * 200)))
    answers = batch.settle(rng)
    assert len(asked) == len(set(asked)) == desk.bought.sum()
    assert np.array_equal(answers[desk.bought], truth[desk.bought])
    assert batch.tally().reached(NINE) >= (0.9, 0.9)
    yes = batch.yes.rows
    bought = desk.bought[yes]
    assert scores[yes[~bought]].mean() > scores[yes[bought]].mean()
