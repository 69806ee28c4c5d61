"""A Cap bounds how much goes on to dearer models: a share of the rows, and dollars an hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from roadworthy.route.answering.budget import Budget


@dataclass(frozen=True)
class Cap:
    """Of any `over_rows` rows in a row, at most `share` go to the last level; `usd_per_hour` bounds what levels cost.

    `then` says what becomes of a row beyond it: its cheap answer is kept, or the request is refused. One that no level
    has answered yet is refused in either case. Each process counts the rows that it sees, for a share of each process's
    rows is that share of all; the dollars of a deployment are counted across its processes (`app/spending.py`).
    """

    share: float = 1.0
    over_rows: int = 1000
    usd_per_hour: float | None = None
    then: Literal["keep", "refuse"] = "keep"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.over_rows < 1:
            raise ValueError(
                f"`share` of a cap lies between 0 and 1 and `over_rows` is at least 1, got {self.share!r} and "
                f"{self.over_rows!r}"
            )
        if self.share < 1 and self.share * self.over_rows < 1:
            raise ValueError(f"{self.share!r} of {self.over_rows!r} rows is less than one row: raise `over_rows`")
        if self.usd_per_hour is not None and not self.usd_per_hour > 0:
            raise ValueError(f"`usd_per_hour` of a cap must be above 0, got {self.usd_per_hour!r}")

    def __bool__(self) -> bool:
        """Does it bound anything?"""
        return self.share < 1 or self.usd_per_hour is not None


class Granting(Budget):
    """Counts what went on, and grants what may. What is granted counts at once: many requests ask meanwhile."""

    def __init__(self, cap: Cap, now: Callable[[], float]) -> None:
        super().__init__("cascade", now, cap.usd_per_hour or 0.0)
        self.cap = cap
        self._most = int(cap.share * cap.over_rows + 1e-9)
        self._rows: deque[bool] = deque(maxlen=cap.over_rows)
        self._sent = 0

    @property
    def sent(self) -> int:
        """Of the last `over_rows` rows, how many went to the last level."""
        return self._sent

    def saw(self, rows: int) -> None:
        """So many rows did not go to the last level."""
        if self.cap.share < 1:
            for _ in range(rows):
                self._count(False)

    def last(self, wanted: Sequence[bool], usd: float) -> list[bool]:
        """Which of a request's rows may go to the last level, `usd` each; all of its rows are counted."""
        granted = []
        for one in wanted:
            free = self._sent - (len(self._rows) == self.cap.over_rows and self._rows[0])
            may = one and (self.cap.share == 1 or free < self._most) and self.pay(usd)
            self._count(may)
            granted.append(may)
        return granted

    def words(self) -> str:
        """Where it stands, for the path of a row that it stopped."""
        told = [f"{self._sent:,} of the last {len(self._rows):,} rows were sent on"] * (self.cap.share < 1)
        if self.cap.usd_per_hour is not None:
            told.append(f"{self.spent:.4g} of {self.cap.usd_per_hour:.4g} USD an hour are spent")
        return " and ".join(told)

    def _count(self, sent: bool) -> None:
        if self.cap.share == 1:
            return
        if len(self._rows) == self.cap.over_rows:
            self._sent -= self._rows[0]
        self._rows.append(sent)
        self._sent += sent
