"""The three forms of an `infer` body mean the same, and one that does not add up is refused by the input's name."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from roadworthy.app.exchange import Call
from roadworthy.app.infer_body import read_infer
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.spec import Field, Signature

SIGNATURE = Signature({"x": Field(width=2), "word": Field("text")}, {"probability": Field()})
ONE = Signature({"x": Field(width=2)}, {"probability": Field()})

X = {"name": "x", "datatype": "FP32", "shape": [2, 2]}
WORD = {"name": "word", "datatype": "BYTES", "shape": [2]}
X_BYTES = np.array([1, 2, 3, 4], "<f4").tobytes()
WORD_BYTES = b"\1\0\0\0a\2\0\0\0\xc3\xa9"


def sized(tensor, raw, **parameters):
    return {**tensor, "parameters": {"binary_data_size": len(raw), **parameters}}


def call(body, blob=b"", length=None, **headers) -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if blob or length is not None:
        told[b"inference-header-content-length"] = b"%d" % len(raw) if length is None else length
    return Call(b"POST", b"/v2/models/m/infer", b"", told, raw + blob)


def told(asked):
    return [(t.name, t.datatype, t.shape, list(t.data)) for t in asked.inputs]


def test_bytes_behind_the_json_are_what_the_json_could_have_said():
    plain = {
        "id": "a",
        "inputs": [{**X, "data": [1, 2, 3, 4]}, {**WORD, "data": ["a", "é"]}],
        "parameters": {"key": "k"},
    }
    binary = {**plain, "inputs": [sized(X, X_BYTES), sized(WORD, WORD_BYTES)]}
    mixed = {**plain, "inputs": [{**X, "data": [1, 2, 3, 4]}, sized(WORD, WORD_BYTES)]}
    want = read_infer(call(plain), SIGNATURE)
    for asked in (
        read_infer(call(binary, X_BYTES + WORD_BYTES), SIGNATURE),
        read_infer(call(mixed, WORD_BYTES), SIGNATURE),
    ):
        assert told(asked) == told(want)
        assert (asked.id, asked.parameters) == ("a", {"key": "k"})


def test_json_alone_may_say_how_long_it_is():
    body = json.dumps({"inputs": [{**X, "data": [1, 2, 3, 4]}]}).encode()
    assert told(read_infer(call(body, length=b"%d" % len(body)), ONE)) == [("x", "FP32", (2, 2), [1, 2, 3, 4])]


def test_the_only_input_may_come_alone_as_one_row_and_is_answered_as_bytes():
    asked = read_infer(call(struct.pack("<2f", 1.5, 2.5), length=b"0"), ONE)
    assert told(asked) == [("x", "FP32", (1, 2), [1.5, 2.5])]
    assert asked.parameters == {"binary_data_output": True}
    word = Signature({"word": Field("text")}, {"probability": Field()})
    assert told(read_infer(call("é!".encode(), length=b"0"), word)) == [("word", "BYTES", (1,), ["é!"])]


@pytest.mark.parametrize(
    ("inputs", "blob", "says"),
    [
        ([sized(X, X_BYTES)], X_BYTES[:-1], "input 'x' has `binary_data_size` 16; allowed: 0 to the 15 bytes left"),
        ([sized(X, X_BYTES)], X_BYTES + b"!", "1 bytes follow those of input 'x'; allowed: as many as"),
        ([sized(X, b"12345")], b"12345", "input 'x' has 5 bytes; allowed: 16, as its shape [2, 2] and datatype FP32"),
        ([sized(X, b"", binary_data_size=-1)], b"!", "input 'x' has `binary_data_size` -1; allowed: 0 to the 1"),
        ([sized(X, b"", binary_data_size="16")], b"!", "input 'x' has `binary_data_size` '16'; allowed"),
        ([sized({**X, "data": [1]}, X_BYTES)], X_BYTES, "input 'x' has `data` and `binary_data_size`; allowed: one"),
        ([X], b"!", "input 'x' has neither `data` nor `binary_data_size`; allowed: one of them"),
        ([{**X, "datatype": "BF16"}], b"!", "input 'x': Invalid enum value 'BF16'"),
        ([], b"!", "1 bytes follow those of input"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused_by_the_inputs_name(inputs, blob, says):
    with pytest.raises(RoadworthyError) as refused:
        read_infer(call({"inputs": inputs}, blob), SIGNATURE)
    assert refused.value.status == 400
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        (call(b"{}", length=b"3"), 400, "`Inference-Header-Content-Length` is '3'; allowed: 0 to the body's 2"),
        (call(b"{}", length=b"-1"), 400, "`Inference-Header-Content-Length` is '-1'; allowed"),
        (call(b"{}", length=b"two"), 400, "`Inference-Header-Content-Length` is 'two'; allowed"),
        (call(b"12345678", length=b"0"), 400, "the model has 2 inputs; allowed: `Inference-Header-Content-Length: 0`"),
        (call(b"{}", content_encoding="gzip"), 415, "`content-encoding` is 'gzip'; allowed: none, send the body as"),
    ],
)
def test_headers_that_do_not_fit_the_body_are_refused(asked, status, says):
    with pytest.raises(RoadworthyError) as refused:
        read_infer(asked, SIGNATURE)
    assert refused.value.status == status
    assert str(refused.value).startswith(says)


def test_a_body_that_is_plain_may_say_so():
    assert read_infer(call({"inputs": []}, content_encoding="identity"), SIGNATURE).inputs == []
