"""Categories as the model knows them, whatever blanks and capitals they arrive with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from roadworthy.core.tidy import to_vocabulary
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays
from roadworthy.serve.texts import translated


@wrapper("vocabulary")
@dataclass(frozen=True)
class Vocabulary:
    """A category that the model does not know becomes the known one it means, by blanks and case; a null stays one.

    `values` maps an input to the categories that the model was taught. What means none of them goes on as it came, and
    the caller's own request, and so its Record, keeps it.
    """

    values: Mapping[str, tuple[str, ...]]

    def __call__(self, inner: Handler) -> Handler:
        """The handler that asks `inner` about the known categories."""
        return partial(self._ask, inner, {name: to_vocabulary(known) for name, known in self.values.items()})

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs: it changes requests."""
        return outputs

    @classmethod
    def example(cls) -> tuple[Vocabulary, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls({"town": ("north", "south")}), {"town": Tensor("town", "BYTES", (3, 1), [" north", None, "South"])}

    async def _ask(self, inner: Handler, means: Mapping[str, Callable[[str], str]], request: Request) -> Response:
        return await inner(translated(request, means))
