from __future__ import annotations

import json

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.serve.v2_body import datatype_of, read_answer, write_request

ARRAYS = {
    "x": np.array([[1.5, np.nan], [0.0, -2.0]], np.float32),
    "n": np.array([[7], [-8]], np.int64),
    "ok": np.array([[True], [False]]),
    "w": np.array([["a"], ["ö"]], dtype=object),
}


@pytest.mark.parametrize("binary", [False, True])
def test_what_is_written_is_read_again(binary: bool) -> None:
    body = write_request(ARRAYS, binary)
    head = json.loads(body.data[: body.json_bytes])
    answer = json.dumps({"outputs": head["inputs"]}).encode()
    raw = b"" if body.json_bytes is None else body.data[body.json_bytes :]
    got = read_answer(answer + raw, len(answer) if binary else None)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


def test_a_null_is_null_in_json_and_an_empty_text_in_bytes() -> None:
    nulls = {"x": np.array([[np.nan]], np.float32), "w": np.array([[None]], dtype=object)}
    assert [told["data"] for told in json.loads(write_request(nulls, False).data)["inputs"]] == [[None], [None]]
    assert write_request(nulls, True).data.endswith(bytes(4))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b'{"outputs": [1]}', b'{"outputs": [{"name": "y", "datatype": "BF16", "shape": [1], "data": [1]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], "data": [1]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}]}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(BadData, match="is not one of Open Inference V2"):
        read_answer(body, None)


def test_datatypes_are_told_whatever_the_byte_order() -> None:
    assert [datatype_of(np.zeros(1, dtype)) for dtype in (">f4", "<i8", "?", "O", "u1")] == [
        "FP32", "INT64", "BOOL", "BYTES", "UINT8",
    ]  # fmt: skip
