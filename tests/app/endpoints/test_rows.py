"""Values of JSON become the tensors that hold them."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.app.endpoints.rows import rows_of, tensor_of, values
from roadworthy.core.wire import Request, Tensor


@pytest.mark.parametrize(
    ("column", "made"),
    [
        ([1, 2.5, None], Tensor("c", "FP64", (3,), [1.0, 2.5, None])),
        ([True, False], Tensor("c", "BOOL", (2,), [True, False])),
        (["a", None, 3], Tensor("c", "BYTES", (3,), ["a", "null", "3"])),
        ([[1, 2], [3, 4]], Tensor("c", "FP64", (2, 2), [1.0, 2.0, 3.0, 4.0])),
        ([{"a": 1}], Tensor("c", "BYTES", (1,), ['{"a":1}'])),
    ],
)
def test_a_column_becomes_the_tensor_that_holds_it(column, made):
    assert tensor_of("c", column) == made


def test_arrays_and_lists_are_the_same_rows():
    array = Tensor("x", "FP32", (2, 1), np.array([[1.0], [np.nan]], np.float32))
    assert values(array) == [1.0, None]
    assert rows_of(Request("r", {"x": array, "y": Tensor("y", "BYTES", (2,), ["a", "b"])}, 0.0)) == [
        {"x": 1.0, "y": "a"},
        {"x": None, "y": "b"},
    ]
