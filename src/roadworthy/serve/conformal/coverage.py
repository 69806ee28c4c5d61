"""How often prediction sets and intervals held the truth: over all, by class, by segment, and over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.class_names import class_name
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.record import Record
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.intervals import HIGH, LOW
from roadworthy.serve.conformal.segments import segment_of


class Span(Struct, frozen=True):
    """Some rows on end: from the first to the last (Unix seconds), and how many of their sets held the truth."""

    first_at: float
    last_at: float
    coverage: Measurement
    size: Measurement


class CoverageReport(Struct, frozen=True):
    """What was promised and what was held. `over_time` are the points of a plot, in the order in which labels came.

    `size` is the mean number of names in a set, or the mean width of an interval. `left_out` are rows without a label
    or without a set.
    """

    target: float
    coverage: Measurement
    size: Measurement
    verdict: Verdict
    by_class: tuple[Measurement, ...] = ()
    by_segment: tuple[Measurement, ...] = ()
    over_time: tuple[Span, ...] = ()
    left_out: int = 0


def held_truth(record: Record, classes: Sequence[str] = ()) -> bool | None:
    """Whether the set or the interval of a row held its label; None where one of them is not there.

    `classes` are the names that sets use, in the order of the labels' numbers; without them sets hold the numbers.
    """
    label = record.label
    if label is None or record.error is not None:
        return None
    if record.prediction_set is not None:
        return class_name(label, classes) in record.prediction_set
    low, high = record.outputs.get(LOW), record.outputs.get(HIGH)
    return None if low is None or high is None else bool(low <= label <= high)


def report(
    records: Sequence[Record], target: float, classes: Sequence[str] = (), by: str = "", rows_in_span: int = 500
) -> CoverageReport:
    """The coverage of kept rows, with 95 % intervals; `by` names a tag or an input.

    The verdict is `judge` on the coverage against the target. The intervals take rows for independent: where they come
    in bursts, the truth may lie further off, and `over_time` shows it.
    """
    rows = [row for row in records if held_truth(row, classes) is not None]
    rows.sort(key=lambda row: (row.at if row.label_at is None else row.label_at, row.at))
    covered, size = _coverage(rows, classes), _size(rows)
    sets = [row for row in rows if row.prediction_set is not None]
    return CoverageReport(
        target,
        covered,
        size,
        judge(covered, Requirement("coverage", at_least=target)),
        _by(sets, [class_name(row.label or 0.0, classes) for row in sets], classes, "class"),
        _by(rows, [segment_of(row, by) for row in rows], classes, by) if by else (),
        over_time(rows, classes, rows_in_span),
        len(records) - len(rows),
    )


def over_time(rows: Sequence[Record], classes: Sequence[str] = (), rows_in_span: int = 500) -> tuple[Span, ...]:
    """The coverage of one stretch of labelled rows after another, each of `rows_in_span` rows but the last."""
    spans = [rows[start : start + rows_in_span] for start in range(0, len(rows), rows_in_span)]
    return tuple(
        Span(min(row.at for row in span), max(row.at for row in span), _coverage(span, classes), _size(span))
        for span in spans
    )


def worst_window(held: Sequence[bool], rows: int = 500) -> Measurement:
    """The least coverage of any so many rows on end, wherever they begin. It has no interval: it was sought out."""
    if len(held) < rows:
        return nothing("worst_window")
    inside = least = sum(held[:rows])
    for new, old in zip(held[rows:], held, strict=False):
        inside += new - old
        least = min(least, inside)
    return Measurement("worst_window", least / rows, len(held), conditions={"rows": rows})


def lines(found: CoverageReport) -> list[str]:
    """The report as text."""
    told = [
        f"{found.verdict.decision}: {found.verdict.because}",
        f"coverage {_shown(found.coverage)}, target {found.target:g}, {found.size}",
    ]
    if found.left_out:
        told.append(f"{found.left_out:,} rows left out: no label yet, or no set")
    told += [f"  {one.where:<24} {_shown(one)}" for one in (*found.by_class, *found.by_segment)]
    worst = min(found.over_time, key=lambda span: span.coverage.value, default=None)
    if worst is not None:
        told.append(f"worst of {len(found.over_time)} stretches: {_shown(worst.coverage)}")
    return told


def _shown(one: Measurement) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}] (n={one.n:,})"


def _by(rows: Sequence[Record], groups: Sequence[str], classes: Sequence[str], by: str) -> tuple[Measurement, ...]:
    members: dict[str, list[Record]] = {}
    for row, group in zip(rows, groups, strict=True):
        members.setdefault(group, []).append(row)
    return tuple(_coverage(members[group], classes, f"{by}={group}") for group in sorted(members))


def _coverage(rows: Sequence[Record], classes: Sequence[str], where: str = "") -> Measurement:
    return proportion("coverage", sum(bool(held_truth(row, classes)) for row in rows), len(rows), where)


def _size(rows: Sequence[Record]) -> Measurement:
    sizes = [_size_of(row.prediction_set, row.outputs) for row in rows]
    finite = [size for size in sizes if math.isfinite(size)]
    unit = "names" if any(row.prediction_set is not None for row in rows) else "1"
    return mean("set_size", finite, unit=unit)


def _size_of(held: Sequence[str] | None, outputs: Mapping[str, Any]) -> float:
    return float(len(held)) if held is not None else float(outputs[HIGH]) - float(outputs[LOW])


def promised_cover(release: Release) -> float:
    """The coverage that the sets or intervals of a release promise; 0 where it makes none."""
    leaves = (wrapper.make(plan) for plan in release.wrappers if ".py:" not in read_plan(plan)[0])
    return next((float(leaf.target) for leaf in leaves if hasattr(leaf, "target")), 0.0)
