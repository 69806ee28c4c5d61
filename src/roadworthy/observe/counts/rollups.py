"""Rollups are what was counted in each minute of records: requests, errors and sketches of seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from sqlalchemy import select

from roadworthy.core.measure import Measurement
from roadworthy.core.sketch import Sketch, cells_of, middle, read_many
from roadworthy.observe.counts.tally import HOUR, MINUTE, Cell, Tally
from roadworthy.store.state import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A shadow answers nobody.
ANSWERING = ("stable", "canary", "fallback", "holdback")
Dimension = Literal["release", "arm", "stage", "tag"]


class Columns(NamedTuple):
    """Numbers of the rows of a Series: how many, their sum and the sum of their squares."""

    n: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]


@dataclass(frozen=True)
class Sketched:
    """The sketches of one stage: `bodies[k]` belongs to row `rows[k]` of the Series. They are read when asked for."""

    rows: NDArray[np.int64]
    bodies: Sequence[bytes]

    @cached_property
    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Row of the Series, cell of the sketch and its count, one each for every cell of every row."""
        owner, cells, counts = read_many(self.bodies)
        return self.rows[owner] if len(owner) else owner, cells, counts


@dataclass(frozen=True)
class Series:
    """What was counted from `since` to `until`, in the order of time, one row for each stretch, release and arm.

    Row k begins at `at[k]` (Unix seconds) and is `span[k]` seconds long: a minute, or an hour once it is old. A minute
    without requests has no row. `counts` maps a name to n numbers, `numbers` to three columns; see Tally for the names.
    """

    since: float
    until: float
    at: NDArray[np.int64]
    span: NDArray[np.int64]
    counts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    numbers: Mapping[str, Columns] = field(default_factory=dict)
    seconds: Mapping[str, Sketched] = field(default_factory=dict)

    @classmethod
    def of(cls, since: float, until: float, cells: Sequence[Cell], tallies: Sequence[Tally]) -> Series:
        """The series of tallies, in any order."""
        order = sorted(range(len(cells)), key=lambda k: cells[k].minute)
        tallies = [_with_arm(tallies[k], cells[k].arm) for k in order]
        at = np.array([cells[k].minute * MINUTE for k in order], np.int64)
        names = dict.fromkeys(name for tally in tallies for name in tally.counts)
        numbers = dict.fromkeys(name for tally in tallies for name in tally.numbers)
        stages = dict.fromkeys(stage for tally in tallies for stage in tally.seconds)
        return cls(
            since,
            until,
            at,
            np.array([tally.span for tally in tallies], np.int64),
            {name: np.array([tally.counts.get(name, 0) for tally in tallies], np.float64) for name in names},
            {name: _columns(tallies, name) for name in numbers},
            {stage: _sketched(tallies, stage) for stage in stages},
        )

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.at)

    def count(self, name: str) -> NDArray[np.float64]:
        """A column of `counts`, zeros where nothing of that name was counted."""
        return self.counts.get(name, np.zeros(self.n))

    def number(self, name: str) -> Columns:
        """Columns of `numbers`, zeros where no row had such a number."""
        zeros = np.zeros(self.n)
        return self.numbers.get(name, Columns(zeros, zeros, zeros))

    def failed(self, forgive: Collection[str] = ()) -> NDArray[np.float64]:
        """How many requests failed in each row, but for errors whose class is in `forgive`."""
        forgiven = [self.count(f"errors.{name}") for name in forgive]
        return np.asarray(self.count("failed") - np.sum(forgiven, axis=0) if forgiven else self.count("failed"))

    def slower(self, seconds: float, stage: str = "total") -> NDArray[np.float64]:
        """How many requests took longer than this in each row, to 1 % of the bound."""
        if stage not in self.seconds:
            return np.zeros(self.n)
        row, cell, counts = self.seconds[stage].cells
        over = cell > cells_of([seconds])[0]
        return np.bincount(row[over], counts[over], self.n).astype(np.float64)

    def within(self, since: float, until: float) -> slice:
        """The rows that begin in `since` <= at < `until`."""
        return slice(*np.searchsorted(self.at, [since, until]).tolist())

    def hourly(self, column: NDArray[np.float64], first: int, hours: int) -> NDArray[np.float64]:
        """The sums of a column over each of so many hours, the `first` being counted from the epoch."""
        hour = self.at // HOUR - first
        inside = (hour >= 0) & (hour < hours)
        return np.bincount(hour[inside], column[inside], hours).astype(np.float64)

    def hourly_quantile(self, share: float, stage: str, first: int, hours: int) -> NDArray[np.float64]:
        """A quantile of the seconds of each hour, NaN for an hour without a request."""
        found = np.full(hours, np.nan)
        if stage not in self.seconds:
            return found
        row, cell, counts = self.seconds[stage].cells
        hour = self.at[row] // HOUR - first
        inside = (hour >= 0) & (hour < hours)
        cells, place = np.unique(cell[inside], return_inverse=True)
        if not len(cells):
            return found
        size = hours * len(cells)
        table = np.bincount(hour[inside] * len(cells) + place, counts[inside], size).reshape(hours, -1).cumsum(axis=1)
        has = table[:, -1] > 0
        rank = np.ceil(share * table[has, -1])
        found[has] = np.array([middle(c) for c in cells.tolist()])[(table[has] < rank[:, None]).sum(axis=1)]
        return found

    def sketch(self, stage: str, since: float, until: float) -> Sketch:
        """The sketch of the seconds of one stage in a stretch of time."""
        if stage not in self.seconds:
            return Sketch.zero()
        row, cell, counts = self.seconds[stage].cells
        inside = (self.at[row] >= since) & (self.at[row] < until)
        cells, place = np.unique(cell[inside], return_inverse=True)
        total = np.bincount(place, counts[inside], len(cells)).astype(np.int64)
        return Sketch(tuple(cells.tolist()), tuple(total.tolist()))


