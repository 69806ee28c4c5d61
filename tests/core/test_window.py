from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample
from roadworthy.core.window import Window, column


def row(at: float, label=None, error=None, **inputs) -> Record:
    return Record(f"r{at}", at, "r", "stable", inputs, {} if error else {"p": at / 10}, label=label, error=error)


def test_rows_become_columns():
    window = Window.of([row(1.0, 1.0, x=1, carrier="UA"), row(2.0, None, x=None, carrier=None)])
    assert window.n == 2
    assert (window.inputs["x"].dtype, window.inputs["x"][0]) == (np.float64, 1.0)
    assert np.isnan(window.inputs["x"][1])
    assert window.inputs["carrier"].tolist() == ["UA", None]
    assert window.outputs["p"].tolist() == [0.1, 0.2]
    assert window.labels[0] == 1.0
    assert np.isnan(window.labels[1])
    assert window.at.tolist() == [1.0, 2.0]


def test_failed_rows_have_nothing_to_look_at():
    window = Window.of([row(1.0, x=1.0), row(2.0, x=2.0, error="timeout")])
    assert window.n == 1
    assert window.inputs["x"].tolist() == [1.0]


def test_no_rows_are_an_empty_window():
    for rows in ([], [row(1.0, error="timeout")]):
        window = Window.of(rows)
        assert (window.n, dict(window.inputs), window.labels.shape) == (0, {}, (0,))


def test_a_column_that_comes_later_is_null_before():
    window = Window.of([row(1.0, x=1.0), row(2.0, x=2.0, wind=3.0)])
    assert np.isnan(window.inputs["wind"][0])
    assert window.inputs["wind"][1] == 3.0


def test_vectors_keep_their_width():
    assert Window.of([row(1.0, v=[1.0, 2.0]), row(2.0, v=[3.0, 4.0])]).inputs["v"].shape == (2, 2)


def test_a_vector_that_some_rows_lack_keeps_its_width_and_unlike_widths_are_objects():
    found = column([None, [0.1, 0.9], None])
    assert found.shape == (3, 2)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1].tolist() == [0.1, 0.9]
    for unlike in ([0.5, [0.1, 0.9]], [[0.1], [0.1, 0.9], None]):
        assert column(unlike).tolist() == unlike


def test_a_table_is_a_reference():
    sample = Sample({"x": np.arange(3.0)}, labels=np.array([0.0, 1.0, 1.0]), at=np.arange(3.0))
    window = Window.of_sample(sample, {"p": np.full(3, 0.5)})
    assert (window.n, window.labels.tolist(), window.outputs["p"].tolist()) == (3, [0.0, 1.0, 1.0], [0.5] * 3)


def test_a_table_without_labels_and_times_is_one_too():
    window = Window.of_sample(Sample({"x": np.arange(3.0)}))
    assert window.n == 3
    assert np.isnan(window.labels).all()
    assert dict(window.outputs) == {}


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.integers(-9, 9), st.booleans())))
def test_numbers_are_floats_with_nan_for_null(values):
    found = column(values)
    assert found.dtype == np.float64
    assert [None if np.isnan(v) else v for v in found.tolist()] == values


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1).filter(lambda drawn: any(drawn)))
def test_text_stays_as_it_is(values):
    found = column(values)
    assert found.dtype == object
    assert found.tolist() == values
