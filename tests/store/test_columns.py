"""Whatever a record holds comes back from columns exactly: each type, each null, each name that is missing."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.core.record import Record
from roadworthy.core.wire import Step
from roadworthy.store import columns
from roadworthy.store.columns import Pack, records_of
from roadworthy.store.rows import ARMS, record_of, row_of
from roadworthy.store.segments import write_segment

names = st.sampled_from(["a", "b", "a.b", "", "Ä", "x y", '"'])
texts = st.text(max_size=6)
floats = st.floats() | st.sampled_from([-0.0, 1e-310, 2.0**24 + 1])
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts
lists = st.lists(floats, max_size=3) | st.lists(scalars, max_size=3)
vectors = st.lists(st.floats(width=32), max_size=3).map(lambda v: np.array(v, np.float32))
odd = st.binary(max_size=3) | st.dictionaries(texts, scalars, max_size=2) | st.lists(lists, max_size=2)
mostly = [st.floats(), texts, st.booleans() | st.none(), st.integers(-9, 9), vectors, lists]
values = st.one_of(*mostly, scalars, odd)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records of which a name mostly has values of one kind, and sometimes any."""
    kinds = draw(st.dictionaries(names, st.sampled_from(mostly), max_size=4))

    def section() -> dict[str, object]:
        some = {name: draw(kind) for name, kind in kinds.items() if draw(st.integers(0, 4))}
        return some | draw(st.dictionaries(names, values, max_size=1))

    optional = st.none() | floats
    return [
        Record(
            f"id-{k}" + draw(texts),
            draw(st.floats(allow_nan=False, allow_infinity=False)),
            draw(st.sampled_from(["r", "s"])),
            draw(st.sampled_from(ARMS)),
            section(),
            section(),
            draw(optional),
            draw(st.none() | st.lists(texts, max_size=2).map(tuple)),
            tuple(draw(st.lists(st.builds(Step, texts, texts), max_size=2))),
            draw(st.dictionaries(names, floats, max_size=2)),
            draw(st.none() | st.integers(-(2**63), 2**64 - 1)),
            draw(optional),
            draw(st.dictionaries(names, texts, max_size=2)),
            draw(st.none() | texts),
        )
        for k in range(draw(st.integers(1, 7)))
    ]


def exactly(record: Record) -> list[object]:
    """A record so that only the very same one is equal: nan is nan, 1 is not 1.0, True is not 1."""
    return [
        sorted((name, repr(held)) for name, held in value.items()) if isinstance(value, dict) else repr(value)
        for value in msgspec.structs.astuple(record)
    ]


def through_a_file(given_: list[Record], chunk: int) -> list[Record]:
    """What a segment gives back, in the order of writing."""
    rows = [(seq, *row_of(record)) for seq, record in enumerate(given_)]
    pack = Pack()
    for start in range(0, len(rows), chunk):
        pack.add(rows[start : start + chunk])
    with TemporaryDirectory() as folder:
        write_segment(Path(folder), "s.parquet", pack.frame(), list(pack.shapes))
        found = records_of(pl.read_parquet(Path(folder) / "s.parquet"), list(pack.shapes))
    return [record for _, _, record in sorted(found, key=lambda row: row[1])]


@settings(max_examples=100, deadline=None)
@given(records(), st.integers(1, 7))
def test_a_record_comes_back_from_a_segment_exactly(some, chunk):
    as_written = [record_of(*row_of(record)) for record in some]
    assert list(map(exactly, through_a_file(some, chunk))) == list(map(exactly, as_written))


def pack_of(*inputs: dict[str, object]) -> Pack:
    pack = Pack()
    pack.add([(k, *row_of(Record(f"{k}", float(k), "r", "stable", given_, {}))) for k, given_ in enumerate(inputs)])
    return pack


