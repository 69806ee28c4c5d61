from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.rollout.statistics.numbers import check_name, number


def rows() -> Window:
    return Window.of_all(
        [
            Record("a", 1.0, "r", "stable", {"age": 3}, {"price": 10.0}, tags={"basket": "2.5"}, label=1.0, usd=0.5),
            Record("b", 2.0, "r", "stable", {"age": None}, {"price": 20.0}, tags={"basket": "none"}, label=None),
        ]
    )


def test_a_number_is_found_by_its_name() -> None:
    for name, expected in {
        "label": [1.0, np.nan],
        "usd": [0.5, np.nan],
        "outputs.price": [10.0, 20.0],
        "inputs.age": [3.0, np.nan],
        "tags.basket": [2.5, np.nan],
        "outputs.price * label": [10.0, np.nan],
        "outputs.tax": [np.nan, np.nan],
        "tokens": [np.nan, np.nan],
    }.items():
        np.testing.assert_array_equal(number(rows(), name), expected, err_msg=name)


def test_a_vector_is_no_number() -> None:
    wide = Window({}, {"v": np.ones((2, 3))}, np.zeros(2), np.zeros(2))
    assert np.isnan(number(wide, "outputs.v")).all()


@pytest.mark.parametrize("name", ["price", "outputs.", "output.price", "label * price", ""])
def test_a_name_of_nothing_is_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(SpecError, match="names no number of a row"):
        check_name(name)
