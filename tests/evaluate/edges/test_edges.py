"""What the edges make of a sample with every kind of column."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.base import Case, Edge, edge
from roadworthy.evaluate.edges.degenerate_images import DegenerateImages
from roadworthy.evaluate.edges.extreme_numbers import ExtremeNumbers
from roadworthy.evaluate.edges.missing_values import MissingValues
from roadworthy.evaluate.edges.naughty_strings import NaughtyStrings
from roadworthy.evaluate.edges.odd_batches import OddBatches
from roadworthy.evaluate.edges.odd_categories import OddCategories
from roadworthy.evaluate.edges.wrong_width import WrongWidth
from roadworthy.testing.corruptions import mixed_sample


def cases(made: Edge, sample: Sample | None = None) -> dict[str, Case]:
    return {case.name: case for case in made(sample or mixed_sample(), np.random.default_rng(0))}


def value(case: Case, column: str) -> Any:
    assert case.rows.n == 1
    return case.rows.columns[column][0]


def with_seats(**about: Any) -> Sample:
    sample = mixed_sample()
    seats = {"seats": np.arange(120.0)}
    fields = {**sample.fields, "seats": Field("integer", **about)}
    return replace(sample, columns={**sample.columns, **seats}, fields=fields)


@pytest.mark.parametrize("name", list(edge))
def test_a_case_that_is_about_a_column_leaves_the_others_as_they_are(name: str) -> None:
    sample = mixed_sample()
    for case in edge.make(name)(sample, np.random.default_rng(0)):
        column, about, _ = case.name.partition(": ")
        if not about:
            continue
        for other in set(sample.columns) - {column}:
            assert any(np.array_equal(case.rows.columns[other][0], v) for v in sample.columns[other]) or (
                case.rows.columns[other][0] != case.rows.columns[other][0]
            )


def test_every_text_column_gets_every_string() -> None:
    found = cases(NaughtyStrings())
    assert {name.split(": ")[0] for name in found} == {"said"}
    assert value(found["said: lone surrogates 1"], "said") == "\ud800"
    assert value(found["said: empty 1"], "said") == ""
    assert len(value(found["said: long 1"], "said")) == 100_000


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("emoji 1", "answer"),
        ("queries 1", "answer"),
        ("other scripts 1", "answer"),
        ("innocent 1", "answer"),
        ("empty 1", "either"),
        ("blank 3", "either"),
        ("lone surrogates 3", "either"),
        ("controls 1", "either"),
        ("special tokens 1", "either"),
        ("long 1", "either"),
    ],
)
def test_valid_text_of_ordinary_length_has_to_be_answered(name: str, right: str) -> None:
    assert cases(NaughtyStrings())[f"said: {name}"].right == right


def test_a_list_of_ones_own_is_asked_instead(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(["hi", "\ud800", "x" * 20_000, " "]))
    made: NaughtyStrings = edge.make(f"naughty_strings:path={path}")
    assert [case.right for case in cases(made).values()] == ["answer", "either", "either", "either"]


def test_numbers_reach_the_ends_of_what_floats_hold() -> None:
    found = cases(ExtremeNumbers())
    assert {name.split(": ")[0] for name in found} == {"heat", "holes"}
    held = {name.split(": ")[1]: value(case, "heat") for name, case in found.items() if name.startswith("heat")}
    assert held["NaN"] != held["NaN"]
    assert held["infinity"] == np.inf
    assert np.float32(held["the smallest denormal"]) > 0
    assert np.float32(held["the smallest denormal"]) / 2 == 0
    assert np.isfinite(np.float32(held["the largest float32"]))
    assert np.signbit(held["minus zero"])
    assert held["2^53 + 1, which no float holds"] == 2**53 + 1
    assert float(held["2^53 + 1, which no float holds"]) != held["2^53 + 1, which no float holds"]


def test_a_null_number_is_to_be_answered_only_where_the_field_allows_it() -> None:
    found = cases(ExtremeNumbers())
    assert (found["heat: NaN"].right, found["holes: NaN"].right) == ("either", "answer")


def test_whole_numbers_beyond_int64_are_to_be_refused() -> None:
    found = cases(ExtremeNumbers(("seats",)), with_seats())
    assert value(found["seats: the largest int64"], "seats") == 2**63 - 1
    assert value(found["seats: 2^63, beyond int64"], "seats") == 2**63
    assert found["seats: 2^63, beyond int64"].right == "refuse"
    # A nullable column of whole numbers travels as floats, which hold it.
    assert cases(ExtremeNumbers(("seats",)), with_seats(nullable=True))["seats: 2^63, beyond int64"].right == "either"


def test_a_range_is_left_on_both_sides_and_zero_is_ordinary_only_within_it() -> None:
    found = cases(ExtremeNumbers(("seats",)), with_seats(low=50, high=300))
    assert value(found["seats: far below its range"], "seats") == -2450
    assert value(found["seats: far above its range"], "seats") == 2800
    assert found["seats: zero"].right == "either"
    assert cases(ExtremeNumbers(("seats",)), with_seats())["seats: zero"].right == "answer"


def test_categories_are_odd_in_eight_ways() -> None:
    found = {name.split(": ")[1]: case for name, case in cases(OddCategories()).items()}
    assert value(found["null"], "town") is None
    assert value(found["wrong case"], "town") in ("NORTH", "SOUTH")
    assert value(found["a blank in front"], "town") in (" north", " south")
    assert (found["unseen"].right, found["null"].right, found["empty"].right) == ("answer", "answer", "either")
    assert len(found) == 8


def test_a_category_without_a_known_value_has_no_wrong_case_of_it() -> None:
    empty = Sample({"town": np.array([None, None], dtype=object)}, fields={"town": Field("category")})
    found = cases(OddCategories(), empty)
    assert "town: wrong case" not in found
    assert found["town: null"].right == "either"


def test_columns_are_null_one_by_one_left_out_one_by_one_and_null_all_together() -> None:
    found = cases(MissingValues())
    assert len(found) == 2 * 5 + 1
    assert value(found["town: null"], "town") is None
    assert np.isnan(value(found["seen: null"], "seen")).all()
    assert "heat" not in found["heat: left out"].rows.columns
    assert {found[name].right for name in found if name.endswith("left out")} == {"refuse"}
    assert (found["holes: null"].right, found["heat: null"].right) == ("answer", "either")
    nulls = found["nothing but nulls"]
    assert all(v is None or np.isnan(v).all() for v in (value(nulls, name) for name in nulls.rows.columns))


def test_vectors_come_too_long_too_short_and_empty_and_single_numbers_in_twos() -> None:
    found = cases(WrongWidth())
    assert found["heat: one value too many"].rows.columns["heat"].shape == (1, 2)
    shapes = [case.rows.columns["seen"].shape for name, case in found.items() if name.startswith("seen")]
    assert shapes == [(1, 65), (1, 63), (1, 0)]
    assert {case.right for case in found.values()} == {"refuse"}


def test_images_are_degenerate_within_their_range_and_beyond_it() -> None:
    found = {name.split(": ")[1]: case for name, case in cases(DegenerateImages()).items()}
    pictures = {name: value(case, "seen") for name, case in found.items()}
    assert set(pictures["black"]) == {0.0}
    assert set(pictures["white"]) == {255.0}
    assert (pictures["one hot pixel"] == 255).sum() == 1
    assert np.isnan(pictures["one missing pixel"]).sum() == 1
    for name, picture in pictures.items():
        within = np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 255
        assert within == (found[name].right == "answer"), name


def test_the_range_of_an_image_is_that_of_its_field() -> None:
    sample = Sample({"seen": np.full((3, 4), 0.25)}, fields={"seen": Field("image", shape=(2, 2), low=-1, high=1)})
    found = cases(DegenerateImages(), sample)
    assert set(value(found["seen: black"], "seen")) == {-1.0}
    assert set(value(found["seen: inverted"], "seen")) == {-0.25}


def test_batches_are_empty_huge_repeated_and_under_one_id() -> None:
    found = list(cases(OddBatches(huge=500)).values())
    assert [case.rows.n for case in found] == [0, 500, 50, 2]
    assert len(set(found[2].rows.columns["heat"])) == 1
    assert list(found[3].rows.ids if found[3].rows.ids is not None else ()) == ["same", "same"]
    with pytest.raises(SpecError, match="`huge` must be at least 1 row"):
        edge.make("odd_batches:huge=0")
