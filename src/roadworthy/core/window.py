"""A Window: a stretch of records as columns, which is what a detector looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """`inputs` and `outputs` map a name to n values (float64 with NaN for null, or object of str/None).

    `labels` (n,) are NaN where nothing is known yet; `at` (n,) is Unix seconds. `tags` maps a name to n strings (""
    where a row has none), `ids` (n,) are strings, `confidence` (n,) and `known_at` (n,) floats with NaN for null.
    """

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.float64]
    at: NDArray[np.float64]
    tags: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    ids: NDArray[np.object_] | None = None
    confidence: NDArray[np.float64] | None = None
    known_at: NDArray[np.float64] | None = None

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
        tags = {name: [r.tags.get(name, "") for r in answered] for name in {n for r in answered for n in r.tags}}
        return cls(
            inputs,
            outputs,
            _floats([r.label for r in answered]),
            np.array([r.at for r in answered], np.float64),
            {name: np.array(values, object) for name, values in sorted(tags.items())},
            np.array([r.id for r in answered], object),
            _floats([r.confidence for r in answered]),
            _floats([r.label_at for r in answered]),
        )

    @classmethod
    def of_sample(cls, sample: Sample, outputs: Mapping[str, NDArray[Any]] | None = None) -> Window:
        """A reference window from a table, such as the rows that a release was trained on."""
        import numpy as np

        unknown = np.full(sample.n, np.nan)
        labels = unknown if sample.labels is None else sample.labels
        at = unknown if sample.at is None else sample.at
        known = unknown if sample.known_at is None else sample.known_at
        return cls(sample.columns, outputs or {}, labels, at, sample.tags, sample.ids, known_at=known)

    def take(self, rows: NDArray[Any] | slice) -> Window:
        """The same columns with the given rows only (a slice, an index array or a mask of n booleans)."""

        def part(column: NDArray[Any] | None) -> Any:
            return None if column is None else column[rows]

        return Window(
            {name: part(c) for name, c in self.inputs.items()},
            {name: part(c) for name, c in self.outputs.items()},
            part(self.labels),
            part(self.at),
            {name: part(c) for name, c in self.tags.items()},
            part(self.ids),
            part(self.confidence),
            part(self.known_at),
        )


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Scalars as an array: float64 with NaN for None, or object when one of them is text."""
    import numpy as np

    if any(isinstance(v, str) for v in values):
        return np.array(values, dtype=object)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    import numpy as np

    return np.array([np.nan if v is None else v for v in values], np.float64)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: column([row.get(name) for row in rows]) for name in names}
