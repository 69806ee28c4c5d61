"""A Window: a stretch of records as columns, which is what a detector looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """`inputs` and `outputs` map a name to n values (float64 with NaN for null, or object of str/None).

    `labels` (n,) are NaN where nothing is known yet; `at` (n,) is Unix seconds.
    """

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.float64]
    at: NDArray[np.float64]

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.at)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Window:
        """The columns of the records that have an answer; failed ones carry no output to look at."""
        import numpy as np

        answered = [r for r in records if r.error is None]
        inputs = _columns([r.inputs for r in answered])
        outputs = _columns([r.outputs for r in answered])
        labels = [np.nan if r.label is None else r.label for r in answered]
        return cls(inputs, outputs, np.array(labels, np.float64), np.array([r.at for r in answered], np.float64))

    @classmethod
    def of_sample(cls, sample: Sample, outputs: Mapping[str, NDArray[Any]] | None = None) -> Window:
        """A reference window from a table, such as the rows that a release was trained on."""
        import numpy as np

        unknown = np.full(sample.n, np.nan)
        labels = unknown if sample.labels is None else sample.labels
        return cls(sample.columns, outputs or {}, labels, unknown if sample.at is None else sample.at)


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Scalars as an array: float64 with NaN for None, or object when one of them is text."""
    import numpy as np

    if any(isinstance(v, str) for v in values):
        return np.array(values, dtype=object)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: column([row.get(name) for row in rows]) for name in names}
