"""A model that draws its answers is asked several times, and what most tries say is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.errors import BadData
from roadworthy.core.rows import asking, taken
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.columns import CONFIDENCE
from roadworthy.serve.fold import Arrays

AGREEMENT = "agreement"


@wrapper("self_consistent")
@dataclass(frozen=True)
class SelfConsistent:
    """Asks a model that draws its answers several times, and answers what most tries say.

    Self-consistency, Wang et al. 2023. A row gets its first try that says what most say; the share of tries that do is
    its confidence and the output `agreement`, which a router may look at (`policy: routed`, `when: after`). Tries are
    compared by `output` (the first where not said): texts without case and the space around them, several numbers by
    the greatest, a probability by its side of one half. All tries are one request, which a batch takes at once, and
    each is paid for. A cache inside would answer every try alike: let it stand outside.
    """

    tries: int = 5
    output: str = ""

    def __post_init__(self) -> None:
        if self.tries < 2:
            raise ValueError(f"`tries` must be at least 2, or there is nothing to agree; got {self.tries!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that asks `inner` about each row several times."""
        return partial(self._ask, inner)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs as if all tries agreed. Raises BadData where there is nothing to compare."""
        n = len(outputs[self._compared(outputs)])
        return {**outputs, AGREEMENT: np.ones(n), CONFIDENCE: np.ones(n)}

    @classmethod
    def example(cls) -> tuple[SelfConsistent, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(3, "probability"), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    async def _ask(self, inner: Handler, request: Request) -> Response:
        n = request.n
        tries = [row for row in range(n) for _ in range(self.tries)]
        response = await inner(asking(request, tries) if n else request)
        if not isinstance(response.outputs, Mapping):
            raise BadData("an answer that streams cannot be compared with others: leave out `self_consistent`")
        said = _said(response.outputs[self._compared(response.outputs)]) if n else []
        found = [_most(said[row * self.tries : (row + 1) * self.tries]) for row in range(n)]
        chosen = [row * self.tries + place for row, (place, _) in enumerate(found)]
        return _of_rows(response, chosen, [share for _, share in found], n * self.tries)

    def _compared(self, outputs: Mapping[str, Any]) -> str:
        name = self.output or next((name for name in outputs if name != CONFIDENCE), "")
        if name not in outputs:
            raise BadData(f"no output {name!r} to compare tries by (outputs: {', '.join(outputs) or 'none'})")
        return name


def _said(tensor: Tensor) -> list[Hashable]:
    """What each row says, so that those that say the same are equal."""
    if tensor.datatype == "BYTES":
        return [None if text is None else str(text).strip().casefold() for text in tensor.data]
    if not tensor.datatype.startswith("FP"):
        return list(np.asarray(tensor.data, object).reshape(-1).tolist())
    values = np.asarray(tensor.data, np.float64).reshape(tensor.shape[0], -1)
    one = values.shape[1] == 1
    return [None if np.isnan(row).any() else int(row[0] >= 0.5) if one else int(row.argmax()) for row in values]


def _most(said: Sequence[Hashable]) -> tuple[int, float]:
    """The first try that says what most say, and their share of all; a try without an answer agrees with nobody."""
    counted = Counter(one for one in said if one is not None).most_common(1)
    return (said.index(counted[0][0]), counted[0][1] / len(said)) if counted else (0, 0.0)


def _of_rows(response: Response, chosen: Sequence[int], shares: Sequence[float], asked: int) -> Response:
    """The answer with the chosen tries only; what all of them cost stays."""
    assert isinstance(response.outputs, Mapping)
    outputs = {name: taken(tensor, chosen) if asked else tensor for name, tensor in response.outputs.items()}
    outputs[AGREEMENT] = Tensor(AGREEMENT, "FP64", (len(chosen),), list(shares))
    sets, paths = response.prediction_set, response.paths
    marks = {
        name: [mark[row] for row in chosen] if isinstance(mark, list) and len(mark) == asked else mark
        for name, mark in response.parameters.items()
    }
    return replace(
        response,
        outputs=outputs,
        confidence=list(shares),
        prediction_set=None if sets is None else [sets[row] for row in chosen],
        paths=None if paths is None else [paths[row] for row in chosen],
        parameters=marks,
    )
