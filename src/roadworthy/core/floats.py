"""Values as floats, or a refusal that says which of them is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray


def floats(values: Any, what: str) -> NDArray[np.float64]:
    """The values in 64 bits, None as NaN; `what` names them. Raises BadData for text, and for rows of unlike length.

    >>> floats([1, None], "labels").tolist()
    [1.0, nan]
    """
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as wrong:
        raise BadData(f"{what} must be numbers, such as a label's class number or a probability: {wrong}") from wrong
