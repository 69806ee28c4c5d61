"""A default is checked against the signature when it is made, and answers each row alike."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.fallback import Given, fallback

SIGNATURE = Signature(
    {"x": Field()},
    {"probability": Field(), "scores": Field(width=2), "class": Field("category"), "ok": Field("boolean")},
)
RIGHT: dict[str, Any] = {"probability": 0.2, "scores": [1, 2.5], "class": "none", "ok": False}


def make(**changed: Any) -> Any:
    outputs = {name: value for name, value in {**RIGHT, **changed}.items() if value is not ...}
    return fallback.make({"default": {"outputs": outputs}})(Given(SIGNATURE, release="digest"))


def test_every_row_gets_the_same() -> None:
    async def run() -> Any:
        return await make()(Request("r", {"x": Tensor("x", "FP32", (2,), [1.0, 2.0])}, 0.0))

    answer = asyncio.run(run())
    assert answer.outputs == {
        "probability": Tensor("probability", "FP32", (2,), [0.2, 0.2]),
        "scores": Tensor("scores", "FP32", (2, 2), [1, 2.5, 1, 2.5]),
        "class": Tensor("class", "BYTES", (2,), ["none", "none"]),
        "ok": Tensor("ok", "BOOL", (2,), [False, False]),
    }
    assert (answer.id, answer.release, answer.confidence) == ("r", "digest", None)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"probability": ...}, "gives no 'probability'"),
        ({"probabilty": 0.5}, "no output named 'probabilty'; did you mean 'probability'"),
        ({"probability": "high"}, "'probability' must be a finite number, got 'high'"),
        ({"probability": True}, "'probability' must be a finite number, got True"),
        ({"probability": math.nan}, "'probability' must be a finite number, got nan"),
        ({"probability": [0.1, 0.2]}, "'probability' must be a finite number"),
        ({"scores": 1.0}, "'scores' must be a list of 2, each a finite number, got 1.0"),
        ({"class": 3}, "'class' must be text, got 3"),
        ({"ok": 1}, "'ok' must be true or false, got 1"),
    ],
)
def test_what_the_signature_does_not_promise_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        make(**changed)
