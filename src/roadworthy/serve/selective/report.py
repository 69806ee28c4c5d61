"""What selective prediction comes to, as one thing that goes to JSON and back, and as lines to read."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.risk_coverage import Point, RiskCoverage, risk_coverage
from roadworthy.core.window import Window
from roadworthy.serve.selective.figures import Figures, Reading
from roadworthy.serve.selective.threshold import Certified, certify

_PLOT_ROWS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class SelectiveReport(Struct, frozen=True):
    """The curve of labelled rows, the threshold that they certify (or why none), and figures of what was served.

    `unlabelled` rows are in neither of the first two. `verdicts` hold the served figures against the certified risk.
    """

    curve: RiskCoverage
    certified: Certified | None
    refused: str
    unlabelled: int
    served: tuple[Figures, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def report(
    window: Window, reading: Reading, risk: float, delta: float, rng: Random, served: tuple[Figures, ...] = ()
) -> SelectiveReport:
    """The report of records with labels; `served` are figures of stretches in which the wrapper was at work.

    Raises BadData where no record has both a label and a doubt.
    """
    wrong, doubts = reading.wrong(window, window.labels), reading.doubts(window)
    known = ~(np.isnan(wrong) | np.isnan(doubts))
    if not known.any():
        raise BadData(f"none of {window.n} records has a label, an answer and a doubt: label some first")
    sure, wrong = -doubts[known], wrong[known]
    certified, refused = None, ""
    try:
        certified = certify(sure, wrong, risk, delta, rng)
    except BadData as why:
        refused = str(why)
    bound = Requirement("risk_answered", at_most=risk)
    verdicts = tuple(judge(_risk_of(stretch), bound) for stretch in served)
    return SelectiveReport(risk_coverage(sure, wrong), certified, refused, int((~known).sum()), served, verdicts)


def lines(found: SelectiveReport) -> list[str]:
    """The report to read."""
    curve = found.curve
    told = [
        "answered  errors among them",
        *(f"{point.coverage:8.1%}  {point.risk:.2%}  [{point.low:.2%}, {point.high:.2%}]" for point in _shown(curve)),
        f"area under the curve {_of(curve.aurc)}, {_of(curve.excess)} above the best order of these errors",
        f"doubt tells wrong rows from right ones: AUROC {_of(curve.error_auroc)} (0.5 is not at all)",
        _threshold_line(found),
    ]
    if found.unlabelled:
        told.append(f"{found.unlabelled:,} records have no label, answer or doubt and are not in it")
    for stretch in found.served:
        told += ["", *figure_lines(stretch)]
    return [*told, *(f"{verdict.decision}: {verdict.because}" for verdict in found.verdicts)]


def figure_lines(found: Figures) -> list[str]:
    """Figures of one stretch to read; what could not be measured says so."""
    where = next((one.where for one in found.all if one.where), "")
    head = f"{where or 'served'}: {found.rows:,} rows" + (f", {found.failed:,} more failed" if found.failed else "")
    return [head, *(f"  {one.name:<24} {_of(one)}" for one in found.all)]


def _shown(curve: RiskCoverage) -> list[Point]:
    """The points nearest to round coverages."""
    places = np.array([point.coverage for point in curve.points])
    return [curve.points[k] for k in dict.fromkeys(int(np.abs(places - at).argmin()) for at in _PLOT_ROWS)]


def _threshold_line(found: SelectiveReport) -> str:
    certified = found.certified
    if certified is None:
        return f"no threshold: {found.refused}"
    return (
        f"threshold {certified.threshold:.6g}: errors at most {certified.risk:g} of what is answered with confidence "
        f"{1 - certified.delta:g}, for rows that come as these did; {certified.errors} errors in "
        f"{certified.answered:,} answered of {certified.rows:,} rows, {_of(certified.coverage)} answered"
    )


def _risk_of(stretch: Figures) -> Measurement:
    right = stretch.accuracy_answered
    return Measurement("risk_answered", 1 - right.value, right.n, 1 - right.high, 1 - right.low, where=right.where)


def _of(one: Measurement) -> str:
    if not one.n or math.isnan(one.value):
        return "unknown (nothing measured)"
    return f"{one.value:.4g} [{one.low:.4g}, {one.high:.4g}] (n={one.n:,})"
