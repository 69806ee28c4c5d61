"""Answers to parts of a request become one answer, each row with its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.rows import stacked, taken
from roadworthy.core.wire import Response, Step, Tensor

Way = tuple[Step, ...]


class Part:
    """What some rows of a request were answered, and the way of each; `raised` where the cheap answer did not do."""

    __slots__ = ("raised", "response", "rows", "usd", "ways")

    def __init__(
        self, rows: Sequence[int], response: Response, ways: Sequence[Way], usd: float | None, raised: bool = False
    ) -> None:
        self.rows, self.response, self.ways, self.usd, self.raised = rows, response, ways, usd, raised


def tensors_of(response: Response) -> Mapping[str, Tensor]:
    """The answer's tensors. Raises RoadworthyError for a stream, of which no part can be taken."""
    outputs = response.outputs
    if not isinstance(outputs, Mapping):
        raise RoadworthyError(
            "a model that streams was asked about rows that are routed apart; allowed: one row a request, "
            "and neither comparisons nor a look at the answer"
        )
    return outputs


def merged(id: str, parts: Sequence[Part]) -> Response:
    """One answer to all rows, in the order in which they were asked."""
    if len(parts) == 1:
        return _whole(parts[0])
    order = np.argsort(np.concatenate([np.asarray(part.rows) for part in parts])).tolist()
    outputs = [tensors_of(part.response) for part in parts]
    names = dict.fromkeys(name for one in outputs for name in one)
    found = {name: taken(stacked(_aligned(name, outputs, [len(p.rows) for p in parts])), order) for name in names}
    ways = [way for part in parts for way in part.ways]
    first = parts[0].response
    return Response(
        id,
        found,
        first.release,
        next((part.response.arm for part in parts if part.response.arm == "fallback"), first.arm),
        _in_order([part.response.confidence for part in parts], order),
        _in_order([part.response.prediction_set for part in parts], order),
        (),
        _slowest([part.response.seconds for part in parts]),
        _sum([part.usd for part in parts]),
        {name: value for part in parts for name, value in part.response.parameters.items()},
        [ways[k] for k in order],
    )


def _whole(part: Part) -> Response:
    if len(part.ways) == 1:
        return replace(part.response, path=part.ways[0], paths=None, usd=part.usd)
    return replace(part.response, path=(), paths=list(part.ways), usd=part.usd)


def _aligned(name: str, outputs: Sequence[Mapping[str, Tensor]], counts: Sequence[int]) -> list[Tensor]:
    """The tensor of each part; where a part has none of the name, nulls."""
    model = next(one[name] for one in outputs if name in one)
    if all(name in one for one in outputs):
        return [one[name] for one in outputs]
    width = int(np.prod(model.shape[1:], dtype=np.int64))
    return [
        Tensor(
            name, model.datatype, (n, *model.shape[1:]), _listed(one[name].data) if name in one else [None] * n * width
        )
        for one, n in zip(outputs, counts, strict=True)
    ]


def _listed(data: Any) -> list[Any]:
    found: list[Any] = data if type(data) is list else np.asarray(data).reshape(-1).tolist()
    return found


def _in_order(parts: Sequence[Sequence[Any] | None], order: Sequence[int]) -> list[Any] | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    whole = [value for part in known for value in part]
    return [whole[k] for k in order]


def _slowest(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The parts ran beside each other: a stage took what it took in the slowest."""
    stages = dict.fromkeys(name for part in parts for name in part)
    return {name: max(part.get(name, 0.0) for part in parts) for name in stages}


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [usd for usd in parts if usd is not None]
    return sum(known) if len(known) == len(parts) else None
