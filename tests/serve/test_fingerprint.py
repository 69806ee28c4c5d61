"""The same input in another spelling has the same fingerprint, and another input has another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.fingerprint import PLAIN_BYTES, Fingerprint


def request(data: Any, shape: tuple[int, ...] = (1, 3), datatype: Any = "FP32", **others: Any) -> Request:
    return Request("r", {"x": Tensor("x", datatype, shape, data)}, 0.0, **others)


def of(*requests: Request) -> set[Any]:
    """The different fingerprints of some requests of one row."""
    made = Fingerprint()
    keys = [made(one) for one in requests]
    assert all(key is not None for key in keys)
    return {key[0] for key in keys if key is not None}


def columns(**values: Any) -> Request:
    tensors = {}
    for name, value in values.items():
        kind: Any = "BYTES" if isinstance(value, str) or value is None else "FP32"
        tensors[name] = Tensor(name, kind, (1,), [value])
    return Request("r", tensors, 0.0)


def test_lists_nested_lists_and_arrays_are_one_input() -> None:
    row = [0.1, -2.5, 1e6]
    arrays = [np.array(row, np.float32), np.array([row], np.float32)]
    assert len(of(request(row), request([row]), *map(request, arrays))) == 1


def test_whole_numbers_are_decimal_numbers_and_integer_tensors() -> None:
    whole = [1, 0, -7]
    assert len(of(request(whole), request([1.0, 0.0, -7.0]), request(whole, datatype="INT64"))) == 1


def test_null_and_nan_are_one_value_and_no_number() -> None:
    arrays = np.array([1.0, math.nan, 2.0], np.float32)
    other_nan = np.array([1.0, 0.0, 2.0], np.float32)
    other_nan.view(np.uint32)[1] = 0xFFC0_0001
    nulls = of(request([1.0, None, 2.0]), request([1.0, math.nan, 2.0]), request(arrays), request(other_nan))
    assert len(nulls) == 1
    assert nulls.isdisjoint(of(request([1.0, 0.0, 2.0])))


def test_the_order_of_names_does_not_count_and_the_names_do() -> None:
    assert len(of(columns(a=1.0, b="UA"), columns(b="UA", a=1.0))) == 1
    assert len(of(columns(a=1.0, b=2.0), columns(a=2.0, b=1.0), columns(a=1.0, c=2.0))) == 3


def test_who_asks_and_when_does_not_count_and_parameters_do() -> None:
    row = [1.0, 2.0, 3.0]
    same = request(row, key="k", tags={"tenant": "a"}, deadline=9.0, priority=1, parameters={"timeout": 7})
    assert len(of(request(row), same)) == 1
    warm, cold = request(row, parameters={"t": 1, "k": 2}), request(row, parameters={"t": 0, "k": 2})
    turned = request(row, parameters={"k": 2, "t": 1})
    assert len(of(request(row), warm, cold, turned)) == 3


def test_text_and_null_and_their_places_are_told_apart() -> None:
    words = [("a", "bc"), ("ab", "c"), ("abc", ""), ("abc", None), ("None", "abc"), (None, "abc"), ("", "abc")]
    assert len(of(*(columns(x=one, y=two) for one, two in words))) == len(words)


def test_vectors_that_run_together_alike_are_told_apart() -> None:
    def pair(first: list[float], second: list[float]) -> Request:
        tensors = {name: Tensor(name, "FP32", (1, len(v)), v) for name, v in (("x", first), ("y", second))}
        return Request("r", tensors, 0.0)

    assert len(of(pair([1.0, 2.0], [3.0]), pair([1.0], [2.0, 3.0]))) == 2


@pytest.mark.parametrize("datatype", ["INT64", "FP32", "FP64"])
@pytest.mark.parametrize("large", [2**24, 2**31, 2**53, 2**62, 10**30])
def test_whole_numbers_of_any_size_are_told_from_their_neighbours(datatype: str, large: int) -> None:
    neighbours = [large - 1, large, large + 1]
    assert len(of(*(request([v], (1, 1), datatype) for v in neighbours))) == 3
    if large < 2**63 and datatype == "INT64":
        assert len(of(request([large + 1], (1, 1), datatype), request(np.array([large + 1]), (1, 1), datatype))) == 1


def test_a_number_is_compared_as_its_datatype_holds_it() -> None:
    near = [[0.1], [0.1 + 1e-12]]
    assert len(of(*(request(row, (1, 1), "FP32") for row in near))) == 1
    assert len(of(*(request(row, (1, 1), "FP64") for row in near))) == 2


def test_infinity_is_an_input_too() -> None:
    assert len(of(request([math.inf], (1, 1)), request([-math.inf], (1, 1)), request([1.0], (1, 1)))) == 3


@given(st.lists(st.lists(st.floats(width=32) | st.none(), min_size=4, max_size=4), min_size=2, max_size=6))
def test_a_row_among_others_has_the_fingerprint_that_it_has_alone(rows: list[list[float | None]]) -> None:
    made, n = Fingerprint(), len(rows)

    def asked(some: list[list[float | None]]) -> Request:
        k, words = len(some), [str(row[3]) for row in some]
        wide = [v for row in some for v in row[:2]]
        inputs = {"w": Tensor("w", "FP32", (k, 2), wide), "a": Tensor("a", "FP64", (k,), [row[2] for row in some])}
        return Request("r", {**inputs, "t": Tensor("t", "BYTES", (k, 1), words)}, 0.0)

    together = made(asked(rows))
    assert together is not None
    assert len(together) == n
    assert together == [key for row in rows for key in made(asked([row])) or ()]


def test_a_long_row_is_digested_and_a_short_one_kept() -> None:
    (short,) = of(request([0.5] * 64, (1, 64)))
    (long,) = of(request([0.5] * 400, (1, 400)))
    assert len(short) <= PLAIN_BYTES
    assert len(long) == 16


@pytest.mark.parametrize("data", [["a", "b", "c"], [1.0, "b", None], [{}, {}, {}]])
def test_what_cannot_be_read_has_no_fingerprint(data: list[Any]) -> None:
    assert Fingerprint()(request(data)) is None


def test_requests_that_do_not_divide_into_rows_or_have_too_many_have_none() -> None:
    assert Fingerprint()(request([1.0, 2.0, 3.0], (2, 2))) is None
    assert Fingerprint(most_rows=2)(request([1.0, 2.0, 3.0], (3, 1))) is None
    assert Fingerprint()(Request("r", {"t": Tensor("t", "BYTES", (1,), ["\ud800"])}, 0.0)) is None
    assert Fingerprint()(request([], (0, 3))) is None
    assert Fingerprint()(Request("r", {}, 0.0)) is None


def test_many_layouts_do_not_fill_the_memory() -> None:
    made = Fingerprint()
    for k in range(200):
        made(columns(**{f"c{k}": 1.0}))
    assert len(made._layouts) <= 64
