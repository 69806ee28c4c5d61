"""The rows that a training at a given time may learn from: those whose outcome was known by then."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.sample import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


def training_sample(history: Sample, records: Sequence[Record], now: float) -> Sample:
    """The rows whose outcome was known at `now`: of a table and of the record log, once each, in the order of `at`.

    Whatever became known later is left out, so that a training in a replay knows no more than one in life. A row of
    the table that does not say since when its label is known counts from its own time on. The columns are those of
    `history`; one that a record lacks is null there. `digest` is that of the values.
    """
    old = history.take(_known(history, now))
    taken = set() if old.ids is None else set(old.ids.tolist())
    rows: dict[str, Record] = {}
    for record in records:
        known = record.label is not None and record.label_at is not None and record.label_at <= now
        # Several arms answer one request: its inputs and its outcome are one row to learn from.
        if known and record.error is None and record.id not in taken:
            rows.setdefault(record.id, record)
    joined = _join(old, list(rows.values()))
    ordered = joined.take(np.argsort(_times(joined.at, joined.n, -np.inf), kind="stable"))
    source = f"{old.n} rows of {history.source or 'history'}, {len(rows)} of the record log"
    return replace(ordered, source=source, digest=digest_of(ordered))


def digest_of(sample: Sample) -> str:
    """SHA-256 (hex) of names and values of the columns, the labels and the times, in the order of the rows."""
    found = hashlib.sha256()
    parts = {**sample.columns, " label": sample.labels, " at": sample.at}
    for name, values in parts.items():
        found.update(name.encode())
        if values is not None:
            text = values.dtype == object
            found.update(msgspec.msgpack.encode(values.tolist()) if text else np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def _known(history: Sample, now: float) -> NDArray[np.bool_]:
    if history.labels is None:
        return np.zeros(history.n, dtype=bool)
    at = _times(history.at, history.n, -np.inf)
    since = at if history.known_at is None else np.where(np.isnan(history.known_at), at, history.known_at)
    return ~np.isnan(history.labels) & (since <= now)


def _times(values: NDArray[np.float64] | None, n: int, unknown: float) -> NDArray[np.float64]:
    """Times (n,), `unknown` where there is none."""
    return np.full(n, unknown) if values is None else np.nan_to_num(values, nan=unknown)


def _join(old: Sample, records: list[Record]) -> Sample:
    """The table's rows, then one row a record; what either does not know is NaN or an empty string."""
    n = len(records)
    labels = np.full(old.n, np.nan) if old.labels is None else old.labels
    return Sample(
        {name: _append(values, [r.inputs.get(name) for r in records]) for name, values in old.columns.items()},
        _append(labels, [r.label for r in records]),
        _append(_times(old.at, old.n, np.nan), [r.at for r in records]),
        _append(_times(old.known_at, old.n, np.nan), [r.label_at for r in records]),
        _append(_strings(old.ids, old.n), [r.id for r in records]),
        {name: _append(values, [r.tags.get(name, "") for r in records]) for name, values in old.tags.items()},
        keys=None if old.keys is None else _append(old.keys, [""] * n),
    )


def _append(values: NDArray[Any], more: list[Any]) -> NDArray[Any]:
    """The values with more below them, of the same kind: None becomes NaN among numbers."""
    if not more:
        return values
    if values.dtype == object:
        return np.concatenate([values, np.array(more, dtype=object)])
    width = values.shape[1:]
    null = [np.nan] * width[0] if width else np.nan
    return np.concatenate([values, np.array([null if v is None else v for v in more], np.float64)])


def _strings(values: NDArray[np.object_] | None, n: int) -> NDArray[Any]:
    return np.full(n, "", dtype=object) if values is None else values
