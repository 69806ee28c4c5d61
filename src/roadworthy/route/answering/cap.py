"""A Cap bounds how much goes on to dearer models: a share of the rows, and dollars an hour."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

MINUTE, HOUR_MINUTES = 60.0, 60


@dataclass(frozen=True)
class Cap:
    """Of any `over_rows` rows in a row, at most `share` go to the last level; `usd_per_hour` bounds what levels cost.

    `then` says what becomes of a row beyond it: its cheap answer is kept, or the request is refused. One that no level
    has answered yet is refused in either case. Each process counts for itself.
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


class Granting:
    """Counts what went on, and grants what may. What is granted counts at once: many requests ask meanwhile."""

    def __init__(self, cap: Cap, now: Callable[[], float]) -> None:
        self.cap, self._now = cap, now
        self._most = int(cap.share * cap.over_rows + 1e-9)
        self._rows: deque[bool] = deque(maxlen=cap.over_rows)
        self._sent = 0
        self._minutes: deque[tuple[int, float]] = deque()
        self._spent = 0.0

    @property
    def sent(self) -> int:
        """Of the last `over_rows` rows, how many went to the last level."""
        return self._sent

    @property
    def spent(self) -> float:
        """Dollars granted within the last hour, the minute that has begun counted whole."""
        self._forget()
        return self._spent

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

    def pay(self, usd: float) -> bool:
        """Is there money for a row, which is then spent?"""
        most = self.cap.usd_per_hour
        if most is None:
            return True
        if self.spent + usd > most * (1 + 1e-9):
            return False
        minute = int(self._now() // MINUTE)
        if self._minutes and self._minutes[-1][0] == minute:
            usd_before = self._minutes.pop()[1]
            self._minutes.append((minute, usd_before + usd))
        else:
            self._minutes.append((minute, usd))
        self._spent += usd
        return True

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

    def _forget(self) -> None:
        oldest = int(self._now() // MINUTE) - HOUR_MINUTES
        while self._minutes and self._minutes[0][0] < oldest:
            self._spent -= self._minutes.popleft()[1]
        if not self._minutes:
            self._spent = 0.0