@pytest.mark.parametrize(
    ("given_", "type_", "column"),
    [
        ([1.5, math.nan, None], pl.Float64, [1.5, math.nan, None]),
        ([1, 2, None], pl.Int64, [1, 2, None]),
        ([True, None], pl.Boolean, [True, None]),
        (["a", None], pl.String, ["a", None]),
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([1, "a", True, 2.5], pl.String, ["1", "a", "true", "2.5"]),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], pl.List(pl.Float32), [[1, 1], [0, 0]]),
        ([[1.0], [2.0, 3.0]], pl.List(pl.Float64), [[1.0], [2.0, 3.0]]),
        ([[1, 2], [2.5], None], pl.List(pl.Float64), [[1.0, 2.0], [2.5], None]),
        ([["a"], []], pl.List(pl.String), [["a"], []]),
        ([[1.0], 2.0], pl.Float64, [None, 2.0]),
        ([{"k": 1}, 2.0], pl.Float64, [None, 2.0]),
        ([2**64 - 1, 1], pl.Int64, [None, 1]),
        ([2**64 - 1, 1, [1]], pl.Int64, [None, 1, None]),
        ([[2**64 - 1], [1], {"k": 1}], pl.List(pl.Int64), [[None], [1], None]),
    ],
)
def test_a_column_has_the_type_of_its_values(given_, type_, column):
    pack = pack_of(*({"x": value} for value in given_))
    found = pack.frame()["inputs.x"]
    assert found.dtype == type_
    assert repr(found.to_list()) == repr(pl.Series(column, dtype=type_).to_list())
    back = [record.inputs["x"] for _, _, record in records_of(pack.frame(), list(pack.shapes))]
    assert repr(back) == repr([v.tolist() if isinstance(v, np.ndarray) else v for v in given_])


def test_rest_is_null_for_rows_that_the_columns_give_back():
    frame = pack_of({"x": 1.5, "t": "a", "n": None}, {"x": 2.5}, {"x": 3}).frame()
    assert [rest is None for rest in frame["rest"]] == [True, True, False]


def test_a_mapping_gets_no_column_and_is_kept():
    pack = pack_of({"x": {"deep": [1, {"er": None}]}})
    assert "inputs.x" not in pack.frame().columns
    assert records_of(pack.frame(), list(pack.shapes))[0][2].inputs == {"x": {"deep": [1, {"er": None}]}}


def test_names_that_callers_make_up_do_not_make_columns_without_end(monkeypatch):
    monkeypatch.setattr(columns, "MOST_COLUMNS", 5)
    monkeypatch.setattr(columns, "MOST_SHAPES", 3)
    pack = pack_of(*({f"name {k}": k, "also": None} for k in range(20)))
    frame = pack.frame()
    assert sum(name.startswith("inputs.") for name in frame.columns) == 5
    found = [record.inputs for _, _, record in records_of(frame, list(pack.shapes))]
    assert found == [{f"name {k}": k, "also": None} for k in range(20)]


def test_a_later_chunk_of_another_type_makes_the_earlier_one_anew():
    pack = Pack()
    for k, value in enumerate([1, "a", 2.5]):
        pack.add([(k, *row_of(Record(f"{k}", float(k), "r", "stable", {"x": value}, {})))])
    assert pack.frame()["inputs.x"].to_list() == ["1", "a", "2.5"]
    assert [repr(r.inputs["x"]) for _, _, r in records_of(pack.frame(), list(pack.shapes))] == ["1", "'a'", "2.5"]


@pytest.mark.parametrize("value", [16777217.0, 16777217])
def test_a_nested_list_does_not_hide_that_others_need_64_bits(value):
    """Once this became a column of 32-bit floats, which rounds 2**24 + 1."""
    held = [[value], [[1.0]], np.ones(2, np.float32)]
    some = [Record(f"id-{k}", 0.0, "r", "stable", {"x": one}, {}) for k, one in enumerate(held)]
    as_written = [record_of(*row_of(record)) for record in some]
    assert list(map(exactly, through_a_file(some, 3))) == list(map(exactly, as_written))
