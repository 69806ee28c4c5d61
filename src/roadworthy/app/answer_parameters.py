"""What the JSON of an answer says beside its outputs: release, arm, confidence, prediction sets, paths and prices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.core.wire import Arm, Response, Step, Tensor


class AnswerParameters(Struct):
    """`parameters` of an Open Inference answer as Roadworthy writes them; other servers write others, or none."""

    release: str = ""
    arm: Arm = "stable"
    confidence: list[float | None] | None = None
    prediction_set: list[list[str]] | None = None
    path: tuple[Step, ...] = ()
    paths: tuple[tuple[Step, ...], ...] | None = None
    usd: float | None = None
    unconfirmed: int = 0
    abstained: list[bool] | None = None

    @classmethod
    def of_any(cls, given: msgspec.Raw) -> AnswerParameters:
        """Those of any server's answer; nothing where they are not ours."""
        try:
            return msgspec.json.decode(given, type=cls) if given else cls()
        except msgspec.DecodeError:
            return cls()

    def response(self, id: str, outputs: Iterable[Tensor], release: str = "") -> Response:
        """The answer with these outputs, of `release` where the parameters name none."""
        return Response(
            id,
            {tensor.name: tensor for tensor in outputs},
            self.release or release,
            self.arm,
            _sure(self.confidence),
            self.prediction_set,
            self.path,
            usd=self.usd,
            parameters=self._marks(),
            paths=self.paths,
        )

    def _marks(self) -> dict[str, Any]:
        marks = {"unconfirmed": self.unconfirmed, "abstained": self.abstained}
        return {name: mark for name, mark in marks.items() if mark}


def _sure(told: list[float | None] | None) -> list[float] | None:
    """A row that no model told a confidence for is null in JSON, and NaN here."""
    return None if told is None else [math.nan if one is None else one for one in told]
