"""Answers to parts of a request, put together again in the order in which the rows were asked about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.rows import stacked, taken
from roadworthy.core.wire import Response, Step, Tensor


class Place(NamedTuple):
    """Where the answer to a row is: in which response, and in which row of that."""

    response: Response
    row: int


def whole(
    request_id: str,
    places: Sequence[Place],
    ways: Sequence[tuple[Step, ...]],
    usd: float | None,
    seconds: Mapping[str, float],
) -> Response:
    """One answer of the rows at these places. Raises RoadworthyError where their outputs have different widths.

    An output of numbers that some of the models do not have is NaN in their rows, any other such output is left out;
    so are prediction sets, unless each model made them. A row of a model that tells no confidence has NaN.
    """
    first = places[0].response
    path, paths = (ways[0], None) if len(places) == 1 else ((), tuple(ways))
    if all(place.response is first and place.row == k for k, place in enumerate(places)):
        return replace(first, id=request_id, path=path, paths=paths, usd=usd, seconds=seconds)
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
        confidence=_confidence(places),
        prediction_set=_sets(places),
        path=path,
        paths=paths,
        usd=usd,
        seconds=seconds,
        parameters={key: value for response in responses for key, value in response.parameters.items()},
    )


def rows_in(response: Response) -> int:
    """How many rows it answers."""
    return next((tensor.shape[0] for tensor in _outputs(response).values()), 0)


def _outputs(response: Response) -> Mapping[str, Tensor]:
    if not isinstance(response.outputs, Mapping):
        raise RoadworthyError("a stream of tensors cannot be put together with other answers, row by row")
    return response.outputs


def _joined(responses: Sequence[Response]) -> dict[str, Tensor]:
    """Each output of the responses, below each other."""
    names = dict.fromkeys(name for response in responses for name in _outputs(response))
    found: dict[str, Tensor] = {}
    for name in names:
        tensors = [_outputs(response).get(name) for response in responses]
        like = next(tensor for tensor in tensors if tensor is not None)
        if None in tensors and not like.datatype.startswith("FP"):
            continue
        found[name] = _stacked(
            [_nothing(like, rows_in(r)) if t is None else t for t, r in zip(tensors, responses, strict=True)]
        )
    return found


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    widths = {math.prod(tensor.shape[1:]) for tensor in tensors}
    if len(widths) > 1:
        name, told = tensors[0].name, " and ".join(map(str, sorted(widths)))
        raise RoadworthyError(
            f"the models answer {told} values a row in output {name!r}: models that answer together must answer alike"
        )
    return stacked(tensors)


def _nothing(like: Tensor, rows: int) -> Tensor:
    return replace(like, shape=(rows, *like.shape[1:]), data=[math.nan] * rows * math.prod(like.shape[1:]))


def _confidence(places: Sequence[Place]) -> list[float] | None:
    found: list[Any] = [None if p.response.confidence is None else p.response.confidence[p.row] for p in places]
    if all(sure is None for sure in found):
        return None
    return [math.nan if sure is None else float(sure) for sure in found]


def _sets(places: Sequence[Place]) -> list[Sequence[str]] | None:
    if any(place.response.prediction_set is None for place in places):
        return None
    return [place.response.prediction_set[place.row] for place in places if place.response.prediction_set is not None]
