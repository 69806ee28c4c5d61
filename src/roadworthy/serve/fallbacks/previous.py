"""The release before this one answers when this one cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roadworthy.core.errors import Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fallback import Given, fallback


@fallback("previous")
@dataclass(frozen=True)
class Previous:
    """The answer of the release that answered before this one, with its own confidence."""

    def __call__(self, given: Given) -> Handler:
        """The handler of the previous release. It raises Missing where there was none."""
        return _Previous(given.previous, given.previous_release)

    @classmethod
    def example(cls, folder: Path) -> tuple[Previous, Given, Mapping[str, Tensor]]:
        """A fallback, what it is made with, and inputs for it: what the laws run every fallback on."""

        async def before(request: Request) -> Response:
            data = [0.25] * request.n
            outputs = {"probability": Tensor("probability", "FP64", (request.n,), data)}
            return Response(request.id, outputs, "before", confidence=[0.75] * request.n)

        signature = Signature({"x": Field()}, {"probability": Field()})
        given = Given(signature, folder, "release", previous=before, previous_release="before")
        return cls(), given, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}


class _Previous:
    def __init__(self, handler: Handler | None, release: str) -> None:
        self._handler, self.release = handler, release

    async def __call__(self, request: Request) -> Response:
        if self._handler is None:
            raise Missing("no release was there before this one")
        return await self._handler(request)
