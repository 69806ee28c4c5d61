"""What a batcher has done so far, in plain numbers, and the Snapshot of it that an exporter reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
