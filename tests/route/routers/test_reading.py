from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.routers.reading import Category, Number, Scale, Vector
from roadworthy.route.routers.texts import Text

RNG = np.random.default_rng(0)
TEXTS = [
    "What is the derivative of x^2 + 3?",
    "Who wrote Hamlet?\nA. Shakespeare\nB. Marlowe",
    "",
    "Name the bones of the hand. Name them!",
    "Wer schrieb den Zauberberg? Thomas Mann – natürlich",
    "the the the the",
] * 3


def parts():
    numbers = [1.0, None, 3.5, float("nan"), -2.0, 40.0, 0.0, 1.0, 2.0]
    return [
        (Text.fit("prompt", TEXTS, bits=10), [*TEXTS, "photosynthesis in bacteria", None, b"bytes too"]),
        (Vector.fit("embedding", RNG.normal(3, 2, (40, 5))), RNG.normal(3, 2, (6, 5))),
        (Number.fit("age", numbers), [*numbers, 1e9]),
        (Category.fit("tier", ["gold", "iron", "iron", None]), ["gold", "iron", None, "never", b"iron"]),
    ]


@pytest.mark.parametrize(("part", "values"), parts(), ids=lambda x: type(x).__name__)
def test_the_quick_scorer_says_what_the_features_and_the_strangeness_say(part, values):
    weights = RNG.normal(size=(part.width, 2))
    score = part.scorer(weights)
    said = np.array([score(value) for value in values])
    rows = part.rows(values)
    assert np.allclose(said[:, 0], rows.times(weights[:, 0]))
    assert np.allclose(said[:, 1], rows.times(weights[:, 1]))
    assert np.allclose(said[:, 2], part.strangeness(values))
    assert np.allclose([score(value) for value in values], said), "what is remembered says the same"


@pytest.mark.parametrize(("part", "values"), parts(), ids=lambda x: type(x).__name__)
def test_a_part_comes_back_from_json(part, values):
    again = msgspec.json.decode(msgspec.json.encode(part), type=type(part))
    weights = np.ones(part.width)
    assert np.allclose(again.rows(values).times(weights), part.rows(values).times(weights))


def test_no_rows_have_no_features():
    assert Text.fit("prompt", TEXTS, bits=8).rows([]).n == 0


def test_the_words_of_a_text_have_length_one_together():
    part = Text.fit("prompt", TEXTS, bits=16)
    rows = part.rows(["Who wrote Hamlet, Shakespeare or Marlowe?"])
    words = rows.values[rows.columns < 2 * part.buckets]
    assert words @ words == pytest.approx(1.0)


def test_a_text_of_new_words_is_stranger_than_one_of_known_words():
    part = Text.fit("prompt", TEXTS)
    known, new = part.strangeness(["Who wrote the bones of Hamlet?", "Qui chante des refrains oubliés?"])
    assert new > known + 0.5


def test_a_text_that_was_counted_is_judged_by_the_others():
    part = Text.fit("prompt", ["alpha beta", "alpha gamma", "alpha delta"])
    (own,) = part.strangeness(["alpha beta"], known=True)
    (other,) = part.strangeness(["alpha beta"])
    # Without itself: 2 of 2 have alpha, 0 of 2 beta. With itself: 3 of 3 and 1 of 3.
    signs = own - (math.log(3 / 3) + math.log(3 / 1)) / 2
    assert other == pytest.approx((math.log(4 / 4) + math.log(4 / 2)) / 2 + signs)


def test_an_unknown_number_is_a_feature_of_its_own():
    part = Number.fit("age", [1.0, 2.0, 3.0, None])
    rows = part.rows([None]).values
    assert rows[-1] > 0
    assert not rows[:-1].any()


def test_a_value_that_was_never_seen_has_no_feature_and_is_the_strangest():
    part = Category.fit("tier", ["gold", "iron", "iron"])
    assert len(part.rows(["never"]).values) == 0
    assert part.strangeness(["never"])[0] > max(part.strangeness(["gold", "iron"]))


def test_a_column_that_does_not_vary_is_scored_0():
    assert Scale.of(np.full((5, 1), 7.0)).scores(np.array([[7.0], [8.0]]))[:, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("values", [[[1.0, float("nan")], [1.0, 2.0]], [1.0, 2.0]])
def test_vectors_that_are_none_are_refused(values):
    with pytest.raises(BadData, match="vectors of one width"):
        Vector.fit("embedding", values)


def test_words_pieces_and_signs_have_columns_of_their_own():
    part = Text.fit("prompt", TEXTS, bits=12)
    columns = part.rows(["Hamlet"]).columns
    words, pieces = (columns < part.buckets).sum(), ((columns >= part.buckets) & (columns < 2 * part.buckets)).sum()
    # <hamlet> has five pieces of four letters.
    assert (words, pieces, len(columns)) == (1, 5, 1 + 5 + len(part.signs.middle))


def test_a_number_counts_in_a_line_and_beyond_each_quartile():
    part = Number.fit("age", [-1.0, 0.0, 1.0, 2.0, 3.0])
    spread = 2**0.5
    assert part.knots == pytest.approx((-1 / spread, 0.0, 1 / spread))
    assert part.rows([2.0]).values == pytest.approx(0.2 * np.array([1.0, 2.0, 1.0, 0.0, 0.0]) / spread)
