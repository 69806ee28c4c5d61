from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.typo import Slip, Typo, _beside

TEXT = "the quick brown fox jumps over the lazy dog "


def typed(made: Typo, severity: float = 1.0, text: str = TEXT * 50) -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(made(sample, severity, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize("severity", [0.5, 1.0])
def test_one_letter_in_ten_is_hit_at_most_and_in_proportion_to_severity(severity: float) -> None:
    text = TEXT.replace(" ", "") * 500
    wrong = sum(a != b for a, b in zip(typed(Typo(form="beside"), severity, text), text, strict=True))
    assert wrong / len(text) == pytest.approx(0.1 * severity, rel=0.1)


@pytest.mark.parametrize(("form", "wanted"), [("extra", 1), ("double", 1), ("drop", -1), ("swap", 0), ("beside", 0)])
def test_a_slip_lengthens_or_shortens_as_it_says(form: Slip, wanted: int) -> None:
    letters = len(TEXT.replace(" ", "")) * 50
    more = len(typed(Typo(form=form))) - len(TEXT) * 50
    assert more == pytest.approx(wanted * 0.1 * letters, rel=0.15)


def test_on_the_keyboard_all_slips_are_as_frequent_so_that_texts_keep_their_length() -> None:
    text = "q" * 40_000
    after = typed(Typo(), text=text)
    assert len(after) == pytest.approx(40_000, abs=150)
    # Of one letter in ten a half is hit beside or dropped; what is swapped with its like, or followed, stays.
    assert 40_000 - after.count("q") == pytest.approx(2000, rel=0.1)


def test_a_swap_keeps_the_letters_of_every_word() -> None:
    for before, after in zip((TEXT * 50).split(), typed(Typo(form="swap")).split(), strict=True):
        assert sorted(before) == sorted(after)


def test_a_key_beside_is_beside_on_the_keyboard_and_as_large() -> None:
    assert {chr(code) for code in _beside("g")} == set("ftyhbv")
    after = typed(Typo(form="beside", rate=1.0), text="GaG")
    assert after[0] in "FTYHBV"
    assert after[1] in "qwsz"


def test_digits_marks_and_other_alphabets_are_left_alone() -> None:
    text = "12,5 € где 日本 ?! "
    assert typed(Typo(rate=1.0), text=text) == text


def test_only_a_share_of_the_rows_is_hit() -> None:
    sample = Sample({"said": np.array([TEXT] * 1000, dtype=object)})
    spoilt = Typo(share=0.3)(sample, 1.0, np.random.default_rng(0)).columns["said"]
    assert 0.25 < (spoilt != TEXT).mean() < 0.35


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`rate` must be above 0 and at most 1, got 0"):
        Typo(rate=0)
