"""Tidy text on its way to the model, as the lab's was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from roadworthy.core.tidy import STEPS, Step, Tidy
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays
from roadworthy.serve.texts import translated


@wrapper("tidy")
@dataclass(frozen=True)
class Tidied:
    """Text inputs are made plain by the named steps before the model sees them; a null stays one.

    `columns` are tidied, none named: all that are text. The caller's own request, and so its Record, keeps the text as
    it came.
    """

    columns: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ("nfkc", "invisible", "spaces")

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"`steps` must name at least one of {', '.join(STEPS)}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that asks `inner` about the tidied rows."""
        return partial(self._ask, inner, Tidy(self.steps))

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs: it changes requests."""
        return outputs

    @classmethod
    def example(cls) -> tuple[Tidied, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(), {"text": Tensor("text", "BYTES", (3, 1), ["ｗhere  is", None, "my ca\u200brd"])}

    async def _ask(self, inner: Handler, tidy: Tidy, request: Request) -> Response:
        texts = tuple(name for name, tensor in request.inputs.items() if tensor.datatype == "BYTES")
        return await inner(translated(request, dict.fromkeys(self.columns or texts, tidy)))
