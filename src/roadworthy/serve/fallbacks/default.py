"""The same answer to everybody, such as the base rate, when the model cannot answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fallback import Given, fallback

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "FP32": ((int, float), "a finite number"),
    "INT64": ((int,), "a whole number"),
    "BOOL": ((bool,), "true or false"),
    "BYTES": ((str,), "text"),
}


@fallback("default")
@dataclass(frozen=True)
class Default:
    """Constant `outputs`, one value for each output (a list where the output is a vector), for every row."""

    outputs: Mapping[str, Any]

    def __call__(self, given: Given) -> Handler:
        """The handler of the constant. Raises SpecError where the outputs are not those of the signature."""
        wanted = given.signature.outputs
        for name in self.outputs:
            if name not in wanted:
                raise SpecError(f"fallback `default`: {unknown('output', name, wanted)}")
        for name in wanted:
            if name not in self.outputs:
                raise SpecError(f"fallback `default` gives no {name!r}; the model's outputs are {', '.join(wanted)}")
        rows = [(name, field, _values(name, field, self.outputs[name])) for name, field in wanted.items()]
        return partial(self._answer, rows, given.release)

    @classmethod
    def example(cls, folder: Path) -> tuple[Default, Given, Mapping[str, Tensor]]:
        """A fallback, what it is made with, and inputs for it: what the laws run every fallback on."""
        given = Given(Signature({"x": Field()}, {"probability": Field(), "two": Field(width=2)}), folder, "release")
        leaf = cls({"probability": 0.2, "two": [1.0, 2.0]})
        return leaf, given, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    async def _answer(self, rows: list[tuple[str, Field, list[Any]]], release: str, request: Request) -> Response:
        n = request.n
        outputs = {
            name: Tensor(name, field.datatype, (n,) if field.width == 1 else (n, field.width), values * n)
            for name, field, values in rows
        }
        return Response(request.id, outputs, release)


def _values(name: str, field: Field, given: Any) -> list[Any]:
    """One row's values. Raises SpecError where they are not what the output holds."""
    values = given if isinstance(given, list | tuple) else [given]
    types, words = _KINDS[field.datatype]
    # `True` is an int to Python, and no number to anybody else.
    right = all(type(value) in types and (field.datatype == "BYTES" or math.isfinite(value)) for value in values)
    if not right or len(values) != field.width:
        many = words if field.width == 1 else f"a list of {field.width}, each {words}"
        raise SpecError(f"fallback `default`: output {name!r} must be {many}, got {given!r}")
    return list(values)
