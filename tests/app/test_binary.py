"""Tensors as bytes come back as they went, and bytes that do not add up are refused by name."""

from __future__ import annotations

import struct
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.app.binary import from_bytes, to_bytes
from roadworthy.core.errors import BadRequest, RoadworthyError
from roadworthy.core.wire import Datatype, Tensor

NUMPY = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
}


def read(datatype, shape, raw) -> Tensor:
    return from_bytes("x", datatype, shape, memoryview(raw))


@pytest.mark.parametrize("datatype", NUMPY)
def test_numbers_are_read_as_numpy_writes_them_and_written_back(datatype):
    values = np.array([[0, 1], [1, 0], [1, 1]], NUMPY[datatype])
    tensor = read(datatype, (3, 2), values.tobytes())
    assert tensor.data.dtype == values.dtype
    assert tensor.data.tolist() == [0, 1, 1, 0, 1, 1]
    assert to_bytes(tensor) == to_bytes(Tensor("x", datatype, (3, 2), tensor.data.tolist())) == values.tobytes()


def test_every_datatype_is_known():
    assert {*NUMPY, "BYTES"} == set(get_args(Datatype))


def test_numbers_lie_in_the_memory_in_which_they_came():
    raw = np.arange(4.0).tobytes()
    assert np.shares_memory(read("FP64", (4,), raw).data, np.frombuffer(raw, np.uint8))


def test_numbers_that_begin_at_an_odd_place_are_moved_to_an_even_one():
    raw = memoryview(b"{" + np.arange(4.0).tobytes())[1:]
    values = from_bytes("x", "FP64", (4,), raw).data
    assert values.flags.aligned
    assert values.tolist() == [0, 1, 2, 3]


@given(st.lists(st.text()))
def test_texts_come_back_as_they_went(texts):
    raw = to_bytes(Tensor("x", "BYTES", (len(texts),), texts))
    assert read("BYTES", (len(texts),), raw).data == texts
    assert raw[:4] == (struct.pack("<I", len(texts[0].encode())) if texts else b"")


def test_a_null_is_nan_among_numbers_and_empty_among_texts():
    assert np.isnan(np.frombuffer(to_bytes(Tensor("x", "FP32", (2,), [None, 1.0])), "f4")[0])
    assert to_bytes(Tensor("x", "BYTES", (3,), [None, b"\xff", "é"])) == bytes(4) + b"\1\0\0\0\xff\2\0\0\0\xc3\xa9"


@given(st.binary(max_size=40), st.sampled_from(get_args(Datatype)), st.lists(st.integers(-1, 2**70), max_size=9))
def test_whatever_bytes_come_they_are_a_tensor_or_refused_by_name(raw, datatype, shape):
    try:
        came_back = to_bytes(read(datatype, tuple(shape), raw)) == raw
    except BadRequest as refused:
        came_back = "input 'x' " in str(refused)
    assert came_back


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "says"),
    [
        ("FP32", (2,), bytes(7), "has 7 bytes; allowed: 8, as its shape [2] and datatype FP32 say"),
        ("FP32", (2, 10**15), bytes(8), "has 8 bytes; allowed: 8000000000000000,"),
        ("BOOL", (3,), b"\0\1\2", "has the byte 2 at value 2; allowed: 0 or 1"),
        ("INT8", (-1,), b"\0", "has shape [-1]; allowed: sizes of 0 or more, at most 8"),
        ("INT8", (1,) * 9, b"\0", "has shape [1, 1, 1, 1, 1, 1, 1, 1, 1]; allowed"),
        ("BYTES", (2,), b"\0\0\0", "has 3 bytes; allowed: at least 8, for the lengths of the 2 texts"),
        ("BYTES", (10**15,), b"\0\0\0\0", "has 4 bytes; allowed: at least 4000000000000000,"),
        ("BYTES", (1,), b"\5\0\0\0a", "ends within text 0; allowed: 4 bytes of length, then so many bytes"),
        ("BYTES", (2,), b"\1\0\0\0a\0\0\0", "ends within text 1;"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "ends within text 0;"),
        ("BYTES", (1,), b"\1\0\0\0ab", "has 1 bytes after its 1 texts; allowed: none"),
        ("BYTES", (1,), b"\1\0\0\0\xff", "has a text at 0 that is not UTF-8"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused_by_name(datatype, shape, raw, says):
    with pytest.raises(BadRequest) as refused:
        read(datatype, shape, raw)
    assert f"input 'x' {says}" in str(refused.value)


def test_an_answer_that_is_no_number_is_told_with_what_to_do():
    with pytest.raises(RoadworthyError, match=r"output 'x' does not fit its datatype FP32: .*; ask for it as JSON"):
        to_bytes(Tensor("x", "FP32", (1,), ["high"]))
