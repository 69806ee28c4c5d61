"""The loop that takes what came into the log at hand to where it is shipped, and never loses its place.

The log acknowledges; this follows behind. The other side may be away for an hour: nobody waits for it, the bookmark
stays, and what gathered is sent when it is back. From here it is at least once; a batch keeps its limits and its
number when it is sent again, and the other side tells by them what it has.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct
from sqlalchemy import Engine, select

from roadworthy.core.errors import Taken
from roadworthy.core.measure import Measurement
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.base import Arrival, Batch, OpenShipment, Refused, Shipment
from roadworthy.store.bookmarks import Bookmark, move_bookmark, read_bookmark
from roadworthy.store.events import write_event
from roadworthy.store.files import StoreError
from roadworthy.store.metadata import bookmarks
from roadworthy.store.state import State

log = logging.getLogger(__name__)

MOST = 20_000

# So often is it noted that there was nothing to ship: each note is a commit.
IDLE_SECONDS = 30.0

Read = Callable[[int, int], Sequence[Arrival]]


class Source(Protocol):
    """What came into a log, in the order in which it came (`arrivals.Arrivals`)."""

    def records(self, after: int, most: int) -> Sequence[Arrival]: ...
    def labels(self, after: int, most: int) -> Sequence[Arrival]: ...
    def behind(self, after: int, labels_after: int) -> int: ...


class Shipped(Struct, frozen=True):
    """What was sent; the `refused` will never be there. `done`: nothing was left when it ended."""

    records: int = 0
    labels: int = 0
    refused: tuple[Refused, ...] = ()
    done: bool = True

    def and_then(self, next: Shipped) -> Shipped:
        """Both together."""
        records, labels = self.records + next.records, self.labels + next.labels
        return Shipped(records, labels, self.refused + next.refused, next.done)

    def __str__(self) -> str:
        told = f"{self.records} records and {self.labels} labels shipped"
        return f"{told}, {len(self.refused)} refused" if self.refused else told


@contextmanager
def shipping_of(plan: Shipment, state: State, most: int = MOST) -> Iterator[Shipping]:
    """What ships the log of a state directory to where the plan says, for the length of a block."""
    opened = plan()
    try:
        source = f"{socket.gethostname()}:{state.directory.resolve()}"
        yield Shipping(Arrivals(state.records), opened, state.engine, _bookmark_of(plan.where), source, most)
    finally:
        opened.close()


class Shipping(Struct, frozen=True):
    """Ships one log under the bookmarks `name` and `name/labels`.

    `source` names the log for the other side, alike after a restart and unlike that of any other host. A row that is
    refused is kept as an event.
    """

    arrivals: Source
    shipment: OpenShipment
    engine: Engine
    name: str
    source: str
    most: int = MOST

    def step(self, now: Callable[[], float]) -> Shipped:
        """A batch of records and a batch of labels.

        Raises StoreError where the other side does not answer, and Taken where another process ships under the name.
        """
        records, done = self._ship(self.arrivals.records, self.name, self.source, now)
        labels, ended = self._ship(self.arrivals.labels, f"{self.name}/labels", f"{self.source}/labels", now)
        return Shipped(records[0], labels[0], (*records[1], *labels[1]), done and ended)

    def catch_up(self, now: Callable[[], float], ended: Callable[[], bool] = lambda: False) -> Shipped:
        """Step until nothing is left, or until `ended`. Raises as `step` does; what was shipped by then is shipped."""
        total = self.step(now)
        while not (total.done or ended()):
            total = total.and_then(self.step(now))
        return total

    def lag(self, now: Callable[[], float]) -> tuple[Measurement, Measurement]:
        """How many rows are not there yet, and how long at most one of them has been waiting."""
        records, labels = self._mark(self.name), self._mark(f"{self.name}/labels")
        rows, since = self.arrivals.behind(records.position, labels.position), min(records.at, labels.at)
        behind = Measurement("ship_rows_behind", float(rows), 1, rows, rows, "rows", self.name)
        if not rows:
            return behind, Measurement("ship_seconds_behind", 0.0, 1, 0.0, 0.0, "s", self.name)
        if not since:
            never = {"because": "there was no time yet at which nothing was left"}
            return behind, Measurement("ship_seconds_behind", unit="s", where=self.name, conditions=never)
        waited = max(0.0, now() - since)
        return behind, Measurement("ship_seconds_behind", waited, 1, 0.0, waited, "s", self.name)

    def _ship(
        self, read: Read, name: str, source: str, now: Callable[[], float]
    ) -> tuple[tuple[int, Sequence[Refused]], bool]:
        """One batch: how many rows it had, those that were refused, and whether it was the last for now."""
        begun, mark = now(), self._mark(name)
        arrivals, all_there_is = self._next(read, name, mark, begun)
        if not arrivals:
            if begun - mark.at > IDLE_SECONDS:
                self._move(name, mark, mark.position, begun)
            return (0, ()), True
        position = arrivals[-1].position
        refused = self.shipment.ship(Batch(source, mark.position, position, tuple(arrivals)))
        for row in refused:
            log.error("%s: %r stays behind: %s", name, row.id, row.because)
            told = {"position": row.position, "because": row.because}
            write_event(self.engine, begun, "record_not_shipped", row.id, {"shipment": name, **told})
        self._move(name, mark, position, begun if all_there_is else mark.at)
        return (len(arrivals), refused), all_there_is

    def _next(self, read: Read, name: str, mark: Bookmark, begun: float) -> tuple[Sequence[Arrival], bool]:
        """What comes next, and whether that is all. Its end is written down before it is sent: after a crash the same
        rows are sent again, so that the other side can tell them.
        """
        arrivals = read(mark.position, self.most)
        end = self._mark(f"{name}/sending")
        if arrivals and end.position > mark.position:
            again = [arrival for arrival in arrivals if arrival.position <= end.position]
            if again:
                return again, len(again) == len(arrivals) < self.most
        if arrivals:
            self._move(f"{name}/sending", end, arrivals[-1].position, begun)
        return arrivals, len(arrivals) < self.most

    def _mark(self, name: str) -> Bookmark:
        return read_bookmark(self.engine, name) or Bookmark(0, 0.0)

    def _move(self, name: str, known: Bookmark, position: int, at: float) -> None:
        with self.engine.begin() as connection:
            there = connection.execute(select(bookmarks.c.position).where(bookmarks.c.name == name)).scalar() or 0
            if there != known.position:
                raise Taken(f"the bookmark {name!r} moved from {known.position} to {there}: another process ships too")
            move_bookmark(connection, name, position, at)


def _bookmark_of(where: str) -> str:
    """The name of the bookmark, which a database keeps up to 128 characters of, with `/labels` and `/sending`."""
    return f"ship:{where}" if len(where) < 90 else f"ship:{where[:60]}:{blake2b(where.encode()).hexdigest()[:16]}"


def keep_shipping(
    shipping: Shipping,
    now: Callable[[], float],
    ended: threading.Event,
    rng: random.Random,
    told: Callable[[Shipped | StoreError], None],
    pause_seconds: float = 1.0,
    most_pause_seconds: float = 60.0,
) -> None:
    """Ship until `ended` is set, ever more slowly while the other side is away. For a thread or process of its own.

    Hosts that lost the same brokers at once come back at different times: the pauses are drawn by `rng`.
    """
    failures = 0
    while not ended.is_set():
        try:
            shipped = shipping.catch_up(now, ended.is_set)
        except StoreError as away:
            failures += 1
            told(away)
            pause = min(most_pause_seconds, pause_seconds * 2.0 ** min(failures, 16)) * rng.uniform(0.5, 1.0)
        else:
            failures, pause = 0, pause_seconds
            told(shipped)
        ended.wait(pause)
