"""Why did it get worse? Compares a window of records with a baseline and names what moved, where, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_parts
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.observe.root_cause.causes import Cause, Findings, causes_of
from roadworthy.observe.root_cause.change_log import Change, RankedChange, ranked
from roadworthy.observe.root_cause.dimensions import Dimension, dimensions, without_aliases
from roadworthy.observe.root_cause.exemplars import Exemplar, StageShare, exemplars, stage_shares
from roadworthy.observe.root_cause.expected import Expected, expected
from roadworthy.observe.root_cause.host import HostSample
from roadworthy.observe.root_cause.metric_rows import (
    MetricRows,
    Scale,
    clumping_of,
    increase,
    measured,
    metric_rows,
    spread_of,
)
from roadworthy.observe.root_cause.mix_rate import DimensionSplit, Split, by_dimension, split_of
from roadworthy.observe.root_cause.onset import LEAST_SLOTS, MOST_SLOTS, Point, onset, series, slots
from roadworthy.observe.root_cause.saturation import Reading, saturation
from roadworthy.observe.root_cause.slice_scan import LEAST_ROWS, Slice, SliceScan, noise_of

if TYPE_CHECKING:
    import polars as pl

# A rise by less than this share of what it was is not worth a cause.
TOLERANCE = 0.05
# Causes that show in a comparison within the window, and the part of the increase that they must bring.
OF_THEIR_OWN, LEAST_OWN_SHARE = ("slice", "release", "cache", "inputs", "mix"), 0.15
LEAST_LATE_ROWS = 200
ROWS_A_POINT = 20
# A second slice is looked for among so many rows.
MOST_PEELED_ROWS = 200_000
# What is described is not guessed at: rows that were only shown to a shadow answered nobody.
SHADOW = "shadow"


class Why(Struct, frozen=True, omit_defaults=True):
    """Everything that the analysis of a window came to, for people, pages and programs.

    `verdict` says whether the metric got worse at all (`fail`: it did, beyond chance and by more than the tolerance);
    only then there are `causes`. `baseline` says in words what the window was compared with.
    """

    metric: str
    since: float
    until: float
    baseline: str
    now: Measurement
    before: Measurement
    increase: Measurement
    verdict: Verdict
    onset: float | None = None
    causes: tuple[Cause, ...] = ()
    stages: tuple[StageShare, ...] = ()
    split: Split | None = None
    mixes: tuple[DimensionSplit, ...] = ()
    slices: tuple[Slice, ...] = ()
    changes: tuple[RankedChange, ...] = ()
    saturation: tuple[Reading, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    series: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stretches:
    """When the two frames are from. `periods` are those of the baseline, and `baseline` says so in words."""

    since: float
    until: float
    periods: tuple[tuple[float, float], ...]
    baseline: str

    @property
    def seconds(self) -> tuple[float, float]:
        """The lengths of the window and of the baseline."""
        return max(self.until - self.since, 1e-6), max(sum(b - a for a, b in self.periods), 1e-6)


def why(
    now: pl.DataFrame,
    before: pl.DataFrame,
    when: Stretches,
    metric: str = "p99",
    changes: Sequence[Change] = (),
    host: Sequence[HostSample] = (),
    output: str = "",
    tolerance: float = TOLERANCE,
) -> Why:
    """Why `metric` is worse in the rows of `now` than in those of `before` (both as `state.records.scan()` gives them).

    Raises BadData where one of the two has no row that says something about the metric.
    """
    now, before = _served(now), _served(before)
    rows = metric_rows(metric, now, before, output)
    found = replace(
        _moved(rows, now, before, when, tolerance),
        stages=stage_shares(rows.metric, rows, now, before),
        saturation=tuple(_saturation(now, before, when, host, when.since)),
        notes=tuple(_lost_columns(now, before)),
        changes=tuple(ranked(changes, when.since, when.seconds[0])),
    )
    if found.verdict.decision == "pass" or found.increase.value <= 0:
        return found
    begun = _onset(rows, now, when)
    late = replace(found, onset=begun, saturation=tuple(_saturation(now, before, when, host, begun)))
    explained = _explained(late, _Analysis(now, before, _since(rows, now, begun)), now, when, changes)
    return (
        explained
        if found.verdict.decision == "fail"
        else _if_sure(found, explained, _allowed(rows, found.before, tolerance))
    )


def _onset(rows: MetricRows, now: pl.DataFrame, when: Stretches) -> float:
    """When it began."""
    scale = rows.scales[0]
    at = now["at"].to_numpy()[rows.now]
    return onset(scale.now, at, float(scale.before.mean()), slots(when.since, when.until))


def _since(rows: MetricRows, now: pl.DataFrame, begun: float) -> MetricRows:
    """The rows from the onset on, where they are enough: what came before it only thins out what is looked for."""
    late = now["at"].to_numpy()[rows.now] >= begun
    if late.all() or late.sum() < LEAST_LATE_ROWS:
        return rows
    scales = tuple(Scale(s.name, s.now[late], s.before) for s in rows.scales)
    return with_parts(rows, now=rows.now[late], values_now=rows.values_now[late], scales=scales)


def _if_sure(untold: Why, explained: Why, allowed: float) -> Why:
    """Where the whole may have moved by chance, only what moved beside the rest of it, or a mix that did, is a cause.

    A slow minute hits all slices alike; one that got worse while the others did not is none of that.
    """
    least = max(LEAST_OWN_SHARE, allowed / max(explained.increase.value, 1e-12))
    own = tuple(cause for cause in explained.causes if cause.kind in OF_THEIR_OWN and cause.share >= least)
    if not own:
        return untold
    because = f"{untold.verdict.because}; but {own[0].sentence}"
    return replace(explained, causes=own, verdict=replace(untold.verdict, decision="fail", because=because))


def _explained(found: Why, analysis: _Analysis, now: pl.DataFrame, when: Stretches, changes: Sequence[Change]) -> Why:
    """The same with its onset, parts and causes."""
    begun = when.since if found.onset is None else found.onset
    order = tuple(ranked(changes, begun, when.seconds[0], analysis.releases))
    causes = causes_of(
        Findings(
            analysis.metric,
            analysis.split,
            analysis.mixes,
            analysis.slices,
            analysis.peeled,
            order,
            found.saturation,
            found.stages,
            analysis.error,
            analysis.entire,
        )
    )
    return replace(
        found,
        causes=causes,
        split=analysis.split,
        mixes=tuple(analysis.mixes),
        slices=tuple(analysis.slices),
        changes=order,
        exemplars=analysis.exemplars(now, causes),
    )


class _Analysis:
    """The dimensions of the rows that count, and what was found in them."""

    def __init__(self, now: pl.DataFrame, before: pl.DataFrame, rows: MetricRows) -> None:
        self._rows, self.metric = rows, rows.metric
        every = without_aliases([d.take(rows.now, rows.before) for d in dimensions(now, before)])
        self.given: Expected = expected(every, rows)
        self.split = split_of(self.given)
        self._dims = {d.name: d for d in every}
        causal = [d for d in every if d.role != "happened"]
        self.mixes = by_dimension([*causal, *(d for d in every if d.name == "cache")], self.given, self.split.increase)
        self._noise = noise_of(causal, self.given, before["at"].to_numpy()[rows.before])
        scan = SliceScan(causal, self.given, self.split.increase, self._noise)
        self.slices, self.peeled = scan.top(), list(self._peeled(causal, scan))
        self.entire = _entire(self._dims.get("release"))
        self.error = _growing_error(now, before) if rows.metric == "errors" else ("", 0.0)

    @property
    def releases(self) -> list[str]:
        """Those that slices speak of."""
        parts = [part for s in self.slices for part in (*s.parts, *s.aliases)]
        return [*(part.partition("=")[2] for part in parts if part.startswith("release=")), self.entire]

    def _peeled(self, dims: Sequence[Dimension], scan: SliceScan) -> Iterator[Slice]:
        """The best slice, then the best one among the rows outside of it."""
        first = scan.best()
        if first is None:
            return
        yield first
        a, b = ~self._rows_in(first.parts, "now"), ~self._rows_in(first.parts, "before")
        if a.sum() > LEAST_ROWS and b.sum() > LEAST_ROWS:
            excess = self.split.increase * len(a) / a.sum()
            every = max(1, int(a.sum()) // MOST_PEELED_ROWS)
            a, b = _each(a, every), _each(b, every)
            rest = [d.take(a, b) for d in dims]
            second = SliceScan(rest, self.given.take(a, b), excess, self._noise / every).best()
            if second is not None:
                yield second

    def exemplars(self, now: pl.DataFrame, causes: Sequence[Cause]) -> tuple[Exemplar, ...]:
        """Requests of the slice that the first cause names, or of the whole window."""
        parts = causes[0].what.split(" & ") if causes and causes[0].what else []
        picked = self._rows_in(parts, "now")
        if not picked.any():
            picked[:] = True
        return exemplars(now, self._rows.values_now[picked], self._rows.now[picked])

    def _rows_in(self, parts: Sequence[str], which: Literal["now", "before"]) -> NDArray[np.bool_]:
        """The rows that agree with every label; a label of no dimension leaves none out."""
        picked = np.ones(len(self._rows.now if which == "now" else self._rows.before), bool)
        for d in self._dims.values():
            for label in parts:
                if label in d.labels:
                    picked &= d.picks[d.labels.index(label)][d.now if which == "now" else d.before]
        return picked


def _each(rows: NDArray[np.bool_], every: int) -> NDArray[np.bool_]:
    """Each k-th of the rows that are picked."""
    return np.asarray(rows & (np.cumsum(rows) % every == 0))


def _served(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    # To leave out none would copy every text for nothing.
    shadows = "arm" in frame.columns and (frame["arm"] == SHADOW).any()
    return frame.filter(pl.col("arm").ne_missing(SHADOW)) if shadows else frame


def _moved(rows: MetricRows, now: pl.DataFrame, before: pl.DataFrame, when: Stretches, tolerance: float) -> Why:
    """The metric now and before, its increase, its course, and whether it is one."""
    at = before["at"].to_numpy()[rows.before]
    clumping = clumping_of(rows.scales[0].before, at)
    a, b = measured(rows, "now", clumping), measured(rows, "before", clumping)
    spread = spread_of(rows.metric, rows.values_before, at, when.periods)
    more = increase(a, b, spread)
    allowed = _allowed(rows, b, tolerance)
    verdict = judge(more, Requirement(more.name, at_most=allowed, unit=more.unit))
    said = {"fail": "rose by more", "pass": "did not rise by more", "wait": "may have risen, or not, by more"}
    because = f"{a.name} {said[verdict.decision]} than chance and {tolerance:.0%} explain: {a} against {b}"
    told = Verdict(verdict.decision, because, rows.metric, (a, b, more))
    # A point of a handful of rows says more about chance than about the course.
    most = max(LEAST_SLOTS, min(MOST_SLOTS, len(rows.values_now) // ROWS_A_POINT))
    drawn = slots(when.since, when.until, most)
    course = series(rows.metric, rows.values_now, now["at"].to_numpy()[rows.now], drawn)
    return Why(rows.metric, when.since, when.until, when.baseline, a, b, more, told, series=course)


def _allowed(rows: MetricRows, before: Measurement, tolerance: float) -> float:
    """The increase that nobody asks about; of accuracy, that of the wrong answers."""
    return tolerance * abs(1 - before.value if rows.metric == "accuracy" else before.value)


def _saturation(
    now: pl.DataFrame, before: pl.DataFrame, when: Stretches, host: Sequence[HostSample], begun: float
) -> list[Reading]:
    """What was full; of the machine, from the slot after the onset on, for that one may have been quiet at first."""
    sure = begun + slots(when.since, when.until).seconds if begun > when.since else begun
    here = [s for s in host if min(sure, when.until - 1.0) <= s.at < when.until]
    there = [s for s in host if any(a <= s.at < b for a, b in when.periods)]
    return saturation(now, before, here, there, when.seconds)


def _entire(release: Dimension | None) -> str:
    """The release that answered all of the window and nothing of the baseline."""
    if release is None:
        return ""
    now, before = release.counts("now"), release.counts("before")
    new = [k for k in np.flatnonzero(now) if not before[k] and now[k] == now.sum() and k < len(release.labels)]
    return release.labels[new[0]].partition("=")[2] if new else ""


def _lost_columns(now: pl.DataFrame, before: pl.DataFrame) -> list[str]:
    """Columns that had values before and have none now, or the other way round."""
    known = [{c for c in f.columns if "." in c and f[c].null_count() < f.height} for f in (now, before)]
    lost, new = sorted(known[1] - known[0]), sorted(known[0] - known[1])
    told = [f"{name} had values before and has none now" for name in lost]
    return told + [f"{name} has values now and had none before" for name in new]


def _growing_error(now: pl.DataFrame, before: pl.DataFrame) -> tuple[str, float]:
    """The kind of error (what stands before its colon) whose share grew most, and its part of all that grew."""
    shares = []
    for frame in (now, before):
        kinds = frame["error"].drop_nulls().str.split(":").list.first()
        counts = kinds.value_counts()
        shares.append({k: n / frame.height for k, n in zip(counts["error"], counts["count"], strict=True)})
    grown = {kind: share - shares[1].get(kind, 0.0) for kind, share in shares[0].items()}
    more = sum(max(0.0, g) for g in grown.values())
    top = max(grown, key=lambda kind: grown[kind], default="")
    return (top, grown[top] / more) if top and more > 0 else ("", 0.0)
