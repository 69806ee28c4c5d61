"""Who may join the queue: bounded in rows for each priority, and nobody whose answer would come too late."""

from __future__ import annotations

import math
from collections.abc import Sequence

from roadworthy.core.errors import Late, Overloaded, TooMany
from roadworthy.core.wire import Priority, Request
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller, Lines
from roadworthy.serve.queue_limit import QueueLimit

# How far the rows of a priority and of those before it may fill the limit (there is no priority 0).
SHARES = (0.0, 1.0, 0.9, 0.5)
# Up to this part of the time that callers allow may go by in the queue before it counts as standing.
WAIT_SHARE = 0.25
# What callers are taken to allow while none has said.
ALLOWED_SECONDS = 30.0
# Of a model that is kept busy by higher priorities at least this is expected to be left for the lower ones, since
# those of them who were let in go first when their deadline is near.
LEAST_LEFT = 0.3
LEAST_RETRY_SECONDS = 0.05
# A promise that was broken makes the next ones so much more careful, one that was kept so much less: they balance where
# one in a hundred is broken (a stochastic approximation of that quantile, Robbins and Monro 1951).
MORE_CARE, LESS_CARE = 1.05, 0.9995
# A tenth is always kept for the way back to the caller.
LEAST_CARE, MOST_CARE = 1.1, 2.0


