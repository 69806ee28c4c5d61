"""What a batcher has done so far, in plain numbers, and the Snapshot of it that an exporter reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from roadworthy.core.measure import Measurement

# Batch sizes are counted by powers of two; the last bucket takes all above.
LAST = 16
LARGEST = 1 << LAST


class Snapshot(Struct, frozen=True):
    """A batcher at one moment. `sizes` counts batches by the most rows that they may have had: 1, 2, 4, 8, ...

    `shed` counts requests refused at the door by reason ("full", "share", "late"), `late` those dropped from the queue
    past their deadline, `gone` those whose caller went away, `hung` the calls of the model that were given up and
    `stuck` the threads that have not come back from them. `limit` is the rows that may wait just now.
    """

    waiting: Mapping[int, int]
    batches: int
    rows: int
    sizes: Mapping[int, int]
    shed: Mapping[str, int]
    late: int
    gone: int
    failed: int
    hung: int
    stuck: int
    retried: int
    limit: int
    line: Sequence[Measurement]


def summed(snapshots: Sequence[Snapshot]) -> Snapshot:
    """What several batchers have done together. What a batch takes is each one's own, so there is no line."""

    def added(counts: Sequence[Mapping[Any, int]]) -> dict[Any, int]:
        keys = sorted({key for one in counts for key in one})
        return {key: sum(one.get(key, 0) for one in counts) for key in keys}

    names = [name for name in Snapshot.__struct_fields__ if name != "line"]
    columns = {name: [getattr(one, name) for one in snapshots] for name in names}
    told: dict[str, Any] = {name: sum(c) if isinstance(c[0], int) else added(c) for name, c in columns.items()}
    return Snapshot(**told, line=())


class BatchCounts:
    """The counters; they only ever grow."""

    __slots__ = ("_sizes", "batches", "failed", "gone", "hung", "late", "rows")

    def __init__(self) -> None:
        self.batches = self.rows = self.late = self.gone = self.failed = self.hung = 0
        self._sizes = [0] * (LAST + 1)

    def batch(self, rows: int) -> None:
        """A batch of `rows` was begun."""
        self.batches += 1
        self.rows += rows
        self._sizes[(rows - 1).bit_length() if 0 < rows <= LARGEST else (LAST if rows else 0)] += 1

    @property
    def sizes(self) -> dict[int, int]:
        """Batches by size, the empty buckets left out."""
        return {1 << power: count for power, count in enumerate(self._sizes) if count}
