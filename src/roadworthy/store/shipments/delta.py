"""Records straight into Delta tables, without Kafka in between: a commit a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from roadworthy.core.record import Label, Record
from roadworthy.store.base import Batch, Refused, shipment
from roadworthy.store.delta_log import DeltaLog
from roadworthy.store.delta_rows import Sent
from roadworthy.store.delta_table import Overtaken
from roadworthy.store.envelopes import encode
from roadworthy.store.files import StoreError


@shipment("delta", needs=(("deltalake", "delta"), ("polars", "data")))
@dataclass(frozen=True)
class Delta:
    """Into Delta tables in a directory or in S3; many servers may share them.

    `uri` is a path or `s3://bucket/prefix`; `options` are those of delta-rs for the store (`AWS_ENDPOINT_URL`, ...),
    `$NAME` being taken from the environment. Keys and region that the environment has need not be said.
    """

    uri: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.uri:
            raise ValueError("`uri` must be a directory or an address such as `s3://bucket/prefix`, got ''")

    @property
    def where(self) -> str:
        """See `Shipment`."""
        return f"delta:{self.uri}"

    def __call__(self) -> OpenDelta:
        """The open tables. They are made with the first batch."""
        return OpenDelta(DeltaLog(self.uri, self.options))

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[tuple[Delta, Callable[[], Sequence[Record]]]]:
        """One for the laws, and what reads all that is there."""
        yield cls(str(folder / "delta")), DeltaLog(str(folder / "delta")).read


class OpenDelta:
    """An OpenShipment. Rows and the number of their batch are one commit: a batch that is there is not sent again."""

    def __init__(self, log: DeltaLog) -> None:
        self._log = log

    def ship(self, batch: Batch) -> Sequence[Refused]:
        """See `OpenShipment`."""
        if not batch.arrivals:
            return ()
        rows = [Sent(batch.source, arrival, encode(batch.source, arrival)) for arrival in batch.arrivals]
        labels = isinstance(batch.arrivals[0].row, Label)
        table, append = (self._log.labels, self._log.append_labels) if labels else (self._log.records, self._log.append)
        name = f"log:{batch.source}"
        there = table.numbers([name])
        if there[name] == batch.number:
            return ()
        try:
            append(rows, {name: batch.number}, there)
        except Overtaken as other:
            raise StoreError(f"two processes ship the log {batch.source!r}: {other}; stop one of them") from other
        return ()

    def close(self) -> None:
        """Nothing is held between two batches."""
