"""Under a known shift of the inputs, weighted rows cover as promised where plain ones do not."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.fitting import fit as fit_plain
from roadworthy.serve.conformal.shift import Ratio
from roadworthy.serve.conformal.thresholds import threshold_at
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.weighted import Weighted, effective_rows, fit, promised

# Calibrated where x is normal around 0, asked where it is normal around 1: the ratio is exp(x - 1/2).
RATIO = Ratio(-0.5, {"x": 1.0})


def drawn(rng, n, centre):
    """The noise grows with x."""
    x = rng.normal(centre, 1, n)
    return x, np.exp(x / 2) * rng.normal(size=n), {"prediction": np.zeros(n)}


def twice(request: Request) -> list[float]:
    """A ratio of one's own."""
    return [2.0] * request.n


def test_coverage_holds_under_the_shift_and_does_not_without_weights():
    rng, own, plain = np.random.default_rng(0), [], []
    for _ in range(60):
        x, y, outputs = drawn(rng, 300, 0.0)
        fitted = fit(Absolute(), y, outputs, RATIO.of_columns({"x": x}), 0.9, RATIO)
        x, y, _ = drawn(rng, 300, 1.0)
        weights = fitted.ratio.of_columns({"x": x})
        own.append(np.mean([abs(off) <= fitted.threshold_for(w) for off, w in zip(y, weights, strict=True)]))
        plain.append((np.abs(y) <= fit_plain(Absolute(), *drawn(rng, 300, 0.0)[1:], 0.9).threshold).mean())
    spread = math.sqrt(0.09 / 60 * (1 / 300 + 1 / effective_rows(fitted.weights)))
    assert 0.9 - 4 * spread < np.mean(own) < 0.93
    assert np.mean(plain) < 0.85


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(1)
    y = rng.normal(size=57)
    fitted = fit(Absolute(), y, {"prediction": np.zeros(57)}, np.full(57, 3.0), 0.9, Ratio(math.log(3.0)))
    assert fitted.threshold_for(1.0) == threshold_at(np.sort(np.abs(y)).tolist(), 0.9)
    assert (fitted.effective, promised(fitted).n) == (pytest.approx(57), 57)
    assert fitted.ratio.intercept == pytest.approx(0.0)


def test_the_threshold_is_the_weighted_quantile_written_out():
    leaf = Weighted("absolute", (1.0, 2.0, 3.0, 4.0), (4.0, 3.0, 2.0, 1.0), target=0.5)
    for weight in (0.1, 1.0, 4.0, 9.0, 10.0, 11.0):
        share = np.cumsum(leaf.weights) / (10.0 + weight)
        wanted = next((s for s, p in zip(leaf.scores, share, strict=True) if p >= 0.5 - 1e-12), math.inf)
        assert leaf.threshold_for(weight) == wanted
    assert leaf.threshold_for(10.5) == math.inf


def answer(leaf: Weighted, x: list[float | None]) -> list[float]:
    n = len(x)

    async def inner(request: Request) -> Response:
        return Response(request.id, {"prediction": Tensor("prediction", "FP64", (n,), [0.0] * n)})

    request = Request("r", {"x": Tensor("x", "FP64", (n, 1), x)}, 0.0)
    found = asyncio.run(leaf(inner)(request)).outputs["high"].data  # type: ignore[arg-type, index]
    return list(found)


def test_a_request_is_weighed_row_by_row_and_one_out_of_all_proportion_holds_everything():
    leaf = Weighted("absolute", (1.0, 2.0, 3.0, 4.0), (4.0, 3.0, 2.0, 1.0), Ratio(0.0, {"x": 1.0}), target=0.5)
    assert answer(leaf, [0.0, 2.0, 99.0, None]) == [
        leaf.threshold_for(w) for w in (1.0, math.exp(2), math.exp(99), 1.0)
    ]
    assert answer(leaf, [99.0]) == [math.inf]


def test_a_function_may_give_the_ratio(monkeypatch):
    import sys
    import types

    module = types.ModuleType("ratios_of_mine")
    module.twice = twice  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ratios_of_mine", module)
    leaf = Weighted("absolute", (1.0, 2.0), (1.0, 2.0), function="ratios_of_mine:twice", target=0.5)
    assert answer(leaf, [0.0]) == [leaf.threshold_for(2.0)]


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([1.0] * 39, "needs a finite weight"),
        ([math.nan] + [1.0] * 39, "needs a finite weight"),
        ([-1.0] + [1.0] * 39, "needs a finite weight"),
        ([0.0] * 40, "not all may be 0"),
        ([1e6] * 3 + [1.0] * 37, r"3 labelled rows of effect \(40 rows"),
    ],
)
def test_weights_that_can_promise_nothing_are_refused(weights, told):
    with pytest.raises(BadData, match=told):
        fit(Absolute(), np.arange(40.0), {"prediction": np.zeros(40)}, weights)


def test_the_plan_makes_it_again_and_must_be_whole():
    fitted = fit(Absolute(), np.arange(40.0), {"prediction": np.zeros(40)}, np.arange(40.0), 0.9, RATIO)
    assert wrapper.make(write_plan(fitted)) == fitted
    with pytest.raises(ValueError, match="belong together, got 1 and 0"):
        Weighted("lac", (0.5,))


@pytest.mark.parametrize("weight", [math.nan, -1.0, math.inf])
def test_a_row_whose_weight_is_none_is_held_entirely(weight):
    leaf = Weighted("absolute", (1.0, 2.0), (1.0, 1.0), target=0.5)
    assert leaf.threshold_for(weight) == math.inf


def one_weight(request: Request) -> list[float]:
    """A ratio that forgets rows."""
    return [1.0]


def test_a_function_that_forgets_rows_is_named():
    leaf = Weighted("absolute", (1.0, 2.0), (1.0, 1.0), function=f"{__name__}:one_weight")
    object.__setattr__(leaf, "_ratios", one_weight)

    async def inner(request: Request) -> Response:
        return Response(request.id, {"prediction": Tensor("prediction", "FP64", (2,), [1.0, 2.0])})

    with pytest.raises(SpecError, match="must weigh each of 2 rows, and gave 1 weights"):
        asyncio.run(leaf(inner)(Request("r", {"x": Tensor("x", "FP64", (2,), [1.0, 2.0])}, 0.0)))
