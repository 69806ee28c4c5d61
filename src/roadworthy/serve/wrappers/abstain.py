"""Rows that the model is not sure enough of are left to a person or to a fallback, and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from msgspec.structs import replace
from numpy.typing import ArrayLike

from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, RoadworthyError, SpecError, nearest
from roadworthy.core.rows import asking, stacked, taken
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.columns import CONFIDENCE, confidence_of, scatter
from roadworthy.serve.fallback import Given, fallback
from roadworthy.serve.fold import Arrays
from roadworthy.serve.selective.threshold import Certified, certify

STEP = "abstain"
# What the response's parameters call the rows that were not answered: a boolean for each.
ABSTAINED = "abstained"

# How each row that was not answered went on.
Ways = Mapping[int, tuple[Step, ...]]


@wrapper("abstain")
@dataclass(frozen=True)
class Abstain:
    """Answers a row only where the model is surer than `threshold`; `abstained` tells which rows were not.

    `on` is `confidence`, or an output (n,) such as `epistemic` or `ood`; `unsure` says on which side of the threshold
    the model is not sure (NaN is unsure). What becomes of such a row: its `answer` is `kept` (for a person to confirm)
    or `withheld` (null in the `outputs` named, in all but `on` where none is; confidence and prediction set stay), or
    the plan `fallback` answers in its place, and `answer` counts only where that cannot. Each such row has the step
    "abstain" with the reason on its path. `risk`, `delta` and `rows` tell what `fit` certified: errors are at most
    `risk` of what is answered, with confidence 1 - `delta`, on that many rows. Put a `cache` inside, not around it.
    """

    threshold: float
    on: str = CONFIDENCE
    unsure: Literal["below", "above"] = "below"
    answer: Literal["kept", "withheld"] = "kept"
    outputs: tuple[str, ...] = ()
    fallback: Any = None
    risk: float = 0.0
    delta: float = 0.0
    rows: int = 0

    def __call__(self, inner: Handler) -> Abstaining:
        """The handler that abstains. Raises SpecError where a fallback is planned: that is made by `around`."""
        if self.fallback is not None:
            name = read_plan(self.fallback)[0]
            raise SpecError(
                f"`abstain` with the fallback {name!r} is made by `around(inner, given)`, as a release's is"
            )
        return Abstaining(inner, self)

    def around(self, inner: Handler, given: Given) -> Abstaining:
        """The handler that abstains, its fallback made with what is given. Raises SpecError."""
        if self.fallback is None:
            return Abstaining(inner, self)
        return Abstaining(inner, self, fallback.make(self.fallback, given.root)(given), read_plan(self.fallback)[0])

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs. Raises where they do not say how sure the model is, or lack what is to be withheld."""
        n = len(next(iter(outputs.values()), ()))
        response = Response("", scatter(outputs, [n])[0], confidence=confidence_of(outputs))
        _values(self, response, n)
        if self.answer == "withheld":
            _withheld(self, response, [])
        return outputs

    @classmethod
    def example(cls) -> tuple[Abstain, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(0.6, answer="withheld"), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def sure(self, value: float | None) -> bool:
        """Is a row with this value answered? A null is not."""
        if value is None:
            return False
        return value > self.threshold if self.unsure == "below" else value < self.threshold

    def reason(self, value: float | None) -> str:
        """Why a row with this value is not answered, for its trace."""
        side = "above" if self.unsure == "below" else "below"
        told = f"{self.on} {'unknown' if value is None else format(value, '.4g')} is not {side} {self.threshold:.4g}"
        if not self.risk:
            return told
        return f"{told} (errors at most {self.risk:g} with confidence {1 - self.delta:g}, shown on {self.rows:,} rows)"


class Abstaining:
    """A Handler that answers what `inner` is sure of; `instead`, named `name`, is asked about the other rows."""

    def __init__(self, inner: Handler, settings: Abstain, instead: Handler | None = None, name: str = "") -> None:
        self.inner, self.settings, self.instead, self.name = inner, settings, instead, name

    def __repr__(self) -> str:
        return f"Abstaining({self.inner!r}, {self.settings!r})"

    async def __call__(self, request: Request) -> Response:
        """The inner answer with its unsure rows marked. Raises what `inner` raises, and SpecError for a stream."""
        response = await self.inner(request)
        values = _values(self.settings, response, request.n)
        unsure = [row for row, value in enumerate(values) if not self.settings.sure(value)]
        told = {**response.parameters, ABSTAINED: [False] * len(values)}
        if not unsure:
            return replace(response, parameters=told)
        for row in unsure:
            told[ABSTAINED][row] = True
        ways: Ways = {row: (Step(STEP, self.settings.reason(values[row])),) for row in unsure}
        response = replace(response, parameters=told)
        return await self._settled(request, response, unsure, ways)

    async def _settled(self, request: Request, response: Response, unsure: list[int], ways: Ways) -> Response:
        """The answer once somebody else answered the unsure rows, or nobody did."""
        if self.instead is not None:
            try:
                other = await self.instead(asking(request, unsure))
                return _sent_along(_with_rows(response, other, unsure), _answered(ways, other, self.name))
            # A fallback may raise where it has no answer, whatever it is; its reason goes onto the path.
            except Exception as wrong:
                why = str(wrong) if isinstance(wrong, RoadworthyError) else type(wrong).__name__
                failed = Step("fallback", f"{self.name} cannot answer: {why}")
                ways = {row: (*way, failed) for row, way in ways.items()}
        if self.settings.answer == "withheld":
            response = replace(response, outputs=_withheld(self.settings, response, unsure))
        return _sent_along(response, ways)


def fit(
    sure: ArrayLike,
    wrong: ArrayLike,
    risk: float,
    delta: float,
    rng: Random,
    on: str = CONFIDENCE,
    unsure: Literal["below", "above"] = "below",
) -> Abstain:
    """The most lenient threshold that is shown to keep the risk, as a wrapper; see `selective.threshold.certify`.

    `sure` (n,) are the values of `on` (doubts where `unsure` is "above") and `wrong` (n,) 1 where the answer was.
    Raises BadData where no threshold is shown to keep it.
    """
    import numpy as np

    sign = 1.0 if unsure == "below" else -1.0
    return of_certified(certify(sign * np.asarray(sure, np.float64), wrong, risk, delta, rng), on, unsure)


def of_certified(found: Certified, on: str = CONFIDENCE, unsure: Literal["below", "above"] = "below") -> Abstain:
    """The wrapper of a certified threshold; where doubt is "above", it was certified for doubt with a minus sign."""
    threshold = found.threshold if unsure == "below" else -found.threshold
    return Abstain(threshold, on, unsure, risk=found.risk, delta=found.delta, rows=found.rows)


def _values(settings: Abstain, response: Response, n: int) -> Sequence[float | None]:
    if not isinstance(response.outputs, Mapping):
        raise SpecError("a stream of tensors cannot go through `abstain`: take it out of the wrappers")
    on, outputs = settings.on, response.outputs
    if on == CONFIDENCE and response.confidence is not None:
        return response.confidence
    if on not in outputs:
        has = ", ".join([*outputs, *([] if response.confidence is None else [CONFIDENCE])])
        raise SpecError(f"the model says no {on!r} to abstain by{nearest(on, outputs)} (it says: {has})")
    values = outputs[on].data
    if len(values) != n:
        raise BadData(f"output {on!r} has shape {outputs[on].shape}; allowed: (n,), one number a row")
    if outputs[on].datatype == "BYTES":
        raise BadData(f"output {on!r} holds text, and `abstain` asks how sure the model is: name an output of numbers")
    return [None if value is None else float(value) for value in values]


def _withheld(settings: Abstain, response: Response, unsure: list[int]) -> dict[str, Tensor]:
    outputs = response.outputs
    assert isinstance(outputs, Mapping)
    names = settings.outputs or [name for name in outputs if name != settings.on]
    for name in names:
        if name not in outputs:
            has = ", ".join(outputs)
            raise SpecError(f"the model has no output {name!r} to withhold{nearest(name, outputs)} (it has: {has})")
    return {**outputs, **{name: _without(outputs[name], unsure) for name in names}}


def _without(tensor: Tensor, rows: list[int]) -> Tensor:
    """The tensor with nulls in the given rows."""
    data = list(tensor.data)
    width = len(data) // tensor.shape[0]
    for row in rows:
        data[row * width : (row + 1) * width] = [None] * width
    return replace(tensor, data=data)


def _with_rows(response: Response, other: Response, unsure: list[int]) -> Response:
    """The answer with the other's in the unsure rows, under the names that both have."""
    mine, theirs = response.outputs, other.outputs
    assert isinstance(mine, Mapping)
    if not isinstance(theirs, Mapping) or not mine.keys() & theirs.keys():
        raise SpecError(f"it answers none of {', '.join(mine)}")
    outputs = {
        name: _joined(tensor, theirs[name], unsure) if name in theirs else tensor for name, tensor in mine.items()
    }
    sure = response.confidence
    if sure is not None and other.confidence is not None:
        sure = list(sure)
        for row, value in zip(unsure, other.confidence, strict=True):
            sure[row] = value
    usd = None if response.usd is None and other.usd is None else (response.usd or 0.0) + (other.usd or 0.0)
    return replace(response, outputs=outputs, confidence=sure, usd=usd)


def _joined(mine: Tensor, theirs: Tensor, unsure: list[int]) -> Tensor:
    n, others = mine.shape[0], set(unsure)
    if theirs.shape != (len(unsure), *mine.shape[1:]):
        raise SpecError(f"it answers {mine.name!r} in the shape {theirs.shape}, not {(len(unsure), *mine.shape[1:])}")
    sure = [row for row in range(n) if row not in others]
    place = {row: k for k, row in enumerate([*sure, *unsure])}
    both = stacked([taken(mine, sure), theirs]) if sure else replace(mine, data=theirs.data)
    return taken(both, [place[row] for row in range(n)])


def _answered(ways: Ways, other: Response, name: str) -> Ways:
    """The ways of rows that a fallback answered, each with what that cost it."""
    paid = other.usd_of_rows(len(ways))
    return {
        row: (*way, Step("fallback", f"{name} answers in its place", paid[k]), *_free(other.row_path(k)))
        for k, (row, way) in enumerate(ways.items())
    }


def _free(way: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps whose cost is in the step before them."""
    return tuple(replace(step, usd=None) for step in way)


def _sent_along(response: Response, ways: Ways) -> Response:
    """The response whose rows went these ways after the one that they had; rows without one went no further."""
    n = len(response.parameters[ABSTAINED])
    if response.paths is None and n == 1:
        return replace(response, path=(*response.path, *ways[0]))
    before = response.paths or [()] * n
    return replace(response, paths=[(*before[row], *ways.get(row, ())) for row in range(n)])
