"""Two models on arrays whose errors are known, a router for them, and the records of what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.batch import Batch
from roadworthy.serve.recorded import rows_of

SIGNATURE = Signature({name: Field() for name in ("topic", "luck", "other_luck")}, {"probability": Field()})


@dataclass
class Coin:
    """An engine that is right on a row where the row's luck is below `right[topic]`: every label is 1.

    Its luck is a column of its own, so that two models err independently; `right` may be changed on the way.
    """

    right: list[float]
    luck: str = "luck"
    failing: bool = False
    batches: list[int] = field(default_factory=list)

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A `probability` of 0.9 on the rows that it is right on, and of 0.2 elsewhere."""
        if self.failing:
            raise RuntimeError("planted")
        self.batches.append(len(columns["topic"]))
        chance = np.asarray(self.right)[columns["topic"][:, 0].astype(int)]
        return {"probability": np.where(columns[self.luck][:, 0] < chance, 0.9, 0.2)}


@dataclass(frozen=True)
class TopicGain:
    """What a `TopicRouter` expects of a row."""

    strong: float
    weak: float
    gain: float
    threshold: float
    segment: str
    odd: bool
    because: str = ""


@dataclass
class TopicRouter:
    """Knows for each topic how much the strong model gains; topics beyond the last are odd."""

    gains: Sequence[float]
    threshold: float = 0.15
    asked: int = 0

    def gain(self, request: Request) -> TopicGain:
        """By the topic of the only row."""
        self.asked += 1
        topic = int(request.inputs["topic"].data[0])
        odd = topic >= len(self.gains)
        gain = 0.0 if odd else self.gains[topic]
        return TopicGain(0.9, 0.9 - gain, gain, self.threshold, f"topic {topic}", odd)


def both(weak: Coin, strong: Coin) -> dict[str, Handler]:
    """Batches around the two engines, the cheap one first."""
    return {name: Batch(engine, SIGNATURE, place="loop") for name, engine in (("small", weak), ("large", strong))}


def request(id: str, topics: Sequence[int], rng: np.random.Generator, key: str = "", at: float = 0.0) -> Request:
    """Rows of the topics, with luck of their own."""
    n = len(topics)
    columns = {"topic": list(topics), "luck": rng.random(n).tolist(), "other_luck": rng.random(n).tolist()}
    inputs = {name: Tensor(name, "FP32", (n, 1), values) for name, values in columns.items()}
    return Request(id, inputs, at, key)


async def recorded(handler: Handler, requests: Sequence[Request]) -> list[Record]:
    """The labelled records of requests, asked one after another."""
    found: list[Record] = []
    for asked in requests:
        found += labelled(asked, await handler(asked))
    return found


def labelled(asked: Request, response: Response) -> list[Record]:
    """The records of one answer, each with its label, known at once."""
    return [replace(row, label=1.0, label_at=row.at) for row in rows_of(asked, response)]


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by `seconds` whenever it is read."""
    at = 0.0

    def now() -> float:
        nonlocal at
        at += seconds
        return at

    return now
