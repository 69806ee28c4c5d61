"""A set leaf scores how strange each answer would be, and holds those that are not stranger than a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.fold import Arrays

if TYPE_CHECKING:
    import numpy as np

# A threshold for all rows, one for each row as (n, 1), or one for each class as (1, k).
Threshold = float | NDArray[Any]


class SetLeaf(Protocol):
    """A wrapper whose fitted part is one threshold on its scores, so that others can set it by group, time or weight.

    `reads` are the outputs that it reads.
    """

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def threshold(self) -> float: ...

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the prediction set or the interval of each row. A score of NaN is held."""
        ...

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """How strange what came true was, (n,)."""
        ...

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        ...


def checked_scores(leaf: SetLeaf, labels: ArrayLike, outputs: Arrays) -> NDArray[np.float64]:
    """How strange what came true was, (n,), of rows that are fit to learn a threshold from. Raises BadData."""
    leaf.check(outputs, labels)
    return leaf.true_scores(outputs, labels)


def set_leaf(plan: Any) -> SetLeaf:
    """The set leaf of a plan that stands inside another. Raises SpecError for a wrapper that makes no sets."""
    made: Any = wrapper.make(plan)
    if not hasattr(made, "hold") or not hasattr(made, "true_scores"):
        raise SpecError(f"`leaf` must make prediction sets or intervals of a threshold (lac, cqr, ...), got {plan!r}")
    found: SetLeaf = made
    return found
