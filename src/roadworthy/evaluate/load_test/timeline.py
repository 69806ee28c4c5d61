"""A Timeline holds when each request of a load test was due, sent, begun to be answered, and answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Timeline:
    """One row a request, in the order in which they were to be sent; all times are seconds from the start of the run.

    `due` (n,) is NaN where nothing was scheduled (a closed loop), `sent` where it never went out, `first` where the
    answer did not come as a stream, `done` where it failed. At `over` it was answered or failed: NaN for one that was
    dropped or given up, which nobody has served. `failure` (n,) says why it failed, "" where it did not.
    `seconds` is how long requests were sent. `stopped` says why that ended early, and `cpu_share` how much of one core
    the sending thread used (NaN on a simulated clock).
    """

    due: Floats
    sent: Floats
    first: Floats
    done: Floats
    over: Floats
    failure: NDArray[np.object_]
    seconds: float
    stopped: str = ""
    cpu_share: float = float("nan")

    @property
    def n(self) -> int:
        """How many requests there were."""
        return len(self.sent)

    @property
    def scheduled(self) -> bool:
        """Was there a schedule (an open loop)? Else each caller asked again when it was answered."""
        return bool(self.n) and not np.isnan(self.due).any()

    @property
    def latencies(self) -> Floats:
        """Seconds (n,) from the scheduled time, or from the sending where there is no schedule; a failure is inf."""
        start = self.due if self.scheduled else self.sent
        return np.where(np.isnan(self.done), np.inf, self.done - start)

    @property
    def first_latencies(self) -> Floats:
        """Seconds (n,) from the same start to the first piece of a streamed answer; NaN where none was streamed."""
        return self.first - (self.due if self.scheduled else self.sent)

    @property
    def lags(self) -> Floats:
        """Seconds (k,) by which those that went out were sent later than they were due; none in a closed loop."""
        lags = self.sent - self.due
        return lags[~np.isnan(lags)]

    @property
    def failed(self) -> int:
        """How many have no answer."""
        return int(np.isnan(self.done).sum())

    @property
    def failures(self) -> dict[str, int]:
        """How many failed for each reason, the commonest first."""
        return dict(Counter(str(reason) for reason in self.failure if reason).most_common())

    @property
    def ended(self) -> float:
        """The second at which the last answer came, or the sending ended where that is later."""
        return max(self.seconds, float(np.nanmax(self.done)) if self.failed < self.n else 0.0)

    @property
    def waits(self) -> Floats:
        """Seconds (n,) from the same start until it was over, however it ended; up to the end of the run at least."""
        start = self.due if self.scheduled else self.sent
        return np.where(np.isnan(self.over), self.ended, self.over) - start

    def in_flight(self, at: Floats) -> NDArray[np.int64]:
        """How many requests were due (sent, without a schedule) and not over at each of the seconds `at`."""
        start = self.due if self.scheduled else self.sent
        begun, over = (np.sort(times[~np.isnan(times)]) for times in (start, self.over))
        return np.asarray(np.searchsorted(begun, at, "right") - np.searchsorted(over, at, "right"), dtype=np.int64)
