from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.ports import Port, check_ports, feed, taken

COLUMNS = {"a": np.ones((2, 1), np.float32), "b": np.full((2, 3), 2, np.int64)}


def test_one_port_of_another_name_takes_all_columns_in_order() -> None:
    matrix = Port("x", "FP64", (None, 4))
    assert taken(matrix, [matrix], ("a", "b"), {}) == ("a", "b")
    np.testing.assert_array_equal(feed(COLUMNS, ("a", "b"), matrix), [[1, 2, 2, 2]] * 2)
    assert feed(COLUMNS, ("a", "b"), matrix).dtype == np.float64


def test_two_ports_take_the_columns_of_their_names_or_those_that_are_written_down() -> None:
    ports = [Port("a", "FP32", (None, 1)), Port("x", "INT64", (None, 3))]
    assert taken(ports[0], ports, ("a", "b"), {}) == ("a",)
    assert taken(ports[1], ports, ("a", "b"), {"x": ("b",)}) == ("b",)


def test_a_port_of_more_dimensions_gets_its_rows_in_that_shape() -> None:
    image = Port("image", "FP32", (None, 1, 2, 2))
    assert image.width == 4
    assert feed({"image": np.arange(8.0).reshape(2, 4)}, ("image",), image).shape == (2, 1, 2, 2)


def test_a_null_text_is_fed_as_nothing_said() -> None:
    words = {"w": np.array([["a"], [None]], dtype=object)}
    assert feed(words, ("w",), Port("w", "BYTES", (None,))).tolist() == ["a", ""]


def test_a_model_that_takes_one_row_at_a_time_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadData, match="takes exactly 1 rows at a time in 'x': export it with a dynamic first"):
        check_ports([Port("x", "FP32", (1, 1))], Signature({"x": Field()}, {}), {}, "m.onnx")


def test_a_port_tells_itself_as_a_field() -> None:
    assert Port("x", "INT64", (None, 3)).field == Field("integer", width=3)
    assert Port("x", "BYTES", (None, 1)).field == Field("text")
    assert Port("x", "BOOL", (None,)).field == Field("boolean")
