"""Before anybody asks, wrappers are shown what the model makes of a made-up row, and refuse what they cannot use.

Without it a wrapper that needs another kind of output would go live, and then refuse every request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from roadworthy.serve.base import Wrapper
from roadworthy.serve.fold import Arrays, OnOutputs


@runtime_checkable
class Rehearsing(Protocol):
    """A wrapper that is no `OnOutputs`, and tells all the same what it makes of a model's outputs.

    Raises SpecError or BadData where they are not what it needs.
    """

    def rehearse(self, outputs: Arrays) -> Arrays: ...


def rehearsed(wrappers: Sequence[Wrapper], outputs: Arrays) -> Arrays | None:
    """The outputs after all wrappers, the last of which is innermost; None from one on that does not tell.

    Raises what a wrapper raises that cannot use them.
    """
    for one in reversed(wrappers):
        if isinstance(one, Rehearsing):
            outputs = one.rehearse(outputs)
        elif isinstance(one, OnOutputs):
            outputs = one.on_outputs(outputs)
        else:
            return None
    return outputs
