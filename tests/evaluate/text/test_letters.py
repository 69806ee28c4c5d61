from __future__ import annotations

import numpy as np

from roadworthy.evaluate.text.letters import Letters

TEXTS = ["abc", "", "Zürich 😀", "x\ud800y", ""]


def mask(letters: Letters, chosen: str) -> np.ndarray:
    return letters.are(lambda letter: letter in chosen)


def test_texts_come_back_as_they_were() -> None:
    assert Letters.of(TEXTS).texts() == TEXTS
    assert Letters.of([]).texts() == []
    assert Letters.of(["", ""]).texts() == ["", ""]


def test_letters_are_dropped_and_inserted_in_their_own_text() -> None:
    letters = Letters.of(["abc", "", "cab"])
    assert letters.dropped(mask(letters, "ab")).texts() == ["c", "", "c"]
    more = letters.inserted(mask(letters, "c"), np.array([ord("1"), ord("2")], np.uint32))
    assert more.texts() == ["abc1", "", "c2ab"]


def test_letters_are_replaced_and_the_given_ones_stay() -> None:
    letters = Letters.of(["abc"])
    assert letters.replaced(mask(letters, "b"), np.array([ord("x")], np.uint32)).texts() == ["axc"]
    assert letters.texts() == ["abc"]


def test_a_swap_stays_within_its_text_and_does_not_overlap() -> None:
    letters = Letters.of(["abcd", "", "ef"])
    pairs = letters.with_next(np.ones(6, dtype=bool))
    assert pairs.tolist() == [True, True, True, False, True, False]
    assert letters.swapped(pairs).texts() == ["bacd", "", "fe"]
