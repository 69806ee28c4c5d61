"""A Sample: rows of a table as columns, with labels, times and tags, on their way into a measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from roadworthy.core.spec import Field, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """`columns` maps an input's name to an array of n values (float64 with NaN for null, or object of str/None).

    `labels` (n,) are floats, NaN where unknown; `at` (n,) is event time and `known_at` (n,) the time at which the
    label became known, both in Unix seconds; `tags` maps a name to n strings; `ids` (n,) are strings, and
    `keys` (n,) those that keep a caller on one arm. `source` says where the rows come from, and `digest` which bytes
    they were. `fields` says what each column is, where that is known; `targets` (n,) are the outcomes as text where
    they are text (None where unknown): class names before they became numbers, or what should have been written.
    """

    columns: Mapping[str, NDArray[Any]]
    labels: NDArray[np.float64] | None = None
    at: NDArray[np.float64] | None = None
    known_at: NDArray[np.float64] | None = None
    ids: NDArray[np.object_] | None = None
    tags: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    source: str = ""
    digest: str = ""
    keys: NDArray[np.object_] | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    targets: NDArray[np.object_] | None = None

    @property
    def n(self) -> int:
        """How many rows there are."""
        return next((len(c) for c in self.columns.values()), 0)

    def take(self, rows: NDArray[Any] | slice) -> Sample:
        """The same sample with the given rows only (a slice, an index array or a mask of n booleans)."""

        def part(column: NDArray[Any] | None) -> Any:
            return None if column is None else column[rows]

        return Sample(
            {name: part(c) for name, c in self.columns.items()},
            part(self.labels),
            part(self.at),
            part(self.known_at),
            part(self.ids),
            {name: part(t) for name, t in self.tags.items()},
            self.source,
            self.digest,
            part(self.keys),
            self.fields,
            part(self.targets),
        )

    def of_kind(self, *kinds: Kind) -> tuple[str, ...]:
        """The names of the columns of these kinds; an undescribed one is text or a number."""
        return tuple(name for name, column in self.columns.items() if self._kind(name, column) in kinds)

    def _kind(self, name: str, column: NDArray[Any]) -> Kind:
        if name in self.fields:
            return self.fields[name].kind
        return "text" if column.dtype == object else "number"

    def chunks(self, size: int) -> Iterator[Sample]:
        """The rows in order, `size` at a time."""
        for start in range(0, self.n, size):
            yield self.take(slice(start, start + size))