class Admission:
    """The rules at the door. A refusal costs an exception with a sentence and computes nothing.

    1. At most `most_queue` rows wait. 2. Of those, a priority and all before it may fill its share of an adaptive
    limit (`QueueLimit`), so that 3 is shed first and 1 last. 3. Who could not be answered before his deadline is
    refused at once. `room` (rows) and `ample` (seconds) are such that most requests need no closer look. `shed`
    counts the refused by reason.
    """

    __slots__ = (
        "_allowed",
        "_crowded",
        "_free_at",
        "_left",
        "_rooms",
        "_running",
        "ample",
        "care",
        "limit",
        "line",
        "lines",
        "most_queue",
        "most_rows",
        "room",
        "shed",
    )

    def __init__(self, lines: Lines, line: CostLine, most_rows: int, most_queue: int) -> None:
        self.lines, self.line, self.most_rows, self.most_queue = lines, line, most_rows, most_queue
        self.limit = QueueLimit(most_queue, 2 * most_rows)
        self.shed = {"full": 0, "share": 0, "late": 0}
        self._allowed, self._free_at, self._running = math.nan, 0.0, False
        # The part of a busy model that higher priorities leave to each; half, until that is known.
        self._left = [1.0, 1.0, 0.5, 0.5]
        self.care = LEAST_CARE  # by how much predictions are stretched
        self._crowded = False  # did the last batch leave somebody waiting?
        self.ample = math.inf
        self._make_room()

    def full(self, priority: Priority, rows: int) -> Overloaded | None:
        """The refusal of one who finds `room` exceeded; None where he may join nevertheless."""
        waiting, ahead, room = self.lines.rows, sum(self.lines.rows_of[1 : priority + 1]), self._rooms[priority]
        # An empty queue takes anything: a request above `queue` rows would otherwise be told to retry for ever.
        if not waiting or (waiting + rows <= self.most_queue and ahead + rows <= room):
            return None
        self.limit.turned_away = True
        if priority == 3 and sum(self.lines.rows_of[1:3]) + rows <= self._rooms[2]:
            self.shed["share"] += 1
            told = f"{waiting} rows wait for the model, which leaves no room for priority 3; ask again"
            return TooMany(told, self.clears_in())
        self.shed["full"] += 1
        return Overloaded(f"{waiting} rows wait for the model and at most {room} may; ask again", self.clears_in())

    def late(self, request: Request, deadline: float, rows: int, now: float) -> Late | None:
        """The refusal of one whose answer would come after the deadline; None where it may join."""
        if now > deadline:
            self.shed["late"] += 1
            return Late(f"request {request.id!r} came {now - deadline:.3f} s past its deadline", LEAST_RETRY_SECONDS)
        # An idle model takes anything: were the line wrong, nothing else would ever put it right.
        if not self._running and not self.lines.rows:
            return None
        seconds = self.seconds(request.priority, rows, now, deadline)
        if now + seconds <= deadline:
            return None
        self.shed["late"] += 1
        told = f"request {request.id!r} would be answered in {seconds:.3f} s and allows {deadline - now:.3f} s"
        # When the queue has become shorter by what is missing now, the same request would be in time.
        after = max(LEAST_RETRY_SECONDS, now + seconds - deadline)
        return Late(f"{told}; nothing was computed, ask again or allow more", after)

    def seconds(self, priority: Priority, rows: int, now: float, deadline: float = math.inf) -> float:
        """Until a request of `rows` that joins now is answered, with the usual spread of the model and `care` on top.

        The running batch has to end; one that takes longer than predicted will take as long again (Lindy's rule).
        Then come the full batches of those ahead, while higher priorities go on overtaking, and its own. Lower
        priorities with earlier deadlines count as ahead: they were let in, and will go first when theirs is near.
        """
        line, lines = self.line, self.lines
        batches, rest = divmod(lines.ahead(priority, deadline), self.most_rows)
        ahead = abs(self._free_at - now) if self._running else 0.0
        ahead += batches * line(self.most_rows)
        own = line(max(rows, self.most_rows if self._crowded else min(rest + rows, self.most_rows)))
        return (ahead / max(LEAST_LEFT, self._left[priority]) + own) * (1.0 + line.spread) * self.care

    def began(self, now: float, rows: int) -> None:
        """The model begins a batch of `rows` elsewhere, and the loop goes on."""
        self._running, self._free_at = True, now + self.line(rows)

    def ended(self) -> None:
        """The model is free."""
        self._running = False

    def answered(self, caller: Caller, now: float) -> None:
        """One who was let in has his answer, or will have none because it is too late.

        Who allowed less than two full batches was promised nothing.
        """
        deadline = caller.request.deadline
        if deadline is None or deadline - caller.since < 2.0 * self.line(self.most_rows):
            return
        if now > deadline:
            self.care = min(MOST_CARE, self.care * MORE_CARE)
        elif self.care > LEAST_CARE:
            self.care = max(LEAST_CARE, self.care * LESS_CARE)

    def took(self, now: float, callers: Sequence[Caller], before: Sequence[int], waiting: int) -> None:
        """A batch was taken of the `waiting` rows; `before` is what waited of each priority."""
        lines, limit = self.lines, self.limit
        self._crowded = lines.rows > 0
        if not self._crowded and now < limit.ends:  # the queue ran empty, and nothing is due
            limit.signal = 0.0
            return
        self._follow(before, lines.rows_of)
        deadline, since = callers[0].request.deadline, callers[0].since
        if deadline is not None:
            known = self._allowed if self._allowed == self._allowed else deadline - since
            self._allowed = known + 0.05 * (deadline - since - known)
        full = self.line(self.most_rows)
        target = WAIT_SHARE * (self._allowed if self._allowed == self._allowed else ALLOWED_SECONDS)
        waited = now - callers[-1].since if self._crowded else 0.0
        if limit.saw(now, waited, waiting, max(2.0 * full, target)):
            self._make_room()
        batches = 3 + limit.rows // self.most_rows
        self.ample = batches * full * (1.0 + self.line.spread) * MOST_CARE / LEAST_LEFT

    def due_by(self, now: float, most: int) -> float:
        """Lower priorities who must be answered before this have to go now, for all of them together to be in time."""
        below = self.lines.rows_of[2] + self.lines.rows_of[3]
        return now + (1.5 + -(-below // most)) * self.line(most) * (1.0 + self.line.spread) * self.care

    def clears_in(self) -> float:
        """Seconds until the queue is worked off, as far as known: what a client should wait."""
        if not self.line.n:
            return 1.0
        batches = 1 + self.lines.rows // self.most_rows
        return max(LEAST_RETRY_SECONDS, batches * self.line.fixed + self.lines.rows * self.line.per_row)

    def _follow(self, before: Sequence[int], after: Sequence[int]) -> None:
        """What the higher priorities left of a batch, of which there might have been `most_rows`."""
        first, second, third = (there - left for there, left in zip(before[1:], after[1:], strict=True))
        size = max(self.most_rows, first + second + third)
        self._left[2] += 0.1 * (1.0 - first / size - self._left[2])
        self._left[3] += 0.1 * (1.0 - (first + second) / size - self._left[3])

    def _make_room(self) -> None:
        self._rooms = [math.ceil(share * self.limit.rows) for share in SHARES]
        self.room = self._rooms[3]
