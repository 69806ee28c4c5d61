"""What records tell of a cascade: each level's score and the last model's answer, where both are known.

A row that was sent on has both. One that was kept has both where it was audited, which has a chance that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.charges import NOT_ANSWERED, NOT_ASKED
from roadworthy.core.record import Record
from roadworthy.route.answering.audits import audited_step
from roadworthy.route.answering.levels import CUT, told_by

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

# A stop at the last model that gave no answer there.
_NO_ANSWER = re.compile(rf"^(?:audit )?(?:{NOT_ANSWERED}|{NOT_ASKED})")
_SIDES = {"True": 1.0, "False": 0.0}


@dataclass(frozen=True)
class Members:
    """How a cascade's records are read: the names of its models, cheapest first, the output and its classes."""

    names: tuple[str, ...]
    output: str = ""
    classes: tuple[str, ...] = ()

    def number(self, said: Any) -> float:
        """The number of a class: its place among `classes`, itself, or one made of its name."""
        name = str(said)
        if name in self.classes:
            return float(self.classes.index(name))
        try:
            return float(_SIDES.get(name, name))
        except ValueError:
            return float(crc32(name.encode()))


class Row(NamedTuple):
    """One answered row. NaN where nothing is known: a level that was not asked, or had no score; `last` unseen.

    `kept_at` is the number of the level whose answer was given (that of the last one: it was sent on), `chance` that
    with which the last model's answer was to be seen. `shut`: no row was kept when it came. `label` is the truth, and
    `draw` a number in [0, 1) that the row's id alone decides.
    """

    scores: tuple[float, ...]
    said: tuple[float, ...]
    kept_at: int
    answer: float
    last: float
    chance: float
    shut: bool
    label: float
    draw: float
    at: float


@dataclass(frozen=True)
class Known:
    """Rows in the order in which they came, one array for each field of Row."""

    scores: Floats
    said: Floats
    kept_at: Rows
    answer: Floats
    last: Floats
    chance: Floats
    shut: Flags
    label: Floats
    draw: Floats
    at: Floats

    @classmethod
    def of(cls, records: Iterable[Record], members: Members, audit: float) -> Known:
        """From answered records; those whose answer stood because the last model was out, or capped, are left out.

        `audit` is the share of kept rows that are checked.
        """
        found = [row for row in map(partial(_row, members=members, audit=audit), records) if row is not None]
        columns: list[Any] = list(zip(*found, strict=True)) if found else [()] * len(Row._fields)
        levels = len(members.names) - 1
        scores, said = (np.array(column, np.float64).reshape(-1, levels) for column in columns[:2])
        answer, last, chance, label, draw, at = (np.array(columns[k], np.float64) for k in (3, 4, 5, 7, 8, 9))
        shut = np.array(columns[6], np.bool_)
        return cls(scores, said, np.array(columns[2], np.int64), answer, last, chance, shut, label, draw, at)

    def __len__(self) -> int:
        return len(self.answer)

    def take(self, rows: slice | Flags) -> Known:
        """Some of its rows."""
        return Known(**{name: getattr(self, name)[rows] for name in Row._fields})


def _row(record: Record, members: Members, audit: float) -> Row | None:
    if record.error is not None:
        return None
    *cheap, last = members.names
    scores, said, kept_at, answer, shut = [np.nan] * len(cheap), [np.nan] * len(cheap), -1, np.nan, False
    seen, audited = np.nan, None
    for step in record.path:
        if step.at in cheap:
            told = told_by(step.because)
            if told is not None:
                number = cheap.index(step.at)
                scores[number], shut = told.score, shut or told.shut
                said[number] = members.number(told.said) if told.said else np.nan
                if told.kept:
                    kept_at, answer = number, said[number] if told.said else float(told.yes)
        elif step.at == last:
            audited = audited_step(step.because)
            if audited is None and _NO_ANSWER.match(step.because):
                return None
            if audited is not None:
                seen = answer if audited.agrees else _other(audited.theirs, answer, members)
            elif kept_at < 0:
                seen = _decided(record.outputs, members)
    if kept_at < 0 and seen != seen:
        return None
    sent = kept_at < 0
    label = np.nan if record.label is None else float(record.label)
    draw = crc32(record.id.encode()) / 2**32
    return Row(
        tuple(scores),
        tuple(said),
        len(cheap) if sent else kept_at,
        seen if sent else answer,
        seen,
        1.0 if sent else audit,
        shut,
        label,
        draw,
        record.at,
    )


def _other(theirs: str, answer: float, members: Members) -> float:
    """What the last model said where it differs."""
    found = members.number(theirs)
    return found if found != answer else -1.0


def _decided(outputs: Any, members: Members) -> float:
    """The class that the last model named, as `levels.decided` finds it."""
    value = outputs.get(members.output) if members.output else next(iter(outputs.values()), None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return float(max(range(len(value)), key=value.__getitem__)) if value else np.nan
    if isinstance(value, float) and 0 <= value <= 1:
        return float(value >= CUT)
    return np.nan if value is None else members.number(value)
