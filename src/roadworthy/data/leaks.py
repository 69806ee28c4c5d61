"""Finds columns that know the future: known only after the model was asked, or telling too much of the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Columns
from roadworthy.core.stats import auc
from roadworthy.data.tables import read_frame, seconds_of

SUFFIX = "_known_at"
BINS = 64


class Leak(Struct, frozen=True):
    """A column that should not be an input, and why."""

    column: str
    because: str
    measured: Measurement | None = None


def late_columns(at: NDArray[np.float64], known_at: Mapping[str, NDArray[np.float64]]) -> list[Leak]:
    """The sources of which some row was known only after `at` (Unix seconds); NaN is a row without that source."""
    found = []
    for source, known in known_at.items():
        late = known > at
        if late.any():
            hours = float((known - at)[late].max()) / 3600
            because = f"{int(late.sum())} of {len(at)} rows were known only after they were needed, up to {hours:.1f} h"
            found.append(Leak(source, because))
    return found


def late_table(path: Path, columns: Columns) -> list[Leak]:
    """`late_columns` of a table that says in `<source>_known_at` when each source of its inputs was known.

    Raises BadData where the table has no time or no such column: then nothing is proved.
    """
    frame = read_frame(path)
    sources = [name for name in frame.columns if name.endswith(SUFFIX) and name != columns.known_at]
    if not columns.at or not sources:
        remedy = f"name the column `at` and add columns `<source>{SUFFIX}`"
        raise BadData(f"{str(path)!r} does not say when its inputs were known; {remedy}")
    known = {name.removesuffix(SUFFIX): seconds_of(frame[name], path, nullable=True) for name in sources}
    return late_columns(seconds_of(frame[columns.at], path), known)


def telling_columns(sample: Sample, above: float = 0.9, times: float = 4.0) -> list[Leak]:
    """The inputs that alone tell the outcome (0 or 1) better than an honest one would, the most telling first.

    A column is told when its AUC is over `above`, or over 0.75 and `times` as far from 0.5 as the next best. The AUC is
    that of the rate of its bin (64 quantiles, each text, null), learned on one half of the rows and scored on the
    other, so that neither direction, nor nulls, nor many categories matter.
    """
    if sample.labels is None:
        raise BadData(f"{sample.source or 'the sample'} has no labels: name the label column to look for leaks")
    rows = np.flatnonzero(np.isfinite(sample.labels))
    scores = {
        name: telling(values[rows], sample.labels[rows]) for name, values in sample.columns.items() if values.ndim == 1
    }
    ranked = sorted((name for name in scores if scores[name].n), key=lambda name: -scores[name].value)
    found = []
    for place, name in enumerate(ranked):
        value = scores[name].value
        following = scores[ranked[place + 1]].value if place + 1 < len(ranked) else 0.5
        if value > above:
            found.append(Leak(name, f"it alone has an AUC of {value:.3f}, over {above:g}", scores[name]))
        elif value > 0.75 and len(ranked) > 1 and value - 0.5 > times * (following - 0.5):
            because = f"it alone has an AUC of {value:.3f}, far above the next best with {following:.3f}"
            found.append(Leak(name, because, scores[name]))
    return found


def telling(values: NDArray[Any], labels: NDArray[np.float64]) -> Measurement:
    """How well one column (n,) alone tells a label (n,) in {0, 1}: the AUC out of fold, 0.5 being nothing."""
    part = _bins(values)
    odd = np.arange(len(labels)) % 2 == 1
    rates = np.empty(len(labels))
    for scored in (odd, ~odd):
        # Half a count of the mean, so that a bin of one row does not look certain.
        mean = float(labels[~scored].mean()) if (~scored).any() else 0.5
        hits = np.bincount(part[~scored], labels[~scored], minlength=part.max() + 1)
        counts = np.bincount(part[~scored], minlength=part.max() + 1)
        rates[scored] = ((hits + 0.5 * mean) / (counts + 0.5))[part[scored]]
    return auc(labels, rates)


def _bins(values: NDArray[Any]) -> NDArray[np.int64]:
    """The number of each value's bin: a quantile of the numbers, or the text itself; nulls have their own."""
    if values.dtype == object:
        names = np.array(["" if v is None else "=" + str(v) for v in values])
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1).astype(np.int64)
