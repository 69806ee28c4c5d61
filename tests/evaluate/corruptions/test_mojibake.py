from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.mojibake import Form, Mojibake


def read(text: str, form: Form = "utf8_as_windows", curly: bool = True) -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(Mojibake(form=form, curly=curly)(sample, 1.0, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("utf8_as_windows", "ZÃ¼rich isnâ€™t â€œhereâ€\x9d"),
        ("question_marks", "Z?rich isn?t ?here?"),
        ("replacement", "Z\ufffdrich isn\ufffdt \ufffdhere\ufffd"),
        ("no_accents", 'Zurich isn\'t "here"'),
    ],
)
def test_letters_beyond_ascii_are_in_shambles(form: Form, wanted: str) -> None:
    assert read('Zürich isn\'t "here"', form) == wanted


def test_twice_is_what_was_read_wrong_read_wrong_again() -> None:
    assert read("ü", "twice") == read(read("ü"))


def test_plain_quotes_stay_plain_where_nobody_curls_them() -> None:
    assert read("isn't \ud83d", curly=False).startswith("isn't ")
