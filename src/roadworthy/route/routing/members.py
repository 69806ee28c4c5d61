"""A Member is one of the models that a router chooses among: what it costs and takes of late, and how it fares."""

from __future__ import annotations

from roadworthy.core.wire import Handler

# The weight of the newest call in what a member costs and takes: the last dozen calls are half of it.
NEWEST = 0.06


class Member:
    """A named handler with its live price and latency, exponentially weighted, its load, and its recent failures.

    After `most_failures` failures in a row it rests for `rest_seconds`; then one caller finds out whether it is back.
    With `most_in_flight` calls under way it is full (0: never). `usd` is what a row is said to cost (None: nobody
    said), until answers tell.
    """

    __slots__ = (
        "_rest_until",
        "_row_usd",
        "_seconds_alone",
        "asked",
        "failures",
        "handler",
        "in_flight",
        "most_failures",
        "most_in_flight",
        "name",
        "rest_seconds",
        "said_usd",
        "worst_usd",
    )

    def __init__(
        self,
        name: str,
        handler: Handler,
        usd: float | None = None,
        most_in_flight: int = 0,
        most_failures: int = 3,
        rest_seconds: float = 10.0,
    ) -> None:
        self.name, self.handler = name, handler
        self.most_in_flight, self.most_failures, self.rest_seconds = most_in_flight, most_failures, rest_seconds
        self.in_flight = self.asked = self.failures = 0
        self._seconds_alone: float | None = None
        self.said_usd = self._row_usd = self.worst_usd = usd
        self._rest_until = 0.0

    def __repr__(self) -> str:
        return f"Member({self.name!r}, in_flight={self.in_flight}, usd={self.usd}, seconds={self.seconds:.4g})"

    @property
    def usd(self) -> float | None:
        """What a row of it costs of late; None while nobody knows."""
        return self._row_usd

    @property
    def seconds(self) -> float:
        """What a call would take now: what one takes alone, times those before it in the queue; 0 while unknown."""
        return (self._seconds_alone or 0.0) * (self.in_flight + 1)

    def why_not(self, now: float) -> str:
        """Why it had better not be asked at this moment, "" where nothing speaks against it."""
        if self.failures >= self.most_failures and now < self._rest_until:
            return f"{self.name} rests after {self.failures} failures"
        if self.most_in_flight and self.in_flight >= self.most_in_flight:
            return f"{self.name} has {self.in_flight} calls under way"
        return ""

    def begin(self, now: float) -> None:
        """A call starts. One that ends a rest keeps the others away until it is answered."""
        self.in_flight += 1
        self.asked += 1
        if self.failures >= self.most_failures:
            self._rest_until = now + self.rest_seconds

    def forget(self) -> None:
        """A call ended without telling anything of the member: whoever asked went away, or asked what nobody may."""
        self.in_flight -= 1

    def fail(self, now: float) -> None:
        """A call failed."""
        self.in_flight -= 1
        self.failures += 1
        if self.failures >= self.most_failures:
            self._rest_until = now + self.rest_seconds

    def answer(self, seconds: float, usd: float | None, rows: int, company: int) -> float | None:
        """A call was answered, `company` others having been under way when it began; what it cost."""
        self.in_flight -= 1
        self.failures = 0
        alone, before = seconds / (company + 1), self._seconds_alone
        self._seconds_alone = alone if before is None else before + NEWEST * (alone - before)
        if usd is None:
            return None if self.said_usd is None else self.said_usd * rows
        a_row, known = usd / rows if rows else usd, self._row_usd
        self._row_usd = a_row if known is None else known + NEWEST * (a_row - known)
        if self.worst_usd is None or a_row > self.worst_usd:
            self.worst_usd = a_row
        return usd
