from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.number_locale import NumberLocale

Form = Literal["comma", "blank", "plain"]


def written(text: str, form: Form = "comma") -> str:
    sample = Sample({"said": np.array([text], dtype=object)})
    return str(NumberLocale(form=form)(sample, 1.0, np.random.default_rng(0)).columns["said"][0])


@pytest.mark.parametrize(
    ("form", "wanted"),
    [("comma", "1.234.567,89 and 0,5"), ("blank", "1\u00a0234\u00a0567,89 and 0,5"), ("plain", "1234567.89 and 0.5")],
)
def test_marks_within_numbers_change(form: Form, wanted: str) -> None:
    assert written("1,234,567.89 and 0.5", form) == wanted


def test_day_and_month_change_places() -> None:
    assert written("on 3/25/2024 or 1/2/24") == "on 25/3/2024 or 2/1/24"
    assert written("on 3/25/2024", "plain") == "on 3/25/2024"


@pytest.mark.parametrize("text", ["version 1.2.3", "1,2 or 3", "10.0.0.1", "at 5.", "a1.5b", "no number"])
def test_what_is_no_number_stays(text: str) -> None:
    assert written(text) == text
