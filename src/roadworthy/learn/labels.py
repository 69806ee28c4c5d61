"""Labels on their way to their predictions: when each becomes known, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from roadworthy.core.errors import BadData, MissingExtra, nearest
from roadworthy.core.record import Label
from roadworthy.core.sample import Sample
from roadworthy.store.labels import LabelReport

# What the column is called that says whose word a label is.
SAID_BY = ("by", "source")


class Arrivals:
    """Labels in the order in which they become known; `due` hands each out once, when its time has come."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._labels = sorted(labels, key=lambda label: label.at)
        self._next = 0

    @property
    def left(self) -> int:
        """How many have not been handed out."""
        return len(self._labels) - self._next

    @property
    def next_at(self) -> float:
        """When the next one becomes known; infinite after the last."""
        return self._labels[self._next].at if self.left else math.inf

    def due(self, now: float) -> list[Label]:
        """The labels known at `now` (Unix seconds) that were not handed out before."""
        start = self._next
        while self.next_at <= now:
            self._next += 1
        return self._labels[start : self._next]


def labels_of(sample: Sample, source: str = "") -> list[Label]:
    """The known labels of a table's rows. Raises BadData where it does not say whose they are or since when known."""
    if sample.labels is None or sample.ids is None or sample.known_at is None:
        parts = {"labels": sample.labels, "ids": sample.ids, "known_at": sample.known_at}
        lacking = ", ".join(f"`{name}`" for name, values in parts.items() if values is None)
        raise BadData(f"{sample.source or 'the sample'!r} has no {lacking}; name the columns in `data: columns`")
    known = ~np.isnan(sample.labels)
    undated = int(np.isnan(sample.known_at[known]).sum())
    if undated:
        raise BadData(f"{undated} labels of {sample.source!r} do not say since when they are known; fill `known_at`")
    rows = zip(sample.ids[known].tolist(), sample.labels[known].tolist(), sample.known_at[known].tolist(), strict=True)
    return [Label(str(id), value, at, source or sample.source) for id, value, at in rows]


def read_labels(
    path: Path, id: str = "id", value: str = "value", at: str = "at", by: str = "", source: str = ""
) -> list[Label]:
    """The labels in a table (Parquet or CSV): columns for the id, the value and since when it is known (Unix seconds).

    Who said it is in the column `by` (the one called `by` or `source` where not named), and where that is empty or not
    there, it is `source`, or the file. Rows without a value are left out. Raises BadData naming the column or the row
    at fault.
    """
    try:
        import polars
    except ImportError as absent:
        raise MissingExtra("reading labels", "polars", "data") from absent
    if not path.is_file():
        raise BadData(f"no file {str(path)!r} to read labels from")
    try:
        frame = polars.read_parquet(path) if path.suffix == ".parquet" else polars.read_csv(path, infer_schema=False)
    except (polars.exceptions.PolarsError, OSError) as wrong:
        raise BadData(f"{str(path)!r} cannot be read as a table: {wrong}") from wrong
    for name in (id, value, at, *([by] if by else [])):
        if name not in frame.columns:
            told = f"{nearest(name, frame.columns)} (it has: {', '.join(frame.columns)})"
            raise BadData(f"{str(path)!r} has no column {name!r}{told}")
    by = by or next((name for name in SAID_BY if name in frame.columns), "")
    who = frame[by].to_list() if by else [None] * frame.height
    rows = enumerate(zip(*(frame[name].to_list() for name in (id, value, at)), who, strict=True), start=1)
    return [_label(row, path, number, source) for number, row in rows if row[1] not in (None, "")]


def told(report: LabelReport) -> str:
    """What became of labels, in a sentence."""
    parts = [f"{report.kept} labels joined their prediction"]
    if report.repeated:
        parts.append(f"{report.repeated} were known already")
    if report.unknown:
        parts.append(f"{len(report.unknown)} are for unknown ids ({_ids(report.unknown)}) and kept aside")
    if report.conflicting:
        kept = "the first stands, the others are kept aside"
        parts.append(f"{len(report.conflicting)} contradict an earlier label ({_ids(report.conflicting)}): {kept}")
    return "; ".join(parts)


def _ids(labels: tuple[Label, ...]) -> str:
    return ", ".join(repr(label.id) for label in labels[:3]) + (", ..." if len(labels) > 3 else "")


def _label(row: tuple[object, object, object, object], path: Path, number: int, source: str) -> Label:
    id, value, at, by = row
    if id in (None, ""):
        raise BadData(f"{str(path)!r}, row {number}: has no id, so nobody knows whose label {value!r} is")
    try:
        label = Label(str(id), float(str(value)), float(str(at)), str(by or source or path))
    except ValueError:
        label = Label(str(id), math.nan, math.nan)
    if not (math.isfinite(label.value) and math.isfinite(label.at)):
        allowed = "a label is a number and its time is Unix seconds"
        raise BadData(f"{str(path)!r}, row {number}: label {value!r} known at {at!r}; {allowed}")
    return label
