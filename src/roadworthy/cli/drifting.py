"""Brings together what a drift report is made of: detectors over a window, the kind of drift, training/serving skew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from roadworthy.cli.flows import read
from roadworthy.cli.spans import Stretch
from roadworthy.cli.watched_quality import reference_for
from roadworthy.cli.watching import sparkline
from roadworthy.core.catalog import load
from roadworthy.core.errors import Missing
from roadworthy.core.measure import Decision, Verdict, worst
from roadworthy.core.profile import Profile
from roadworthy.core.window import Window
from roadworthy.data.consistency import Consistency, consistency
from roadworthy.data.skew import SkewReport, skew
from roadworthy.data.skew_text import consistency_text, skew_text
from roadworthy.observe.detectors.drift import Drift
from roadworthy.observe.drift.budget import alpha_a_look
from roadworthy.observe.drift.drift_kind import DriftKind, Kinds, lines
from roadworthy.observe.drift.drift_report import DriftReport, Histogram, drift_report
from roadworthy.observe.profiles import reference_of
from roadworthy.observe.watch import ANSWERING, Look, detectors_of, look

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roadworthy.core.profile import Reference
    from roadworthy.core.spec import Spec
    from roadworthy.store.state import State

STYLES = {"pass": "green", "fail": "red", "wait": "yellow"}


class Drifted(Struct, frozen=True, omit_defaults=True):
    """What each detector said of `rows` records with `since` <= at < `until`, and of which kind the drift is.

    `report` has every distance of every column, with the histograms that they come from.
    """

    since: float
    until: float
    rows: int
    looks: tuple[Look, ...]
    kind: DriftKind
    report: DriftReport
    skew: SkewReport | None = None
    consistency: Consistency | None = None

    @property
    def decision(self) -> Decision:
        """One detector that alarms fails; all that wait, wait."""
        said = {look.verdict.decision for look in self.looks}
        return "fail" if "fail" in said else "pass" if "pass" in said else worst([])


def drifted(
    spec: Spec, state: State, stretch: Stretch, release: str | None = None, skewed: bool = False, recompute: str = ""
) -> Drifted:
    """Ask the project's detectors about a stretch of records. Raises Missing where no reference is kept."""
    reference = _reference(spec, state, release)
    records = state.records.read(stretch.since, stretch.until, release, ANSWERING)
    detectors = detectors_of(spec.monitor.detectors, spec.root, spec.monitor)
    looks = look(detectors, reference, records, stretch.since, stretch.until)
    window = Window.of(records)
    current = Profile.of(window, like=reference.profile)
    kind = Kinds(output=spec.application.output)(reference, window, {one.detector: one.verdict for one in looks})
    return Drifted(
        stretch.since,
        stretch.until,
        window.n,
        tuple(looks),
        kind,
        drift_report(reference.profile, current, Drift(alpha=alpha_a_look(spec.monitor))),
        _skew(spec, window) if skewed else None,
        _consistency(spec, window, recompute) if recompute else None,
    )


def _reference(spec: Spec, state: State, release: str | None) -> Reference:
    if release:
        return reference_of(state, release)
    found = reference_for(spec, state, None)
    if not found.n:
        raise Missing("no release keeps a profile, so there is nothing to compare with: `roadworthy drift --profile`")
    return found


def _skew(spec: Spec, window: Window) -> SkewReport:
    lab = read(spec, "lab")
    return skew(lab.columns, window.inputs, spec.application.inputs, _ids(lab.ids), _ids(window.ids))


def _consistency(spec: Spec, window: Window, recompute: str) -> Consistency:
    return consistency(window, _ids(window.ids), load(recompute, spec.root), share=1.0, salt=spec.application.name)


def _ids(ids: NDArray[np.object_] | None) -> list[str]:
    return [] if ids is None else [str(id) for id in ids.tolist()]


def drifted_text(found: Drifted) -> RenderableType:
    """What the detectors say, every column with its histograms drawn, and the kind in words."""
    parts: list[RenderableType] = [_said(one.detector, one.verdict) for one in found.looks]
    parts.append(_columns(found.report))
    parts.append(Text("\n".join(lines(found.kind)), style="bold"))
    if found.skew is not None:
        parts.append(skew_text(found.skew))
    if found.consistency is not None:
        parts.append(consistency_text(found.consistency))
    return Group(*parts)


def _said(detector: str, verdict: Verdict) -> Text:
    return Text.assemble((f"{verdict.decision} ", STYLES[verdict.decision]), (f"{detector}: ", "bold"), verdict.because)


def _columns(report: DriftReport) -> Table:
    """A row for each column, those that moved first; the bars are the shares of rows, before above now."""
    table = Table("column", "verdict", "effect", "p", "before / now", "what moved", box=None, header_style="bold")
    for row in report.rows:
        bars = "" if row.histogram is None else _bars(row.histogram)
        effect = "" if row.effect is None else f"{row.effect.name} {row.effect.value:.3f}"
        style = STYLES["fail"] if row.outcome in ("moved", "gone") else ""
        table.add_row(row.column, Text(row.outcome, style), effect, f"{row.p:.2g}", bars, row.most)
    return table


def _bars(histogram: Histogram) -> str:
    """Both histograms on one scale, so that a bar that grew looks as if it did."""
    top = max((*histogram.reference, *histogram.current), default=0.0)
    return "\n".join(sparkline([*shares, top])[:-1] for shares in (histogram.reference, histogram.current))
