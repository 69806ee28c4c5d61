"""Whatever does not fit the signature is refused once, with the input, what was given, and what is allowed."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.app.edge import Edge, read_body
from roadworthy.app.openinference import InferRequest
from roadworthy.core.errors import BadRequest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Tensor

SIGNATURE = Signature(
    {
        "delay": Field("number"),
        "wind": Field("number", nullable=True),
        "hour": Field("integer"),
        "carrier": Field("category", nullable=True),
        "holiday": Field("boolean"),
        "vector": Field("number", width=2),
    },
    {"probability": Field()},
)


def edge(clock="wall") -> Edge:
    return Edge(SIGNATURE, clock, now=lambda: 1000.0, rng=Random(0))


def tensors(**changed) -> list[Tensor]:
    right = {
        "delay": Tensor("delay", "FP32", (1,), [1.5]),
        "wind": Tensor("wind", "FP64", (1, 1), [None]),
        "hour": Tensor("hour", "INT64", (1,), [5]),
        "carrier": Tensor("carrier", "BYTES", (1,), ["UA"]),
        "holiday": Tensor("holiday", "BOOL", (1,), [True]),
        "vector": Tensor("vector", "FP32", (1, 2), [1, 2.0]),
    }
    return [t for t in {**right, **changed}.values() if t is not None]


def test_a_right_request_passes_with_what_it_brought():
    request = edge().request("a", tensors(), {"key": "N1", "tags": {"origin": "JFK"}, "at": 5.0, "mine": 1})
    assert (request.id, request.key, request.tags, request.at) == ("a", "N1", {"origin": "JFK"}, 1000.0)
    assert request.parameters == {"mine": 1}
    assert request.n == 1
    assert request.inputs["vector"].data.tolist() == [1.0, 2.0]


def test_the_time_of_a_request_counts_only_where_the_clock_is_the_request():
    assert edge("request").request("a", tensors(), {"at": 5}).at == 5.0
    assert edge("request").request("a", tensors(), None).at == 1000.0


def test_an_id_is_made_in_the_order_of_time():
    at = iter([1.0, 1.0, 2.0])
    door = Edge(SIGNATURE, now=lambda: next(at), rng=Random(0))
    ids = [door.request(None, tensors(), None).id for _ in range(3)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("datatype", "data"), [("FP16", [1.0]), ("INT8", [1]), ("UINT64", [1]), ("FP64", [1]), ("INT32", [1.5])]
)
def test_a_number_may_come_in_any_numeric_datatype(datatype, data):
    request = edge().request("a", tensors(delay=Tensor("delay", datatype, (1,), data)), None)
    assert request.inputs["delay"].data == data


def test_whole_floats_are_integers_and_nested_rows_are_flattened():
    request = edge().request(
        "a",
        [
            Tensor("delay", "FP32", (2, 1), [[1.0], [2.0]]),
            Tensor("wind", "FP32", (2,), [float("nan"), 3.0]),
            Tensor("hour", "FP64", (2,), [3.0, 4.0]),
            Tensor("carrier", "BYTES", (2,), ["UA", None]),
            Tensor("holiday", "BOOL", (2,), [True, False]),
            Tensor("vector", "FP32", (2, 2), [[1, 2], [3, 4]]),
        ],
        None,
    )
    assert request.n == 2
    assert request.inputs["delay"].data == [1.0, 2.0]
    assert request.inputs["vector"].data.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert request.inputs["wind"].data == [None, 3.0]


WRONG = {
    "a name that nobody knows": (
        {"delay": Tensor("delya", "FP32", (1,), [1.0])},
        "no input named 'delya'; did you mean 'delay'? (known: carrier, delay, holiday, hour, vector, wind)",
    ),
    "a missing input": (
        {"delay": None, "hour": None},
        "input 'delay', 'hour' is missing (given: wind, carrier, holiday, vector)",
    ),
    "an input given twice": (
        {"again": Tensor("delay", "FP32", (1,), [1.0])},
        "input 'delay' is given more than once; allowed: once",
    ),
    "a wrong datatype": (
        {"carrier": Tensor("carrier", "FP32", (1,), [1.0])},
        "input 'carrier' has datatype 'FP32'; allowed: BYTES",
    ),
    "text where a number is due": (
        {"delay": Tensor("delay", "FP32", (1,), ["late"])},
        "input 'delay' has \"late\" in row 0; allowed: a finite number (not nullable)",
    ),
    "a boolean where a number is due": (
        {"delay": Tensor("delay", "FP32", (1,), [True])},
        "input 'delay' has true in row 0; allowed: a finite number (not nullable)",
    ),
    "a number where text is due": (
        {"carrier": Tensor("carrier", "BYTES", (1,), [3])},
        "input 'carrier' has 3 in row 0; allowed: text, or null",
    ),
    "a null where none may be": (
        {"delay": Tensor("delay", "FP32", (1,), [None])},
        "input 'delay' has null in row 0; allowed: a finite number (not nullable)",
    ),
    "a NaN where none may be": (
        {"delay": Tensor("delay", "FP32", (1,), [float("nan")])},
        "input 'delay' has NaN in row 0; allowed: a finite number (not nullable)",
    ),
    "an infinity": (
        {"wind": Tensor("wind", "FP32", (1,), [float("inf")])},
        "input 'wind' has Infinity in row 0; allowed: a finite number, or null",
    ),
    "a number that is infinite as a float32": (
        {"delay": Tensor("delay", "FP64", (1,), [1e39])},
        "input 'delay' has 1e+39 in row 0; allowed: a finite number (not nullable)",
    ),
    "a fraction where an integer is due": (
        {"hour": Tensor("hour", "FP32", (1,), [3.5])},
        "input 'hour' has 3.5 in row 0; allowed: a whole number (not nullable)",
    ),
    "an integer that is too large": (
        {"hour": Tensor("hour", "INT64", (1,), [2**70])},
        f"input 'hour' has {2**70} in row 0; allowed: a whole number (not nullable)",
    ),
    "a number where a boolean is due": (
        {"holiday": Tensor("holiday", "BOOL", (1,), [1])},
        "input 'holiday' has 1 in row 0; allowed: true or false (not nullable)",
    ),
    "a wrong shape": (
        {"delay": Tensor("delay", "FP32", (1, 2), [1.0, 2.0])},
        "input 'delay' has shape [1, 2]; allowed: [n] or [n, 1]",
    ),
    "no shape": ({"delay": Tensor("delay", "FP32", (), [1.0])}, "input 'delay' has shape []; allowed: [n] or [n, 1]"),
    "a vector that is too short": (
        {"vector": Tensor("vector", "FP32", (1,), [1.0])},
        "input 'vector' has shape [1]; allowed: [n, 2]",
    ),
    "data that is not as long as its shape": (
        {"delay": Tensor("delay", "FP32", (2,), [1.0])},
        "input 'delay' has 1 values; allowed: 2, as its shape [2] says",
    ),
    "a negative shape": (
        {"delay": Tensor("delay", "FP32", (-1,), [1.0])},
        "input 'delay' has 1 values; allowed: -1, as its shape [-1] says",
    ),
    "a column of another length": (
        {"vector": Tensor("vector", "FP32", (2, 2), [1, 2, 3, 4])},
        "input 'vector' has 2 rows and 'delay' has 1; allowed: the same number in every input",
    ),
    "data that is no list": (
        {"delay": Tensor("delay", "FP32", (1,), "abc")},
        "input 'delay' has 'abc' for `data`; allowed: a list",
    ),
    "rows and values mixed": (
        {"vector": Tensor("vector", "FP32", (1, 2), [[1], 2])},
        "input 'vector' mixes rows and values in `data`; allowed: a flat list, or one list a row",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_tensor_is_refused_by_name(case):
    changed, says = WRONG[case]
    with pytest.raises(BadRequest) as wrong:
        edge().request("a", tensors(**changed), None)
    assert str(wrong.value) == says


@pytest.mark.parametrize("value", [None, float("nan"), "x", 1e39])
def test_the_row_of_a_wrong_value_is_named(value):
    rows = [Tensor("delay", "FP32", (3,), [1.0, 2.0, value])]
    with pytest.raises(BadRequest, match=r"input 'delay' has .* in row 2; allowed: a finite number"):
        Edge(Signature({"delay": Field()}, {})).request("a", rows, None)


def test_no_rows_are_no_question():
    with pytest.raises(BadRequest, match="at least one"):
        Edge(Signature({"delay": Field()}, {})).request("a", [Tensor("delay", "FP32", (0,), [])], None)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"key": 3}, "parameter `key` is 3; allowed: text"),
        ({"tags": ["a"]}, "parameter `tags` is ['a']; allowed: an object of text values"),
        ({"tags": {"a": 1}}, "parameter `tags` is {'a': 1}; allowed: an object of text values"),
        ({"at": "now"}, "parameter `at` is 'now'; allowed: Unix seconds"),
        ({"at": True}, "parameter `at` is True; allowed: Unix seconds"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters, says):
    with pytest.raises(BadRequest) as wrong:
        edge().request("a", tensors(), parameters)
    assert str(wrong.value) == says


def test_an_id_has_a_limit():
    with pytest.raises(BadRequest, match="`id` has 201 characters; allowed: 200"):
        edge().request("x" * 201, tensors(), None)


BODIES = {
    b"": "the body is empty; allowed: a JSON object",
    b"{": "the body is not JSON: Input data was truncated",
    b"\xff": "the body is not JSON: JSON is malformed: invalid character (byte 0)",
    b"[]": "the body does not fit: Expected `object`, got `array`",
    b"{}": "the body does not fit: Object missing required field `inputs`",
    b'{"inputs":[{"name":"delay","datatype":"FP31","shape":[1],"data":[1]}]}': (
        "input 'delay': Invalid enum value 'FP31' - at `$.inputs[0].datatype` "
        "(allowed: BOOL, BYTES, FP16, FP32, FP64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64)"
    ),
    b'{"inputs":[{"name":"delay","datatype":"FP32","shape":"1","data":[1]}]}': (
        "input 'delay': Expected `array`, got `str` - at `$.inputs[0].shape`"
    ),
    b'{"inputs":[{"name":"delay","datatype":"FP32","shape":[1]}]}': (
        "input 'delay': Object missing required field `data` - at `$.inputs[0]`"
    ),
    b'{"inputs": NaN, "data": [': "the body is not JSON: Expecting value: line 1 column 26 (char 25)",
    b'{"inputs":[{"name":7,"data":[NaN]}]}': "input 7: Expected `str`, got `int` - at `$.inputs[0].name`",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_not_the_protocol_says_why(body):
    with pytest.raises(BadRequest) as wrong:
        read_body(msgspec.json.Decoder(InferRequest), body)
    assert str(wrong.value) == BODIES[body]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_json_does_not_know_are_told_by_their_input(number):
    body = b'{"inputs":[{"name":"delay","datatype":"FP32","shape":[1],"data":[%b]}]}' % number
    read = read_body(msgspec.json.Decoder(InferRequest), body)
    with pytest.raises(BadRequest, match=r"input 'delay' has -?(NaN|Infinity) in row 0"):
        Edge(Signature({"delay": Field()}, {})).request("a", read.inputs, None)


def test_deep_nesting_is_refused_and_not_a_crash():
    body = b'{"inputs":' + b"[" * 100_000
    with pytest.raises(BadRequest):
        read_body(msgspec.json.Decoder(InferRequest), body)
    with pytest.raises(BadRequest):
        read_body(msgspec.json.Decoder(InferRequest), b'{"parameters":{"a":' + b"[" * 100_000 + b"NaN")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=JSON, shape=st.lists(st.integers(-2, 3), max_size=3), datatype=st.sampled_from(["FP32", "INT8", "BYTES"]))
def test_any_tensor_is_accepted_flat_or_refused_with_a_sentence(data, shape, datatype):
    signature = Signature({"x": Field("number", nullable=True)}, {})
    refused, values = "", []
    try:
        values = Edge(signature).request("a", [Tensor("x", datatype, tuple(shape), data)], None).inputs["x"].data
    except BadRequest as wrong:
        refused = str(wrong)
    assert "allowed:" in refused or (len(values) == shape[0] >= 1)
    assert all(v is None or abs(v) <= 3.5e38 for v in values)


@given(st.binary(max_size=60) | JSON.map(msgspec.json.encode))
def test_any_body_is_read_or_refused_and_nothing_else(body):
    with suppress(BadRequest):
        assert isinstance(read_body(msgspec.json.Decoder(InferRequest), body), InferRequest)


WIDE = Signature({"v": Field(width=3)}, {"p": Field()})


def vector(data, shape=(1, 3), datatype="FP32", signature=WIDE):
    (name,) = signature.inputs
    return Edge(signature).request("a", [Tensor(name, datatype, shape, data)], None).inputs[name].data


@pytest.mark.parametrize(("data", "shape"), [([0.1, 2, -3.5], (1, 3)), ([[0.1, 2, -3.5], [1, 2, 3]], (2, 3))])
def test_a_vector_of_fp32_becomes_an_array_of_32_bit_floats(data, shape):
    got = vector(data, shape)
    assert got.dtype == np.float32
    assert got.tolist() == np.array(data, np.float32).reshape(-1).tolist()


def test_a_vector_of_another_datatype_keeps_every_digit():
    assert vector([0.1, 2, -3.5], datatype="FP64") == [0.1, 2, -3.5]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "has true in row 1"),
        ("1.5", 'has "1.5" in row 1'),
        (None, "has null in row 1; allowed: a finite number (not nullable)"),
        (1e39, "has 1e\\+39 in row 1"),
        (float("nan"), "has NaN in row 1"),
        (float("-inf"), "has -Infinity in row 1"),
        (10**400, "in row 1"),
        ([1.0], "mixes rows|in row 1"),
    ],
)
def test_a_wrong_value_in_a_vector_is_found_and_shown(value, said):
    with pytest.raises(BadRequest, match=f"input 'v' .*({said})".replace("(not nullable)", r"\(not nullable\)")):
        vector([0.0, 0.0, 0.0, 0.0, value, 0.0], (2, 3))


def test_a_large_but_allowed_vector_is_taken():
    assert vector([3.4e38, -3.4e38, 3.4e38]) == [3.4e38, -3.4e38, 3.4e38]
    assert vector(np.array([3.4e38, 0, 0], np.float32)).tolist() == [float(np.float32(3.4e38)), 0.0, 0.0]


def test_a_null_in_a_nullable_vector_stays_one():
    nullable = Signature({"v": Field(width=3, nullable=True)}, {"p": Field()})
    for data in ([1.0, None, 2.0], [1.0, float("nan"), 2.0], np.array([1.0, np.nan, 2.0], np.float32)):
        assert vector(data, signature=nullable) == [1.0, None, 2.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
def test_an_array_of_numbers_within_bounds_passes_as_it_is(dtype):
    given = np.arange(6, dtype=dtype).reshape(2, 3)
    got = vector(given, (2, 3))
    assert got.base is given or got.base is given.base
    assert got.shape == (6,)


@pytest.mark.parametrize(
    ("kind", "array", "said"),
    [
        ("number", np.array([1.0, np.nan, 2.0]), "has NaN in row 0"),
        ("number", np.array([1.0, 1e39, 2.0]), r"has 1e\+39 in row 0"),
        ("number", np.array([True, False, True]), "has true in row 0"),
        ("integer", np.array([1, 2**63, 3], np.uint64), "has 9223372036854775808 in row 0"),
        ("integer", np.array([1.5, 2.0, 3.0]), "has 1.5 in row 0"),
        ("number", np.array([1.0, 2.0]), "has 2 values"),
    ],
)
def test_a_wrong_value_in_an_array_is_found_and_shown(kind, array, said):
    with pytest.raises(BadRequest, match=f"input 'v' {said}"):
        vector(array, datatype="FP64", signature=Signature({"v": Field(kind, width=3)}, {"p": Field()}))


def test_a_vector_of_integers_stays_a_list_whose_values_are_whole():
    whole = Signature({"v": Field("integer", width=3)}, {"p": Field()})
    assert vector([1.0, 2, 3], signature=whole) == [1.0, 2, 3]
    with pytest.raises(BadRequest, match=r"input 'v' has 1.5 in row 0; allowed: a whole number"):
        vector([1.5, 2, 3], signature=whole)


def test_whole_floats_in_an_array_are_integers():
    assert vector(np.array([1.0, 2.0, 3.0]), signature=Signature({"v": Field("integer", width=3)}, {})) == [1, 2, 3]


def test_a_request_without_a_deadline_gets_the_deployment_s():
    edge = Edge(Signature({"a": Field()}, {}), timeout_seconds=2.0, monotonic=lambda: 40.0)
    assert edge.request("r", [Tensor("a", "FP32", (1,), [1.0])], None).deadline == 42.0
    assert edge.request("r", [Tensor("a", "FP32", (1,), [1.0])], {"key": "k"}).deadline == 42.0
    assert Edge(Signature({"a": Field()}, {})).request("r", [Tensor("a", "FP32", (1,), [1.0])], None).deadline is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"\\ud800","inputs":[],"more":NaN}',
        b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1' + b"0" * 400 + b"]}]}",
    ],
)
def test_what_no_answer_and_no_float_could_hold_is_refused(body):
    edge = Edge(Signature({"a": Field(nullable=True)}, {}))

    def ask():
        asked = read_body(msgspec.json.Decoder(InferRequest), body)
        return edge.request(asked.id, asked.inputs, asked.parameters)

    with pytest.raises(BadRequest):
        ask()
