from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.letter_case import LetterCase


@pytest.mark.parametrize(
    ("form", "wanted"),
    [("upper", "WHERE IS IT"), ("lower", "where is it"), ("title", "Where Is It"), ("swapped", "wHERE IS IT")],
)
def test_texts_are_in_another_case(form: Literal["upper", "lower", "title", "swapped"], wanted: str) -> None:
    sample = Sample({"said": np.array(["Where is it", None], dtype=object)})
    assert LetterCase(form=form)(sample, 1.0, np.random.default_rng(0)).columns["said"].tolist() == [wanted, None]


def test_severity_is_the_share_of_texts() -> None:
    sample = Sample({"said": np.array(["a"] * 1000, dtype=object)})
    assert 0.25 < (LetterCase()(sample, 0.3, np.random.default_rng(0)).columns["said"] == "A").mean() < 0.35


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of upper, lower, title, swapped; got 'camel'"):
        LetterCase(form="camel")  # type: ignore[arg-type]
