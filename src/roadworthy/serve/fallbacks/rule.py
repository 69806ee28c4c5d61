"""A rule of the project answers when the model cannot: a plain function on the named columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from roadworthy.core.catalog import load
from roadworthy.core.errors import RoadworthyError, SpecError, nearest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.columns import Block, blocks_of, gather, scatter
from roadworthy.serve.fallback import Given, fallback

_EXAMPLE = """
def late_in_storms(columns):
    return {"probability": 0.2 + 0.6 * (columns["wind"][:, 0] > 50.0)}
"""


@fallback("rule")
@dataclass(frozen=True)
class Rule:
    """A function of the project (`file.py:function`) on the same columns that an engine gets.

    It maps each output's name to n values, or gives the n values alone where there is one output. It runs on the event
    loop, so it must be quick, and it must not be `async`.
    """

    function: str

    def __call__(self, given: Given) -> Handler:
        """The handler that applies the rule. Raises SpecError where there is no such function."""
        rule = load(self.function, given.root)
        if not callable(rule):
            raise SpecError(f"fallback `rule`: {self.function!r} is {rule!r}; name a function on the columns")
        return partial(self._answer, rule, given, blocks_of(given.signature))

    @classmethod
    def example(cls, folder: Path) -> tuple[Rule, Given, Mapping[str, Tensor]]:
        """A fallback, what it is made with, and inputs for it: what the laws run every fallback on."""
        (folder / "rules.py").write_text(_EXAMPLE)
        given = Given(Signature({"wind": Field()}, {"probability": Field()}), folder, "release")
        return cls("rules.py:late_in_storms"), given, {"wind": Tensor("wind", "FP32", (3, 1), [1.0, 80.0, 30.0])}

    async def _answer(
        self, rule: Callable[[Mapping[str, Any]], Any], given: Given, blocks: tuple[Block, ...], request: Request
    ) -> Response:
        found = rule(gather([request], blocks, request.n))
        wanted = given.signature.outputs
        outputs = found if isinstance(found, Mapping) else dict.fromkeys(wanted, found) if len(wanted) == 1 else {}
        for name in wanted:
            if name not in outputs:
                have = ", ".join(outputs) or "none"
                raise RoadworthyError(f"{self.function!r} answers no {name!r}{nearest(name, outputs)} (it has: {have})")
        arrays = {name: np.asarray(outputs[name]) for name in wanted}
        return Response(request.id, scatter(arrays, [request.n])[0], given.release)
