"""What the cheap answer shows: how sure it is, whether tries agree, its length, a verifier's word."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from math import nan
from typing import Any

from roadworthy.core.wire import Response

CONFIDENCE = "confidence"
LENGTH = "length"


def agreement(tries: Sequence[Any]) -> float:
    """The share of several tries that say what most of them say (self-consistency, Wang et al. 2023).

    >>> agreement(["Paris", "paris ", "Lyon"])
    0.6666666666666666
    """
    if not tries:
        return nan
    said = [answer.strip().casefold() if isinstance(answer, str) else answer for answer in tries]
    return Counter(said).most_common(1)[0][1] / len(said)


def seen_in(response: Response, names: Sequence[str]) -> list[float]:
    """The named numbers of the first row of an answer; NaN where it has none.

    `confidence` is the answer's own, `length` the characters of its first text; any other is an output or a parameter
    of that name: `agreement` of a handler that tried several times, `verified` of one that asked a verifier.
    """
    return [_one(response, name) for name in names]


def _one(response: Response, name: str) -> float:
    if name == CONFIDENCE:
        return float(response.confidence[0]) if response.confidence is not None else nan
    outputs = {} if isinstance(response.outputs, AsyncIterator) else response.outputs
    if name in outputs:
        return _number(outputs[name].data[0])
    if name == LENGTH:
        for tensor in outputs.values():
            if tensor.datatype == "BYTES":
                return float(len(tensor.data[0] or ""))
        return nan
    return _number(response.parameters.get(name))


def _number(value: Any) -> float:
    try:
        return nan if value is None else float(value)
    except (TypeError, ValueError):
        return nan
