"""Labels in the order in which they came, for a reader that keeps rows and wants to know which of them it may judge."""

from __future__ import annotations

from roadworthy.core.record import Label
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.records import RecordLog

AT_ONCE = 20_000
_LAST = "SELECT coalesce(max(seq), 0) FROM label_arrivals"


class LateLabels:
    """Reads the labels of a record log; from the first call on their order is noted (`store.arrivals`)."""

    def __init__(self, records: RecordLog) -> None:
        self._log = records
        self._arrivals = Arrivals(records)

    def position(self) -> int:
        """The position of the newest label; `since` goes on from there."""
        self._arrivals.labels(0, 0)
        with self._log.connection() as connection:
            return int(connection.execute(_LAST).fetchone()[0])

    def since(self, position: int) -> tuple[list[Label], int]:
        """The labels that came after the position, and the position of the last of them."""
        found: list[Label] = []
        while some := self._arrivals.labels(position, AT_ONCE):
            found += [arrival.row for arrival in some if isinstance(arrival.row, Label)]
            position = some[-1].position
        return found, position
