"""The insides of a model, for whoever explains it: what it computes in the end, and out of which inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Columns = Mapping[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Insides:
    """The last step of a model: its score is a weighted sum, or a sum over trees, of `features`.

    `features` maps columns, each of shape (n, width), to a matrix (n, F), and `owners` names the input that each of
    the F belongs to. `score` is (weights (F,), bias) of a linear model, else whatever shap's TreeExplainer takes. The
    score is the answer itself ("1"), or its log odds ("logit").
    """

    kind: Literal["linear", "trees"]
    features: Callable[[Columns], NDArray[np.float64]]
    owners: tuple[str, ...]
    score: Any
    unit: Literal["1", "logit"]


@dataclass(frozen=True)
class Explained:
    """A model that shall be explained: `predict` maps columns (n, width) to n answers, `insides` may be known."""

    predict: Callable[[Columns], NDArray[np.float64]]
    insides: Insides | None = None
