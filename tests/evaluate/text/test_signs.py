from __future__ import annotations

import pytest

from roadworthy.evaluate.text.signs import GRADES, Signs

LAB = ["Where is my card?", "My transfer was declined, why?", "Where is the transfer?", "Was my card declined?"] * 3
SIGNS = Signs.of(LAB)


def changed(text: str, to: str) -> int:
    """How many signs differ between the two."""
    one, other = SIGNS([text, to])
    return int((one != other).sum())


@pytest.mark.parametrize(
    "to",
    [
        "Where is transfre my card?",
        "Where is the tansfer card?",
        "Dónde is my card?",
        "Where is my",
        "Where is my card? <br>",
        "> Where is my card?",
        "Where is\nmy card?",
        "Where\u00a0is my card?",
        "Where is my c\u200bard?",
        "Where is my cаrd?",
        "Where is my ｃard?",
        "WHERE IS MY CARD?",
        "where is my card?",
        "Where is my card!!!!!",
        "Whereis my card?",
        "Where is my cardâ€™s?",
        "| Where is | my card? |",
        "Where is my card?\n\nSent from my iPhone",
    ],
)
def test_damage_leaves_a_sign(to: str) -> None:
    assert changed("Where is my card?", to) > 0


def test_another_text_of_the_same_kind_shows_none() -> None:
    assert changed("Where is my card?", "Why was the transfer declined?") == 0


def test_an_unknown_word_far_from_all_known_ones_is_no_misspelling() -> None:
    assert changed("Where is my card?", "Where is my refund card?") == 0


def test_grades_stay_below_their_bound_for_any_text() -> None:
    found = SIGNS(["", " ", "\ud800", "?" * 50, "de el la ich wir que " * 9, "crad trnasfer delcined"])
    assert found.min() >= 0
    assert found.max() < GRADES