def series(
    state: State,
    since: float,
    until: float,
    release: str | None = None,
    arm: str | None = None,
    tag: str = "",
    value: str = "",
) -> Series:
    """The minutes (hours, where they are old) that begin in `since` <= at < `until`.

    Without an `arm` they are those that answer somebody; a `tag` with its `value` narrows them to rows that have it.
    """
    found = _read(state, since, until, release, ANSWERING if arm is None else (arm,), (tag,), value)
    return Series.of(since, until, [cell for cell, _ in found], [tally for _, tally in found])


def percentiles(
    state: State, since: float, until: float, by: Collection[Dimension] = ("release", "arm", "stage")
) -> list[Measurement]:
    """p50, p95, p99 and p99.9 of the seconds of a stretch of time, for each release, arm, stage or value of a tag.

    Without `stage` in `by` they are those of the whole request. `where` names the slice, as `arm=stable, stage=model`.
    """
    found = _read(state, since, until, None, None if "arm" in by else ANSWERING, None if "tag" in by else ("",))
    parts: dict[str, list[bytes]] = {}
    for cell, tally in found:
        for stage, body in tally.seconds.items():
            if ("stage" in by or stage == "total") and ("tag" not in by or cell.tag):
                parts.setdefault(_slice(cell, stage, by), []).append(body)
    return [m for where in sorted(parts) for m in _merged(parts[where]).percentiles(where=where)]


def _read(
    state: State,
    since: float,
    until: float,
    release: str | None,
    arms: Iterable[str] | None,
    tags: Iterable[str] | None,
    value: str = "",
) -> list[tuple[Cell, Tally]]:
    table = state.tables["rollups"]
    chosen = select(table).where(table.c.minute * MINUTE >= since, table.c.minute * MINUTE < until)
    chosen = chosen.where(table.c.minute >= int(since // MINUTE), table.c.minute <= int(until // MINUTE) + 1)
    chosen = chosen if release is None else chosen.where(table.c.release == release)
    chosen = chosen if arms is None else chosen.where(table.c.arm.in_(list(arms)))
    chosen = chosen if tags is None else chosen.where(table.c.tag.in_(list(tags)))
    chosen = chosen.where(table.c.value == value) if value else chosen
    with state.engine.execution_options(reading=True).connect() as connection:
        rows = connection.execute(chosen).all()
    return [(Cell(*row[:5]), Tally.from_bytes(row[5])) for row in rows]


def _slice(cell: Cell, stage: str, by: Collection[Dimension]) -> str:
    named = {"release": f"release={cell.release}", "arm": f"arm={cell.arm}", "stage": f"stage={stage}"}
    return ", ".join([*(text for name, text in named.items() if name in by), *([_tag(cell)] if "tag" in by else [])])


def _tag(cell: Cell) -> str:
    return f"{cell.tag}={cell.value}"


def _merged(bodies: Sequence[bytes]) -> Sketch:
    _, cells, counts = read_many(bodies)
    found, place = np.unique(cells, return_inverse=True)
    total = np.bincount(place, counts, len(found)).astype(np.int64)
    return Sketch(tuple(found.tolist()), tuple(total.tolist()))


def _with_arm(tally: Tally, arm: str) -> Tally:
    """What the arm `fallback` answered is a count too."""
    if arm != "fallback":
        return tally
    return Tally(
        tally.span, {**tally.counts, "fallbacks": tally.counts.get("requests", 0)}, tally.numbers, tally.seconds
    )


def _columns(tallies: Sequence[Tally], name: str) -> Columns:
    rows = [tally.numbers.get(name, (0.0, 0.0, 0.0)) for tally in tallies]
    return Columns(*np.array(rows, np.float64).T)


def _sketched(tallies: Sequence[Tally], stage: str) -> Sketched:
    rows = [k for k, tally in enumerate(tallies) if stage in tally.seconds]
    return Sketched(np.array(rows, np.int64), [tallies[k].seconds[stage] for k in rows])
