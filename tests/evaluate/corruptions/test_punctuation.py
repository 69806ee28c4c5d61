from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.punctuation import RUNS, Punctuation


def marked(text: str, form: Literal["runs", "dropped"]) -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(Punctuation(form=form)(sample, 1.0, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize("text", ["why", "why?", "why... ", ""])
def test_a_run_takes_the_place_of_the_last_mark(text: str) -> None:
    assert marked(text, "runs").removeprefix(text.rstrip(" .?")) in RUNS


def test_no_mark_is_left_but_inside_words_and_numbers() -> None:
    assert marked('Well, isn\'t it 1,250.5? "Yes!"', "dropped") == "Well isn't it 1,250.5 Yes"


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="must be runs or dropped, got 'many'"):
        Punctuation(form="many")  # type: ignore[arg-type]
