"""A shipment takes records somewhere else, exactly once, while the log at hand stays what answers for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.record import Record


class Shipment(Protocol):
    """`ship` returns once the records are durable there; those up to `position` of the log have been sent then.

    A batch that is shipped twice, because this process died in between, is there once. Raises OSError or StoreError
    where the other side does not answer: the batch is shipped again later.
    """

    def ship(self, records: Sequence[Record], position: int) -> None: ...


shipment: Catalog[Shipment] = Catalog("shipment", "roadworthy.store.shipments")
