from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.route.routers.signs import SIGNS, signs_of
from roadworthy.route.routers.words import letters_of, pieces_of, words_of

MASK = 2**16 - 1


def test_words_are_parted_by_marks_and_told_once_in_small_letters():
    assert words_of("Which of the, which—of\tTHE: x2?") == {b"which", b"of", b"the", "which—of".encode(), b"x2"}


def test_a_swap_of_letters_is_the_same_word():
    assert letters_of(b"photosynthesis", MASK) == letters_of(b"photosnythesis", MASK)
    assert letters_of(b"photosynthesis", MASK) != letters_of(b"photosynthesi", MASK)


def test_most_pieces_survive_a_dropped_letter():
    whole, slipped = set(pieces_of(b"photosynthesis", MASK)), set(pieces_of(b"photosyntesis", MASK))
    assert len(whole & slipped) >= 0.6 * len(whole)


def test_short_words_have_a_piece_too():
    assert len(pieces_of(b"a", MASK)) == 1
    assert pieces_of(b"a", MASK) != pieces_of(b"b", MASK)


def test_buckets_are_the_same_in_every_process():
    assert letters_of(b"router", MASK) == 12990
    assert pieces_of(b"ab", MASK) == [11676]


@given(st.text())
def test_any_text_has_words_and_signs(text):
    assert all(words_of(text))
    assert len(signs_of(text)) == len(SIGNS)
    assert all(sign == sign and abs(sign) < 1e9 for sign in signs_of(text))


def test_signs_count_what_they_say():
    signs = dict(zip(SIGNS, signs_of("Is 12 = 3*4?\nYes\nNo"), strict=True))
    size = len("Is 12 = 3*4?\nYes\nNo")
    assert signs["digits"] == pytest.approx(4 / (size + 1))
    assert signs["capitals"] == pytest.approx(3 / (size + 1))
    assert signs["operators"] == pytest.approx(2 / (size + 1))
    assert (signs["question"], signs["blank"], signs["other_bytes"]) == (1.0, 0.0, 0.0)
