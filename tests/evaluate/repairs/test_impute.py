from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.repairs.impute import Impute

FIELDS = {
    "age": Field(),
    "rooms": Field("integer"),
    "town": Field("category"),
    "said": Field("text"),
    "owned": Field("boolean"),
    "pair": Field(width=2),
}
LAB = Sample(
    {
        "age": np.array([10.0, 20, 30, 1000]),
        "rooms": np.array([1.0, 2, 5, 9]),
        "town": np.array(["a", "b", "b", "c"], dtype=object),
        "said": np.array(["x", "x", "x", "x"], dtype=object),
        "owned": np.array([1.0, 1, 0, 1]),
        "pair": np.array([[1.0, 10], [2, 20], [3, 30], [3, 30]]),
    },
    fields=FIELDS,
)


def test_null_becomes_what_is_usual_in_the_lab() -> None:
    holed = Sample(
        {
            "age": np.array([np.nan, 5]),
            "rooms": np.array([np.nan, 5]),
            "town": np.array([None, "z"], dtype=object),
            "said": np.array([None, "y"], dtype=object),
            "owned": np.array([np.nan, 0]),
            "pair": np.array([[np.nan, 7], [8, np.nan]]),
        },
        fields=FIELDS,
    )
    mended = {name: column.tolist() for name, column in Impute()(holed, LAB).columns.items()}
    assert mended == {
        "age": [20, 5],
        "rooms": [2, 5],
        "town": ["b", "z"],
        "said": [None, "y"],
        "owned": [1, 0],
        "pair": [[2, 7], [8, 20]],
    }


def test_a_column_that_is_null_in_the_lab_too_stays() -> None:
    lab = Sample({"x": np.array([1.0, np.nan, 3])})
    holed = Sample({"x": np.array([np.nan])})
    assert Impute()(holed, lab) is holed
    assert Impute(seldom=0.5)(holed, lab).columns["x"].tolist() == [1]


def test_only_named_columns_are_mended_text_among_them() -> None:
    holed = Sample({"age": np.array([np.nan]), "said": np.array([None], dtype=object)}, fields=FIELDS)
    mended = Impute(("said",))(holed, LAB)
    assert mended.columns["said"].tolist() == ["x"]
    assert np.isnan(mended.columns["age"]).all()


@pytest.mark.parametrize("lab", [Sample({}), Sample({"x": np.empty(0)}), Sample({"x": np.full(3, np.nan)})])
def test_a_lab_that_knows_nothing_mends_nothing(lab: Sample) -> None:
    holed = Sample({"x": np.array([np.nan, 1.0])})
    assert Impute(seldom=1.0)(holed, lab) is holed


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(SpecError, match="`seldom` must be a share"):
        repair.make("impute:seldom=5")
