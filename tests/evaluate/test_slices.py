from __future__ import annotations

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.slices import slices

MAY_31, JUNE_1 = 1_370_000_000.0, 1_370_044_800.0


def test_rows_are_cut_by_month_in_utc_and_by_tag() -> None:
    at = np.array([JUNE_1, MAY_31, JUNE_1 - 1, JUNE_1 + 1])
    origin = np.array(["JFK", "LGA", "JFK", "JFK"], dtype=object)
    found = {
        name: rows.tolist()
        for name, rows in slices(Sample({"x": np.zeros(4)}, at=at, tags={"origin": origin}), at_least=1)
    }
    assert found == {"month=2013-05": [1, 2], "month=2013-06": [0, 3], "origin=JFK": [0, 2, 3], "origin=LGA": [1]}
    assert next(iter(found)) == "month=2013-05"


def test_small_slices_are_left_out() -> None:
    tags = {"origin": np.array(["a"] * 5 + ["b"] * 2, dtype=object)}
    assert [name for name, _ in slices(Sample({"x": np.zeros(7)}, tags=tags), at_least=3)] == ["origin=a"]


def test_an_id_in_disguise_gives_no_thousand_slices() -> None:
    tags = {"tail": np.array([f"N{k % 500}" for k in range(5000)], dtype=object)}
    assert len(list(slices(Sample({"x": np.zeros(5000)}, tags=tags), at_least=5, most=10))) == 10


def test_no_rows_have_no_slices() -> None:
    assert list(slices(Sample({}, at=np.empty(0), tags={"a": np.empty(0, object)}), at_least=0)) == []
