from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.unicode import INSERTED, Form, UnicodeForm

TEXT = "Where is my card, Zoe Müller? " * 200


def formed(form: Form, severity: float = 1.0) -> str:
    sample = Sample({"said": np.array([TEXT], dtype=object)})
    return str(UnicodeForm(form=form)(sample, severity, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize("severity", [0.5, 1.0])
def test_so_large_a_share_of_the_letters_is_full_width(severity: float) -> None:
    after, letters = formed("full_width", severity), sum(letter != " " for letter in TEXT)
    assert sum("\uff01" <= letter <= "\uff5e" for letter in after) / letters == pytest.approx(0.2 * severity, rel=0.1)
    assert unicodedata.normalize("NFKC", after) == TEXT


@pytest.mark.parametrize("form", ["zero_width", "bidi", "soft_hyphen", "emoji"])
def test_what_is_inserted_leaves_the_text_around_it(form: Form) -> None:
    after = formed(form)
    assert "".join(letter for letter in after if letter not in INSERTED[form]) == TEXT
    assert len(after) > len(TEXT)


def test_homoglyphs_are_of_other_alphabets_and_look_the_same() -> None:
    changed = {(a, b) for a, b in zip(TEXT, formed("homoglyph"), strict=True) if a != b}
    assert ("e", "е") in changed
    assert all(unicodedata.name(b).startswith(("CYRILLIC", "GREEK")) for _, b in changed)


def test_accents_come_apart() -> None:
    assert formed("nfd") == unicodedata.normalize("NFD", TEXT) != TEXT


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no `form` 'zalgo': nfd, full_width"):
        UnicodeForm(form="zalgo")  # type: ignore[arg-type]
