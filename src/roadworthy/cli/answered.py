"""Labelled answers of a release, from its records or from a table that it is asked about now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.cli.flows import handler_of, read
from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.spec import Spec
from roadworthy.core.window import Window
from roadworthy.registry.releases import Registry
from roadworthy.serve.conformal.coverage import CoverageReport, report
from roadworthy.serve.honesty import Rows

Source = Literal["records", "lab", "production"]


class Answered(NamedTuple):
    """The labelled rows that a release answered, and where they come from in words."""

    rows: Rows
    source: str


def answered(
    spec: Spec,
    registry: Registry,
    release: Release,
    rows: Source,
    records: Sequence[Record],
    days: float,
    by: str = "",
) -> Answered:
    """The labelled rows that a release answered: of a table, or of its `records` of so many days.

    `by` names a tag whose value is the group of a row.

    Raises BadData where there is no labelled row, or no such tag.
    """
    if rows == "records":
        return _of_records(spec, release, records, days, by)
    from roadworthy.evaluate.answers import answers

    table = read(spec, rows)
    if table.labels is None:
        raise BadData(f"the table {rows!r} has no labels: take another, or `--rows records`")
    given = answers(handler_of(spec, release, registry.files(release)), table, release.signature)
    groups = _group(table.tags, by, rows)
    return _known(Rows(table.labels, given, groups), f"the table {rows!r}")


def served_coverage(spec: Spec, records: Sequence[Record], target: float, by: str = "") -> CoverageReport | None:
    """How often the sets and intervals in a release's records held the truth; None where there are none."""
    found = report(records, target, spec.application.classes, by)
    return found if found.coverage.n else None


def _of_records(spec: Spec, release: Release, records: Sequence[Record], days: float, by: str) -> Answered:
    window = Window.of_all([record for record in records if record.error is None and record.label is not None])
    output = spec.application.output
    if not window.n or output not in window.outputs:
        raise BadData(
            f"release {release.digest[:12]} has no labelled answer in these {days:g} days: give a longer stretch, send "
            f"labels (`roadworthy label`), or take a table (`--rows production`)"
        )
    order = np.argsort(window.at, kind="stable")
    given = np.array(window.outputs[output][order].tolist(), np.float64)
    groups = _group(window.tags, by, "records")
    rows = Rows(window.labels[order], given, None if groups is None else groups[order])
    return _known(rows, f"records of {release.digest[:12]}")


def _known(found: Rows, source: str) -> Answered:
    """The rows with a label and an answer. Raises BadData where there is none."""
    answer = found.outputs if found.outputs.ndim == 1 else found.outputs.sum(axis=1)
    known = np.flatnonzero(np.isfinite(found.labels) & np.isfinite(answer))
    if not len(known):
        raise BadData(f"none of {len(found.labels):,} rows of {source} has both a label and an answer")
    return Answered(found.take(known), source)


def _group(tags: object, by: str, rows: str) -> NDArray[np.object_] | None:
    if not by:
        return None
    known = dict(tags) if isinstance(tags, dict) else {}
    if by not in known:
        raise BadData(f"the rows of {rows!r} have no tag {by!r} (they have: {', '.join(known) or 'none'})")
    found: NDArray[np.object_] = known[by]
    return found
