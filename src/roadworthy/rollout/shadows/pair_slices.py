"""The parts of a shadow that people ask about: the values of its tags and of its categorical inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window


class Part(NamedTuple):
    """A slice by its name (`carrier=UA`) and its rows, n booleans."""

    where: str
    rows: NDArray[np.bool_]


def parts_of(rows: Window, least: int, most: int) -> Iterator[Part]:
    """A part for each value with `least` rows of each tag and each input of text, of which `most` at most are common.

    A column with more values than a fifth of its rows is an id or a free text, and no slice; a tag and an input of one
    name are one.
    """
    for name, column in _columns(rows):
        values = Counter(value for value in column.tolist() if value)
        if len(values) > max(1, rows.n // 5):
            continue
        for value, n in values.most_common(most):
            if least <= n < rows.n:
                yield Part(f"{name}={value}", np.asarray(column == value, np.bool_))


def _columns(rows: Window) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from rows.tags.items()
    for name, column in rows.inputs.items():
        if name not in rows.tags and column.dtype == object and any(isinstance(v, str) for v in column):
            yield name, column
