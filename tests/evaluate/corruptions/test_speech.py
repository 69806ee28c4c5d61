from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.speech import Speech


def heard(made: Speech, *texts: str, severity: float = 1.0) -> list[str]:
    sample = Sample({"said": np.array([*texts, None], dtype=object)})
    return [str(text) for text in made(sample, severity, np.random.default_rng(0)).columns["said"][:-1]]


def test_capitals_and_marks_are_not_heard_but_those_inside_numbers_and_words() -> None:
    said = "Well, it's \"1,250.50\" (pounds)! Isn't it?"
    assert heard(Speech(misheard=0, fillers=0), said) == ["well it's 1,250.50 pounds isn't it"]


def test_doubles_are_misheard() -> None:
    assert heard(Speech(misheard=1, fillers=0), "Two for their new card") == ["to four there knew cart"]


def test_one_word_in_ten_follows_an_um() -> None:
    words = heard(Speech(misheard=0), "money " * 5000)[0].split()
    assert 0.08 < sum(word != "money" for word in words) / 5000 < 0.14


def test_severity_is_the_share_of_texts_that_were_spoken() -> None:
    after = heard(Speech(), *["Why?"] * 1000, severity=0.3)
    assert 0.25 < sum(text != "Why?" for text in after) / 1000 < 0.35


def test_more_than_every_word_cannot_be_misheard() -> None:
    with pytest.raises(ValueError, match="`misheard` must be between 0 and 1, got 2"):
        Speech(misheard=2)
