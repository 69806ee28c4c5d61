from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.errors import BadRequest, RoadworthyError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.columns import blocks_of, confidence_of, gather, made_up, scatter

SIGNATURE = Signature(
    {
        "wind": Field("number", nullable=True),
        "hour": Field("integer", low=1, high=24),
        "seats": Field("integer", nullable=True),
        "carrier": Field("category", values=("AA", "UA")),
        "late": Field("boolean"),
        "pixels": Field("number", width=2),
    },
    {"probability": Field()},
)


def request(wind: float | None = 1.0, carrier: str | None = "AA", n: int = 1, identity: str = "r") -> Request:
    return Request(
        identity,
        {
            "wind": Tensor("wind", "FP32", (n,), [wind] * n),
            "hour": Tensor("hour", "INT64", (n, 1), [7] * n),
            "seats": Tensor("seats", "INT64", (n, 1), [None] * n),
            "carrier": Tensor("carrier", "BYTES", (n, 1), [carrier] * n),
            "late": Tensor("late", "BOOL", (n, 1), [True] * n),
            "pixels": Tensor("pixels", "FP32", (n, 2), [0.5, 0.25] * n),
        },
        0.0,
    )


def test_each_kind_has_its_array() -> None:
    got = gather([request(None, None)], blocks_of(SIGNATURE), 1)
    assert {name: (array.dtype.name, array.shape) for name, array in got.items()} == {
        "wind": ("float32", (1, 1)),
        "hour": ("int64", (1, 1)),
        "seats": ("float32", (1, 1)),
        "carrier": ("object", (1, 1)),
        "late": ("bool", (1, 1)),
        "pixels": ("float32", (1, 2)),
    }
    assert math.isnan(got["wind"][0, 0])
    assert math.isnan(got["seats"][0, 0])
    assert got["carrier"][0, 0] is None


def test_rows_stand_in_the_order_of_the_requests() -> None:
    got = gather([request(1.0, n=2), request(2.0), request(3.0, n=2)], blocks_of(SIGNATURE), 5)
    assert got["wind"].tolist() == [[1.0], [1.0], [2.0], [3.0], [3.0]]
    assert got["pixels"].shape == (5, 2)


def test_arrays_and_lists_are_joined() -> None:
    column = blocks_of(Signature({"x": Field(width=2)}, {}))
    binary = Request("a", {"x": Tensor("x", "FP32", (2, 2), np.arange(4, dtype=np.float32).reshape(2, 2))}, 0.0)
    text = Request("b", {"x": Tensor("x", "FP32", (1, 2), [None, 5])}, 0.0)
    got = gather([binary, text], column, 3)["x"]
    np.testing.assert_array_equal(got, np.array([[0, 1], [2, 3], [np.nan, 5]], np.float32))


def test_an_absent_input_is_named_with_the_near_one() -> None:
    column = blocks_of(Signature({"wind_speed": Field()}, {}))
    with pytest.raises(BadRequest, match="no input named 'wind_speed'; did you mean 'wind_sped'"):
        gather([Request("a", {"wind_sped": Tensor("wind_sped", "FP32", (1,), [1.0])}, 0.0)], column, 1)


@pytest.mark.parametrize("data", [["strong"], [1.0, 2.0], []])
def test_a_wrong_value_is_a_bad_request_that_names_the_input(data: list[object]) -> None:
    blocks = blocks_of(Signature({"rain": Field(), "wind": Field()}, {}))
    inputs = {"rain": Tensor("rain", "FP32", (1,), [1.0]), "wind": Tensor("wind", "FP32", (1,), data)}
    with pytest.raises(BadRequest, match="input 'wind' must hold 1 x 1 values of float32"):
        gather([Request("a", inputs, 0.0)], blocks, 1)


def test_outputs_are_cut_by_request_with_their_datatype() -> None:
    outputs = {
        "probability": np.array([0.1, 0.2, 0.3], np.float64),
        "scores": np.arange(6, dtype=np.float32).reshape(3, 2),
        "label": np.array(["a", "b", None], dtype=object),
        "count": np.array([1, 2, 3], np.int64),
    }
    first, nothing, second = scatter(outputs, [2, 0, 1])
    assert first["probability"] == Tensor("probability", "FP64", (2,), [0.1, 0.2])
    assert nothing["scores"] == Tensor("scores", "FP32", (0, 2), [])
    assert second["scores"] == Tensor("scores", "FP32", (1, 2), [4.0, 5.0])
    assert second["label"] == Tensor("label", "BYTES", (1,), [None])
    assert first["count"] == Tensor("count", "INT64", (2,), [1, 2])


@pytest.mark.parametrize(("answer", "said"), [(np.ones(2), "2 rows"), (np.float64(1.0), "one number")])
def test_another_number_of_rows_is_named(answer: np.ndarray, said: str) -> None:
    with pytest.raises(RoadworthyError, match=f"given 3 rows and answered {said} in output 'p'"):
        scatter({"p": answer}, [1, 2])


def test_made_up_rows_keep_to_the_signature() -> None:
    rows = made_up(SIGNATURE, 3)
    assert rows["hour"].tolist() == [[1], [1], [1]]
    assert rows["carrier"].tolist() == [["AA"], ["AA"], ["AA"]]
    assert rows["pixels"].shape == (3, 2)


def test_arrays_alone_are_joined_without_a_look_at_their_values() -> None:
    column = blocks_of(Signature({"x": Field(width=2)}, {}))
    rows = [np.array([1, 2], np.float32), np.array([[3, 4], [5, 6]], np.float64)]
    requests = [Request("r", {"x": Tensor("x", "FP32", (row.size // 2, 2), row)}, 0.0) for row in rows]
    got = gather(requests, column, 3)["x"]
    assert got.dtype == np.float32
    assert got.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("outputs", "sure"),
    [
        ({"probability": np.array([0.25, 0.75, 0.5])}, [0.75, 0.75, 0.5]),
        ({"probability": np.array([[0.25]], np.float32)}, [0.75]),
        ({"probabilities": np.array([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])}, [0.5, 0.9]),
        ({"probability": np.array([0.25]), "confidence": np.array([0.6])}, [0.6]),
        ({"probability": np.zeros((2, 2))}, None),
        ({"probabilities": np.zeros(2)}, None),
        ({"scores": np.zeros((2, 2))}, None),
        ({"probability": np.zeros(0)}, []),
    ],
)
def test_confidence_follows_from_probabilities_or_is_what_the_engine_says(
    outputs: dict[str, np.ndarray], sure: list[float] | None
) -> None:
    assert confidence_of(outputs) == (sure if sure is None else pytest.approx(sure))


def test_a_confidence_is_no_output() -> None:
    (cut,) = scatter({"label": np.array(["a"], object), "confidence": np.array([0.6])}, [1])
    assert list(cut) == ["label"]
