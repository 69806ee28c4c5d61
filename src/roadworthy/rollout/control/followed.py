"""Follows the rows of one rollout: what came since the last look is read, what was read before is kept as columns.

It gives what reading everything anew would give, with every label that is known by the time of the look.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from roadworthy.core.record import Label, Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.control.growing import Growing
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.store.late_labels import LateLabels
from roadworthy.store.records import RecordLog

CONTROL_ARMS: tuple[Arm, ...] = ("stable", "holdback")
CANDIDATE_ARMS: tuple[Arm, ...] = ("shadow", "canary", "stable")
# The arms on which the candidate answers users.
ANSWERING_ARMS: tuple[Arm, ...] = ("canary", "stable")

# A server follows the store within this time; until then the requests are shared out as in the stage before.
SETTLING_SECONDS = 1.0
# So many records are decoded at once when a rollout is read from its beginning.
STRETCH_ROWS = 50_000


class Rows(NamedTuple):
    """Control and candidate: all rows of the rollout, and those of the running stage, in the order of time."""

    control: Window
    candidate: Window
    stage_control: Window
    stage_candidate: Window
    touched: int


class Followed:
    """The rows of a rollout as one process knows them."""

    def __init__(self, records: RecordLog, rollout: RolloutState) -> None:
        self.id = rollout.id
        self._records = records
        self._labels = LateLabels(records)
        self._begin()

    def _begin(self) -> None:
        self._position: int | None = None
        self._label_position = 0
        self._shown_until = -math.inf
        self._control, self._candidate = _ArmRows(), _ArmRows()
        self._early: list[tuple[bool, Record]] = []
        self._later: list[Label] = []
        self._touched = 0

    def rows(self, now: RolloutState, at: float) -> Rows:
        """What is known at `at`. An earlier time than at the last look has everything read anew."""
        if at < self._shown_until:
            self._begin()
        if self._position is None:
            self._read_all(now, at)
        else:
            self._read_new(now, at)
        self._shown_until = at
        return Rows(
            self._control.rows.view(0, self._control.rows.n),
            self._candidate.rows.view(0, self._candidate.rows.n),
            *_of_stage(self._control, self._candidate, now),
            self._touched,
        )

    def _read_all(self, now: RolloutState, at: float) -> None:
        # Labels first: one that comes between is read with its record, or with the next new ones.
        self._label_position = self._labels.position()
        position = self._records.position()
        for digest, arms, is_candidate in _sides(now):
            for since, until in self._stretches(now.started_at, digest, arms):
                found = self._records.read(since, until, digest, arms, upto=position)
                self._take(now, at, [(is_candidate, record) for record in found])
        self._position = position

    def _read_new(self, now: RolloutState, at: float) -> None:
        labels, self._label_position = self._labels.since(self._label_position)
        position = self._records.position()
        found = self._early
        if position != self._position:
            for digest, arms, is_candidate in _sides(now):
                new = self._records.read(release=digest, arms=arms, after=self._position, upto=position)
                found = found + [(is_candidate, record) for record in new if record.at >= now.started_at]
        self._early = []
        self._take(now, at, found)
        self._position = position
        self._join([*self._later, *labels], at)

    def _take(self, now: RolloutState, at: float, found: Iterable[tuple[bool, Record]]) -> None:
        """Keep the rows up to `at` as columns, and the others for later; so with their labels."""
        kept: dict[bool, list[Record]] = {False: [], True: []}
        for is_candidate, record in found:
            if record.at >= at:
                self._early.append((is_candidate, record))
                continue
            self._touched += is_candidate and record.arm in ANSWERING_ARMS
            if not _in_stage(now, record):
                continue
            if record.label is not None and record.label_at is not None and record.label_at > at:
                self._later.append(Label(record.id, record.label, record.label_at))
                record = replace(record, label=None, label_at=None)
            kept[is_candidate].append(record)
        self._control.add(kept[False])
        self._candidate.add(kept[True])

    def _join(self, labels: list[Label], at: float) -> None:
        known = {label.id: label for label in labels}
        # A row that is not due yet was read before its label came.
        self._early = [(side, _labelled(record, known.get(record.id))) for side, record in self._early]
        self._later = [label for label in labels if label.at > at]
        for label in labels:
            if label.at <= at:
                self._control.rows.label(label.id, label.value, label.at)
                self._candidate.rows.label(label.id, label.value, label.at)

    def _stretches(self, since: float, digest: str, arms: tuple[Arm, ...]) -> Iterator[tuple[float, float | None]]:
        """Stretches of time with few enough rows to be decoded at once; the last one has no end."""
        newest = self._records.newest()
        if newest is None or newest <= since:
            yield since, None
            return
        edges = [since, *self._halved(since, newest, digest, arms)]
        yield from zip(edges, [*edges[1:], None], strict=True)

    def _halved(self, since: float, until: float, digest: str, arms: tuple[Arm, ...]) -> list[float]:
        middle = (since + until) / 2
        if not since < middle < until or self._records.count(since, until, digest, arms) <= STRETCH_ROWS:
            return []
        return [*self._halved(since, middle, digest, arms), middle, *self._halved(middle, until, digest, arms)]


class _ArmRows:
    """The rows of one side, and the time of the newest row on each arm."""

    def __init__(self) -> None:
        self.rows = Growing()
        self.newest: dict[str, float] = {}

    def add(self, records: list[Record]) -> None:
        for record in records:
            self.newest[record.arm] = max(record.at, self.newest.get(record.arm, -math.inf))
        # A stable sort: rows that were kept back came before those that are new.
        self.rows.add(Window.of_all(sorted(records, key=lambda record: record.at)))

    def on_arm(self, arm: str, first: int) -> Window:
        """The rows from `first` on that are on the arm; nothing is copied where that is all of them."""
        rows = self.rows.view(first, self.rows.n)
        if not rows.n or all(at < rows.at[0] for name, at in self.newest.items() if name != arm):
            return rows
        assert rows.arms is not None
        return rows.take(rows.arms == arm)

    def first_on(self, arm: str, since: float) -> float:
        """The time of the first row on the arm from `since` on; infinite where there is none."""
        if self.newest.get(arm, -math.inf) < since:
            return math.inf
        rows = self.rows.view(self.rows.before(since), self.rows.n)
        assert rows.arms is not None
        on_arm = (at for at, name in zip(rows.at, rows.arms, strict=True) if name == arm)
        return float(next(on_arm, np.inf))


def _of_stage(control: _ArmRows, candidate: _ArmRows, now: RolloutState) -> tuple[Window, Window]:
    """The rows of the stage on its arms.

    Those of a canary count from the first request that it answered on: the server must first load it, and hear that
    the stage began. That one is left out, and what follows is shared out by chance as it would be without this rule.
    """
    mode, since = now.step.mode, now.stage_since
    mine, theirs = {"shadow": ("shadow", "stable"), "holdback": ("stable", "holdback")}.get(mode, ("canary", "stable"))
    if now.stage and now.plan.stages[now.stage - 1].mode != "shadow":
        since += SETTLING_SECONDS
    if mode in ("shadow", "holdback"):
        return control.on_arm(theirs, control.rows.before(since)), candidate.on_arm(mine, candidate.rows.before(since))
    first = candidate.first_on(mine, since)
    return control.on_arm(theirs, control.rows.after(first)), candidate.on_arm(mine, candidate.rows.after(first))


def _labelled(record: Record, label: Label | None) -> Record:
    return record if label is None else replace(record, label=label.value, label_at=label.at)


def _sides(now: RolloutState) -> tuple[tuple[str, tuple[Arm, ...], bool], ...]:
    return (now.control, CONTROL_ARMS, False), (now.candidate, CANDIDATE_ARMS, True)


def _in_stage(now: RolloutState, record: Record) -> bool:
    """Whether the stage in whose time the row falls takes such requests."""
    stage = max(0, bisect_right(now.starts, record.at) - 1)
    tag, _, value = now.plan.stages[stage].where.partition("=")
    return not tag or record.tags.get(tag) == value
