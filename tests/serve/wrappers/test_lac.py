"""Sets of likely classes: the formula, one row as among many, and the same around a handler."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.wrappers.lac import Lac

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 10, 77])
def test_a_row_alone_is_held_as_among_others(dtype, classes):
    p = RNG.dirichlet(np.full(classes, 0.3), 100).astype(dtype)
    p[0, 0] = np.nan
    names = tuple(f"class {k}" for k in range(classes))
    for threshold in (0.1, float(1.0 - p[3, 0]), 0.99, math.inf, -math.inf):
        leaf = Lac(threshold, names)
        together = leaf.on_outputs({"probabilities": p})["prediction_set"].tolist()
        assert [leaf.on_outputs({"probabilities": p[[k]]})["prediction_set"][0] for k in range(100)] == together
        wanted = [tuple(names[k] for k in range(classes) if not 1.0 - float(row[k]) > threshold) for row in p]
        assert together == wanted


def test_the_threshold_itself_is_held_and_a_nan_too():
    found = Lac(0.75).on_outputs({"probabilities": np.array([[0.25, 0.249, 0.501], [np.nan, 0.9, 0.1]])})
    assert found["prediction_set"].tolist() == [("0", "2"), ("0", "1")]


def test_not_fitted_it_holds_everything():
    assert Lac().on_outputs({"probabilities": np.array([[1.0, 0.0]])})["prediction_set"].tolist() == [("0", "1")]


def test_other_outputs_and_the_confidence_stay():
    given = {"probabilities": np.array([[0.9, 0.1]]), "confidence": np.array([0.9]), "ood": np.array([1.0])}
    found = Lac(0.5).on_outputs(given)
    assert {name: found[name] for name in given} == given


def test_a_stream_has_no_sets():
    async def stream(request: Request) -> Response:
        async def pieces():
            yield Tensor("text", "BYTES", (1,), ["a"])

        return Response(request.id, pieces())

    with pytest.raises(SpecError, match="stream of tensors cannot go through `lac`"):
        asyncio.run(Lac()(stream)(Request("r", {}, 0.0)))  # type: ignore[arg-type]


def test_around_a_handler_the_response_gets_its_sets():
    async def inner(request: Request) -> Response:
        return Response(request.id, {"probabilities": Tensor("probabilities", "FP32", (2, 2), [0.9, 0.1, 0.5, 0.5])})

    answer = asyncio.run(Lac(0.6, ("a", "b"))(inner)(Request("r", {}, 0.0)))  # type: ignore[arg-type]
    assert answer.prediction_set == [("a",), ("a", "b")]
    assert isinstance(answer.outputs, Mapping)
    assert list(answer.outputs) == ["probabilities"]
