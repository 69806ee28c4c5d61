from __future__ import annotations

import math

from roadworthy.core.wire import Response, Tensor
from roadworthy.route.routers.after import agreement, seen_in


def answer(**given) -> Response:
    outputs = {"text": Tensor("text", "BYTES", (1,), ["forty-two"]), "score": Tensor("score", "FP32", (1, 1), [0.25])}
    return Response("r", outputs, **given)


def test_the_numbers_of_an_answer_are_found_by_name():
    response = answer(confidence=[0.9], parameters={"agreement": 0.6, "model": "small"})
    names = ["confidence", "length", "score", "agreement"]
    assert seen_in(response, names) == [0.9, 9.0, 0.25, 0.6]


def test_what_an_answer_does_not_say_is_not_known():
    found = seen_in(answer(parameters={"model": "small"}), ["confidence", "agreement", "model", "text"])
    assert all(math.isnan(value) for value in found)


def test_tries_agree_as_far_as_most_of_them_say_the_same():
    assert agreement([" A", "a", "B", "a"]) == 0.75
    assert agreement([1, 2, 3, 3]) == 0.5
    assert math.isnan(agreement([]))
