"""Columns that grow: a Window in the order of time to which rows are added, late ones too, without copying the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window

_GROUPS = ("inputs", "outputs", "tags", "seconds", "steps")
_SINGLE = ("labels", "at", "ids", "confidence", "known_at", "errors", "usd", "tokens", "sets", "arms")
LEAST_ROOM = 1024

# A column of a Window: its group and name, or "" and the name of the field.
Name = tuple[str, str]


class Growing:
    """Rows in the order of time. `view` gives a Window on them that is good until rows are added."""

    def __init__(self) -> None:
        self.n = 0
        self._room = 0
        self._columns: dict[Name, NDArray[Any]] = {}
        self._places: dict[str, tuple[int, ...]] | None = None

    def add(self, new: Window) -> None:
        """Put the rows of `Window.of_all` in their places; among rows of one time the new ones come last."""
        if not new.n:
            return
        first = 0
        if self.n:
            first = int(np.searchsorted(self.at, float(new.at.min()), side="right"))
        merged = self.view(first, self.n).join(new) if first < self.n else new
        order = np.argsort(merged.at, kind="stable")
        if (np.diff(order) != 1).any():
            merged = merged.take(order)
        self._forget(first)
        self._write(first, _flat(merged), merged.n)
        self._note(first)

    @property
    def at(self) -> NDArray[np.float64]:
        """The times of the rows."""
        return self._columns["", "at"][: self.n] if self.n else np.zeros(0)

    def before(self, at: float) -> int:
        """How many rows are earlier."""
        return int(np.searchsorted(self.at, at, side="left"))

    def after(self, at: float) -> int:
        """How many rows are not later."""
        return int(np.searchsorted(self.at, at, side="right"))

    def view(self, start: int, end: int) -> Window:
        """The rows from `start` to `end`, nothing copied; nobody may write into it."""
        parts: dict[str, Any] = {group: {} for group in _GROUPS}
        for (group, name), column in self._columns.items():
            part = column[start:end]
            part.flags.writeable = False
            if group:
                parts[group][name] = part
            else:
                parts[name] = part
        return Window(**parts) if self.n else Window.of_all([])

    def label(self, id: str, value: float, known_at: float) -> None:
        """Write the label into every row with that id; nothing where there is none."""
        if self._places is None:
            self._places = {}
            self._note(0)
        for row in self._places.get(id, ()):
            self._columns["", "labels"][row] = value
            self._columns["", "known_at"][row] = known_at

    def _write(self, first: int, columns: Mapping[Name, NDArray[Any]], n: int) -> None:
        self._make_room(first + n)
        for name in dict.fromkeys([*self._columns, *columns]):
            given = columns.get(name)
            held = self._columns.get(name)
            if held is None:
                assert given is not None
                held = _unknown(name, self._room, given)
            if given is None:
                held[first : first + n] = _filler(name, held)
            else:
                held, given = _alike(held, given)
                held[first : first + n] = given
            self._columns[name] = held
        self.n = first + n

    def _make_room(self, n: int) -> None:
        if n <= self._room:
            return
        self._room = max(LEAST_ROOM, n + n // 2)
        for name, held in self._columns.items():
            roomy = _unknown(name, self._room, held)
            roomy[: self.n] = held[: self.n]
            self._columns[name] = roomy

    def _forget(self, first: int) -> None:
        """The rows from `first` on are about to move."""
        if self._places is None or first >= self.n:
            return
        for id in self._columns["", "ids"][first : self.n].tolist():
            kept = tuple(row for row in self._places.get(id, ()) if row < first)
            if kept:
                self._places[id] = kept
            else:
                self._places.pop(id, None)

    def _note(self, first: int) -> None:
        """Where the rows from `first` on are. Nobody asks before there are labels, and it is not kept before that."""
        if self._places is None or not self.n:
            return
        for row, id in enumerate(self._columns["", "ids"][first : self.n].tolist(), first):
            self._places[id] = (*self._places.get(id, ()), row)


def _flat(window: Window) -> dict[Name, NDArray[Any]]:
    found = {(group, name): column for group in _GROUPS for name, column in getattr(window, group).items()}
    single = {("", name): getattr(window, name) for name in _SINGLE}
    return found | {name: column for name, column in single.items() if column is not None}


def _unknown(name: Name, n: int, like: NDArray[Any]) -> NDArray[Any]:
    return np.full((n, *like.shape[1:]), _filler(name, like), like.dtype)


def _filler(name: Name, column: NDArray[Any]) -> Any:
    """What a row has that lacks the column."""
    if column.dtype == np.bool_:
        return False
    if column.dtype == object:
        return "" if name[0] == "tags" else None
    return np.nan


def _alike(held: NDArray[Any], given: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Text beside numbers, or vectors of two widths, make both columns of objects."""
    if held.dtype == given.dtype and held.shape[1:] == given.shape[1:]:
        return held, given
    return _as_objects(held), _as_objects(given)


def _as_objects(values: NDArray[Any]) -> NDArray[Any]:
    """One object a row; a missing number is None there."""
    if values.dtype == object and values.ndim == 1:
        return values
    found = np.empty(len(values), object)
    found[:] = values.tolist() if values.ndim > 1 else [None if v != v else v for v in values.tolist()]
    return found
