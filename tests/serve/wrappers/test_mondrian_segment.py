"""Every segment has its own threshold; one never seen gets the most cautious, and the path tells, or is refused."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, BadRequest
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.recorded import rows_of
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.mondrian_segment import MondrianSegment, fit, promised

THRESHOLDS = {"": 0.7, "JFK": 0.5, "LGA": 0.9}
LAC = MondrianSegment("lac", "origin", THRESHOLDS)


def asked(leaf: MondrianSegment, origins: list[Any], tags: dict[str, str] | None = None) -> tuple[Request, Response]:
    n = len(origins)

    async def inner(request: Request) -> Response:
        return Response(request.id, {
            "probabilities": Tensor("probabilities", "FP64", (n, 3), [0.6, 0.3, 0.1] * n),
            "prediction": Tensor("prediction", "FP64", (n,), [1.0] * n),
        })  # fmt: skip

    inputs = {"origin": Tensor("origin", "BYTES", (n, 1), origins), "x": Tensor("x", "FP32", (n,), [0.0] * n)}
    request = Request("r", inputs, 0.0, tags=tags or {})
    return request, asyncio.run(leaf(inner)(request))  # type: ignore[arg-type]


def test_each_row_is_held_by_the_threshold_of_its_segment():
    _, answer = asked(LAC, ["JFK", "LGA"])
    assert (answer.prediction_set, answer.path, answer.paths) == ([("0",), ("0", "1", "2")], (), None)
    assert asked(LAC, ["JFK"])[1].prediction_set == [("0",)]


def test_a_tag_of_the_request_goes_before_an_input_of_that_name():
    assert asked(LAC, ["JFK"], {"origin": "LGA"})[1].prediction_set == [("0", "1", "2")]


def test_a_segment_never_seen_gets_the_most_cautious_threshold_and_its_row_tells():
    request, answer = asked(LAC, ["JFK", "EWR", None])
    assert answer.prediction_set == [("0",), ("0", "1", "2"), ("0", "1", "2")]
    assert answer.path == ()
    seen, unseen, none = rows_of(request, answer)
    assert (seen.path, len(none.path)) == ((), 1)
    (step,) = unseen.path
    assert (step.at, step.because) == (
        "mondrian_segment",
        "no labelled rows of origin 'EWR': the most cautious threshold of all, 0.9",
    )


def test_what_all_rows_went_through_is_on_their_common_path():
    _, answer = asked(LAC, ["EWR", "EWR"])
    assert ([step.at for step in answer.path], answer.paths) == (["mondrian_segment"], None)


def test_a_segment_never_seen_is_refused_where_that_is_asked_for():
    with pytest.raises(BadRequest, match=r"no labelled rows of origin 'JFQ' .*did you mean 'JFK'.*known: 'JFK', 'LGA'"):
        asked(MondrianSegment("lac", "origin", THRESHOLDS, unseen="refuse"), ["JFQ"])


def test_intervals_have_segments_too_and_numbers_are_names():
    leaf = MondrianSegment("absolute", "x", {"": 1.0, "0": 2.0})
    _, answer = asked(leaf, ["JFK", "LGA"])
    assert answer.outputs["low"].data == [-1.0, -1.0]  # type: ignore[index]
    assert (answer.prediction_set, answer.path) == (None, ())


def test_without_thresholds_everything_is_held():
    assert asked(MondrianSegment("lac", "origin"), ["JFK"])[1].prediction_set == [("0", "1", "2")]


def test_each_segment_is_covered_as_promised():
    rng, shares = np.random.default_rng(0), []
    for _ in range(40):
        segments = np.repeat(np.array(["calm", "wild"], object), 200)
        noise = np.where(segments == "wild", 3.0, 1.0)
        fitted = fit(Absolute(), rng.normal(size=400) * noise, {"prediction": np.zeros(400)}, "s", segments.tolist())
        off = np.abs(rng.normal(size=400) * noise)
        shares.append([(off[segments == s] <= fitted.thresholds[s]).mean() for s in ("calm", "wild")])
    assert np.mean(shares, axis=0) == pytest.approx([0.9, 0.9], abs=4 * math.sqrt(0.09 * (2 / 200) / 40) + 1 / 201)


def test_fit_refuses_small_segments_and_rows_without_one_and_its_plan_makes_it_again():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 40)
    labels, segments = np.arange(40) % 3, ["JFK"] * 25 + ["LGA"] * 15
    fitted = fit(Lac(), labels, {"probabilities": p}, "origin", segments)
    assert wrapper.make(write_plan(fitted)) == fitted
    assert [(one.where, one.n) for one in promised(fitted)] == [("", 40), ("origin=JFK", 25), ("origin=LGA", 15)]
    with pytest.raises(BadData, match="8 labelled rows of origin 'LGA' cannot"):
        fit(Lac(), labels, {"probabilities": p}, "origin", ["JFK"] * 32 + ["LGA"] * 8)
    with pytest.raises(BadData, match="1 empty"):
        fit(Lac(), labels, {"probabilities": p}, "origin", ["", *segments[1:]])
