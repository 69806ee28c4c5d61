"""A shipment takes what a log took in somewhere else, while the log at hand stays what answers for it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct

from roadworthy.core.catalog import Catalog
from roadworthy.core.record import Label, Record


class Arrival(Struct, frozen=True):
    """A record or a label, and the position at which it came into its log."""

    position: int
    row: Record | Label


class Batch(Struct, frozen=True):
    """What came into the log `source` after the position `after`, up to `position`, in the order of arrival.

    Holds records or labels, never both: each kind has positions of its own. A batch that is shipped again, because this
    process died in between, has the same `number`.
    """

    source: str
    after: int
    position: int
    arrivals: tuple[Arrival, ...]

    @property
    def number(self) -> int:
        """What no other batch has: 63 bits of where it stands and what is in it.

        A log that was put back from a backup counts again from an earlier position; its batches have other numbers.
        """
        told = blake2b(f"{self.source}\0{self.after}\0{self.position}".encode(), digest_size=8)
        for arrival in self.arrivals:
            told.update(b"\0" + arrival.row.id.encode())
        return int.from_bytes(told.digest(), "big") >> 1


class Refused(Struct, frozen=True):
    """A row that the other side will never take, and why; it stays in the log at hand."""

    id: str
    position: int
    because: str


class OpenShipment(Protocol):
    """Blocks; for one thread."""

    def ship(self, batch: Batch) -> Sequence[Refused]:
        """Return once the batch is durable there, with the rows that never will be.

        Raises StoreError where the other side does not answer in time; the same batch is shipped again later.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Shipment(Protocol):
    """Where records go. Opening it must not need the other side: it may be away when a server starts."""

    @property
    def where(self) -> str:
        """A name of the place, which stays while other settings change: how far a log was shipped hangs on it."""
        ...

    def __call__(self) -> OpenShipment: ...


shipment: Catalog[Shipment] = Catalog("shipment", "roadworthy.store.shipments")
