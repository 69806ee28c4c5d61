"""Answers to parts of a request, put together again in the order in which the rows were asked about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.rows import stacked, taken
from roadworthy.core.wire import Response, Step, Tensor

Way = tuple[Step, ...]


class Place(NamedTuple):
    """Where the answer to a row is: in which response, and in which row of that."""

    response: Response
    row: int


def whole(
    request_id: str,
    places: Sequence[Place],
    ways: Sequence[Way],
    usd: float | None,
    seconds: Mapping[str, float],
) -> Response:
    """One answer of the rows at these places. Raises RoadworthyError where their outputs have different widths.

    An output that some of the models do not have is null in their rows (a missing number as much as a missing text: a
    null is left out of every mean that is taken of records, which NaN would spoil). A row of a model that tells no
    confidence has NaN, confidences being numbers. Prediction sets are left out unless each model made them.
    """
    first = places[0].response
    if all(place.response is first and place.row == k for k, place in enumerate(places)):
        return undivided(request_id, first, ways, usd, seconds)
    # A response may hold what cannot be hashed; while it is alive, nothing else has its identity.
    responses = list({id(place.response): place.response for place in places}.values())
    starts, n = {}, 0
    for response in responses:
        starts[id(response)] = n
        n += rows_in(response)
    order = [starts[id(place.response)] + place.row for place in places]
    return replace(
        first,
        id=request_id,
        outputs={name: taken(tensor, order) for name, tensor in _joined(responses).items()},
        arm=next((response.arm for response in responses if response.arm == "fallback"), first.arm),
        confidence=_confidence(places),
        prediction_set=_sets(places),
        path=(),
        paths=tuple(ways),
        usd=usd,
        seconds=seconds,
        parameters={key: value for response in responses for key, value in response.parameters.items()},
    )


def undivided(
    request_id: str, response: Response, ways: Sequence[Way], usd: float | None, seconds: Mapping[str, float]
) -> Response:
    """The answer of one model to all rows, which may have come there on ways of their own."""
    path, paths = (ways[0], None) if len(ways) == 1 else ((), tuple(ways))
    return replace(response, id=request_id, path=path, paths=paths, usd=usd, seconds=seconds)


def rows_in(response: Response) -> int:
    """How many rows it answers."""
    return next((tensor.shape[0] for tensor in tensors_of(response).values()), 0)


def tensors_of(response: Response) -> Mapping[str, Tensor]:
    """The answer's tensors. Raises RoadworthyError for a stream, of which no part can be taken."""
    outputs = response.outputs
    if not isinstance(outputs, Mapping):
        raise RoadworthyError(
            "a model that answers in a stream was asked about rows that part, or whose answer is looked at; allowed: "
            "one row a request, and neither comparisons nor a look at the answer"
        )
    return outputs


def part_of(response: Response, rows: Sequence[int]) -> Response:
    """The answer to some of the rows; its cost and way are left to whoever takes it apart."""

    def some(values: Sequence[Any] | None) -> list[Any] | None:
        return None if values is None else [values[row] for row in rows]

    outputs = {name: taken(tensor, rows) for name, tensor in tensors_of(response).items()}
    return replace(
        response, outputs=outputs, confidence=some(response.confidence), prediction_set=some(response.prediction_set)
    )


def way_within(response: Response, row: int, rows: int) -> Way:
    """The way that one of `rows` rows went within a model; what all went together, each pays an even share of."""
    if response.paths is None and not response.path:
        return ()
    return (*shared(response.path, rows), *(() if response.paths is None else response.paths[row]))


def shared(steps: Sequence[Step], rows: int) -> Sequence[Step]:
    """The steps of several rows as those of one, with an even share of what they cost and took."""
    if rows == 1:
        return steps
    return [replace(step, usd=_part(step.usd, rows), seconds=_part(step.seconds, rows)) for step in steps]


def _part(whole: float | None, rows: int) -> float | None:
    return None if whole is None else whole / rows


def _joined(responses: Sequence[Response]) -> dict[str, Tensor]:
    """Each output of the responses, below each other."""
    names = dict.fromkeys(name for response in responses for name in tensors_of(response))
    found: dict[str, Tensor] = {}
    for name in names:
        tensors = [tensors_of(response).get(name) for response in responses]
        like = next(tensor for tensor in tensors if tensor is not None)
        if None in tensors:
            tensors = [
                _nulls(like, rows_in(response)) if tensor is None else replace(tensor, data=_listed(tensor.data))
                for tensor, response in zip(tensors, responses, strict=True)
            ]
        found[name] = _stacked([tensor for tensor in tensors if tensor is not None])
    return found


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    widths = {math.prod(tensor.shape[1:]) for tensor in tensors}
    if len(widths) > 1:
        name, told = tensors[0].name, " and ".join(map(str, sorted(widths)))
        raise RoadworthyError(
            f"the models answer {told} values a row in output {name!r}: models that answer together must answer alike"
        )
    return stacked(tensors)


def _nulls(like: Tensor, rows: int) -> Tensor:
    return replace(like, shape=(rows, *like.shape[1:]), data=[None] * rows * math.prod(like.shape[1:]))


def _listed(data: Any) -> list[Any]:
    """Only a list can hold a null beside whole numbers or texts."""
    found: list[Any] = data if type(data) is list else np.asarray(data).reshape(-1).tolist()
    return found


def _confidence(places: Sequence[Place]) -> list[float] | None:
    found: list[Any] = [None if p.response.confidence is None else p.response.confidence[p.row] for p in places]
    if all(sure is None for sure in found):
        return None
    return [math.nan if sure is None else float(sure) for sure in found]


def _sets(places: Sequence[Place]) -> list[Sequence[str]] | None:
    sets = [place.response.prediction_set for place in places]
    if any(made is None for made in sets):
        return None
    return [made[place.row] for made, place in zip(sets, places, strict=True) if made is not None]
