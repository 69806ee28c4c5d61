"""Counts a batch of records into tallies, column by column, which costs a few microseconds a record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.sketch import cells_of, write_many
from roadworthy.observe.counts.tally import HOUR, MINUTE, MINUTES_AN_HOUR, Cell, Moments, Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

OTHER = "other"
# A service whose errors have hundreds of names, or whose model has hundreds of outputs, gets a few and `other`.
MOST_ERRORS, MOST_OUTPUTS, MOST_TAGS = 12, 8, 16
# The widths of the columns of the table `rollups`.
_RELEASE, _TAG, _VALUE = 64, 128, 256
# Sketch cells go from -37,000 to 37,000; this sets those of one tally apart from those of the next.
_APART = 1 << 17
_NUMBERS = (float, int, bool)


class Known(NamedTuple):
    """The values of each tag that have a cell of their own, and how many may."""

    values: Mapping[str, set[str]]
    most: int


class _Members(NamedTuple):
    """Which rows belong to which cell: a row is in the cell of all requests, and in one for each of its tags."""

    cells: list[Cell]
    cell: NDArray[np.int64]
    row: NDArray[np.int64]


def count(records: Sequence[Record], known: Known, hours_before: float = -math.inf) -> dict[Cell, Tally]:
    """The tallies of a batch, by cell. What a tag says beyond the known and the most frequent goes to `other`.

    A cell is a minute, or a whole hour where it lies before the minute `hours_before`, in which an hour begins.
    """
    if not records:
        return {}
    members = _members(records, known, hours_before)
    first = _firsts(records)
    counts = _counted(_flags(records, first), members)
    numbers = _moments(_numbers(records), members)
    seconds = _sketches(_stages(records, first), members, len(records))
    spans = [HOUR if cell.minute < hours_before else MINUTE for cell in members.cells]
    return {cell: Tally(spans[k], counts[k], numbers[k], seconds[k]) for k, cell in enumerate(members.cells)}


def _members(records: Sequence[Record], known: Known, hours_before: float) -> _Members:
    codes: dict[tuple[int, str, str], int] = {}
    minutes = [_minute(record.at, hours_before) for record in records]
    cell = [
        codes.setdefault((minute, record.release[:_RELEASE], record.arm), len(codes))
        for minute, record in zip(minutes, records, strict=True)
    ]
    cells = [Cell(*code) for code in codes]
    base, row = cell.copy(), list(range(len(records)))
    for tag, values in _tags(records, known).items():
        inside: dict[tuple[int, str], int] = {}
        cell += [inside.setdefault((base[k], value), len(cells) + len(inside)) for k, value in values.items()]
        row += values
        cells += [cells[k]._replace(tag=tag, value=value) for k, value in inside]
    return _Members(cells, np.array(cell), np.array(row))


def _minute(at: float, hours_before: float) -> int:
    minute = int(at // MINUTE)
    return minute - minute % MINUTES_AN_HOUR if minute < hours_before else minute


def _tags(records: Sequence[Record], known: Known) -> dict[str, dict[int, str]]:
    """For each tag the value of each row that has it, those without a cell of their own being `other`."""
    found: dict[str, dict[int, str]] = {}
    for k, record in enumerate(records):
        for tag, value in record.tags.items():
            if tag in found or len(found) < MOST_TAGS:
                found.setdefault(tag[:_TAG], {})[k] = str(value)[:_VALUE]
    return {tag: _capped(values, known.values.get(tag, set()), known.most) for tag, values in found.items()}


def _capped(values: dict[int, str], known: set[str], most: int) -> dict[int, str]:
    seen = Counter(values.values())
    if len(known.union(seen)) <= most:
        return values
    kept = [value for value, _ in seen.most_common() if value in known]
    kept += [value for value, _ in seen.most_common() if value not in known][: max(0, most - len(known))]
    allowed = set(kept)
    return {k: value if value in allowed else OTHER for k, value in values.items()}


def _firsts(records: Sequence[Record]) -> NDArray[np.bool_]:
    """True for the first row of each request: the others have its id with `.k` behind it, at the same time."""
    first = np.ones(len(records), bool)
    seen: set[tuple[str, float, str]] = set()
    for k, record in enumerate(records):
        stem, dot, number = record.id.rpartition(".")
        if dot and number.isdigit():
            request = stem, record.at, record.arm
            first[k] = request not in seen
            seen.add(request)
    return first


def _flags(records: Sequence[Record], first: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """What is counted, as one column of 0 and 1 each."""
    flags = {"rows": np.ones(len(records), bool), "requests": first}
    errors = [(k, r.error.partition(":")[0][:40]) for k, r in enumerate(records) if r.error is not None and first[k]]
    if errors:
        frequent = {name for name, _ in Counter(name for _, name in errors).most_common(MOST_ERRORS)}
        flags["failed"] = _column((k for k, _ in errors), len(records))
        for name in frequent:
            flags[f"errors.{name}"] = _column((k for k, each in errors if each == name), len(records))
        if rest := [k for k, name in errors if name not in frequent]:
            flags[f"errors.{OTHER}"] = _column(rest, len(records))
    cached = [k for k, r in enumerate(records) if first[k] and r.path and _is_cached(r)]
    return {**flags, "cached": _column(cached, len(records))} if cached else flags


def _is_cached(record: Record) -> bool:
    return any(step.at == "cache" and step.because.startswith(("hit", "kept")) for step in record.path)


def _column(rows: Iterable[int], n: int) -> NDArray[np.bool_]:
    column = np.zeros(n, bool)
    column[list(rows)] = True
    return column


def _counted(flags: Mapping[str, NDArray[Any]], members: _Members) -> list[dict[str, int]]:
    size = len(members.cells)
    columns = {name: np.bincount(members.cell[flag[members.row]], minlength=size) for name, flag in flags.items()}
    table = {name: column.tolist() for name, column in columns.items()}
    return [{name: column[k] for name, column in table.items() if column[k]} for k in range(size)]


def _numbers(records: Sequence[Record]) -> dict[str, NDArray[np.float64]]:
    """The numbers by name, one for each row, NaN where it has none."""
    found = {
        "confidence": np.array([r.confidence for r in records], np.float64),
        "tokens": np.array([r.tokens for r in records], np.float64),
        "usd": np.array([r.usd for r in records], np.float64),
    }
    outputs: dict[str, tuple[list[int], list[float]]] = {}
    for k, record in enumerate(records):
        for name, value in record.outputs.items():
            if type(value) in _NUMBERS and (name in outputs or len(outputs) < MOST_OUTPUTS):
                rows, values = outputs.setdefault(name, ([], []))
                rows.append(k)
                values.append(value)
    return found | {f"outputs.{name}": _filled(*given, len(records)) for name, given in outputs.items()}


def _filled(rows: list[int], values: list[float], n: int) -> NDArray[np.float64]:
    column = np.full(n, np.nan)
    column[rows] = values
    return column


def _moments(numbers: Mapping[str, NDArray[np.float64]], members: _Members) -> list[dict[str, Moments]]:
    size = len(members.cells)
    found: list[dict[str, Moments]] = [{} for _ in range(size)]
    for name, column in numbers.items():
        values = column[members.row]
        has = np.isfinite(values)
        if not has.any():
            continue
        cell, values = members.cell[has], values[has]
        sums = [np.bincount(cell, weights, size).tolist() for weights in (None, values, values * values)]
        for k, moments in enumerate(map(Moments, *sums)):
            if moments.n:
                found[k][name] = moments
    return found


def _stages(records: Sequence[Record], first: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """The seconds of each stage, NaN where a row has none or is not the first of its request."""
    stages = dict.fromkeys(chain.from_iterable(r.seconds for r in records))
    columns = {stage: np.array([r.seconds.get(stage) for r in records], np.float64) for stage in stages}
    return {stage: np.where(first, column, np.nan) for stage, column in columns.items()}


def _sketches(stages: Mapping[str, NDArray[np.float64]], members: _Members, n: int) -> list[dict[str, bytes]]:
    found: list[dict[str, bytes]] = [{} for _ in members.cells]
    for stage, column in stages.items():
        has = ~np.isnan(column)
        of_row = np.zeros(n, np.int64)
        of_row[has] = cells_of(column[has])
        inside = has[members.row]
        joint = members.cell[inside] * _APART + of_row[members.row[inside]] + _APART // 2
        both, counts = np.unique(joint, return_counts=True)
        owners, owner = np.unique(both // _APART, return_inverse=True)
        bodies = write_many(owner, both % _APART - _APART // 2, counts, len(owners))
        for k, body in zip(owners.tolist(), bodies, strict=True):
            found[k][stage] = body
    return found
