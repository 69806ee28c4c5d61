"""How good the answers are: by the labels that are known, by confidence where they are not, and by a drawn sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.calibration import Bin
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Decision, Measurement, Requirement, Verdict, judge, worst
from roadworthy.core.record import Label
from roadworthy.core.stats import mean, nothing, proportion
from roadworthy.core.window import Window
from roadworthy.core.worse_slices import Facet, WorseSlice, facets_of, worse_slices
from roadworthy.observe.alerts import DAY
from roadworthy.observe.base import Estimator
from roadworthy.observe.estimators.cbpe import Cbpe
from roadworthy.observe.estimators.static import Static
from roadworthy.observe.quality.answers import Answers, answers_of
from roadworthy.observe.quality.audit import Audit, Drawn, Foretold, audit, trust
from roadworthy.observe.quality.draws import Draw
from roadworthy.observe.quality.label_delay import Arrival, arrival, as_known
from roadworthy.observe.quality.label_free import Calibrated, both
from roadworthy.observe.quality.reliability import coverage, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

# A tag with more values than this is shown by its commonest ones.
MOST_VALUES = 20
# The calibrated confidence of a reference with fewer labels than this foretells nothing.
LEAST_REFERENCE = 100


@dataclass(frozen=True)
class Terms:
    """What is looked at and how strictly. `output` is the only one where empty; label 1 is predicted from `cut` on.

    `estimators` need no labels; the first is the one that the series shows. A slice has `slice_rows` rows; `alpha`
    bounds the chance of any false slice. Label-free estimates may be `within` so much of what the audit says.
    `classes` are the names that prediction sets use. The series has a point every `every_days`.
    """

    output: str = ""
    cut: float = 0.5
    estimators: Mapping[str, Estimator] = field(default_factory=lambda: {"cbpe": Cbpe(), "static": Static()})
    slice_rows: int = 50
    alpha: float = 0.01
    confidence: float = 0.95
    within: float = 0.05
    every_days: float = 7.0
    classes: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What the store knows beside the records of a window.

    `chances` are the ids that were drawn to be labelled and how probable that was (`draws.chances`), `draw` is what
    drew them. `aside` are labels that could not join (`records.labels_aside`), `sets` the prediction set of each row.
    """

    chances: Mapping[str, float] = field(default_factory=dict)
    draw: Draw | None = None
    aside: Sequence[tuple[Label, str]] = ()
    sets: Sequence[Sequence[str] | None] = ()


class Point(Struct, frozen=True):
    """A stretch of the series: what labels say (of mature rows), what confidence says, and what the audit says."""

    since: float
    until: float
    rows: int
    measured: Measurement
    label_free: Measurement
    audited: Measurement


class Quality(Struct, frozen=True):
    """All that is known of the quality of the `rows` answers with `since` <= at < `until`, as of `now`.

    `measured`, `reliability`, `coverage`, `by` (tag) and `slices` are of mature rows with a label; `label_free` and
    `audit` speak for every row. `verdicts` say what to make of it, `missing` are slices whose labels do not come.
    """

    output: str
    since: float
    until: float
    now: float
    rows: int
    arrival: Arrival
    measured: tuple[Measurement, ...]
    reliability: tuple[Bin, ...]
    coverage: tuple[Measurement, ...]
    by: Mapping[str, tuple[Measurement, ...]]
    slices: tuple[WorseSlice, ...]
    missing: tuple[WorseSlice, ...]
    disputed: Measurement
    label_free: tuple[Measurement, ...]
    audit: Audit
    series: tuple[Point, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def decision(self) -> Decision:
        """One failed verdict fails, else one that waits waits."""
        return worst(self.verdicts)

    def of(self, metric: str) -> Measurement:
        """What labels say of a metric; n=0 where they say nothing."""
        return next((m for m in self.measured if m.name == metric), nothing(metric))


def quality(
    window: Window, reference: Window, now: float, terms: Terms | None = None, evidence: Evidence | None = None
) -> Quality:
    """Measure a window of answers against what is known of them at `now` (Unix seconds).

    Labels that became known later do not count, nor does the label of a row that is too young for most labels to be
    there: those that come early are not like the others. The reference is of rows that the model was not trained on.
    Raises BadData where the window has answers, but none that can be right or wrong.
    """
    terms, evidence = terms or Terms(), evidence or Evidence()
    sets = _kept_sets(window, now, evidence)
    rows, came = _read(as_known(window, now), reference, now, terms, evidence)
    checked, label_free = _audited(rows, terms), _estimates(rows, reference, terms)
    measured = rows.answers.metrics(rows=rows.mature)
    missing, disputed = _missing(rows, terms), _disputed(rows.window, evidence.aside)
    return Quality(
        terms.output or _only(rows.window),
        float(rows.window.at.min()) if rows.window.n else now,
        float(rows.window.at.max()) if rows.window.n else now,
        now,
        rows.window.n,
        came,
        measured,
        reliability(rows.answers.take(rows.mature)),
        coverage(sets, np.where(rows.mature, rows.answers.labels, np.nan), terms.classes) if sets else (),
        _by_tag(rows),
        _slices(rows, terms),
        missing,
        disputed,
        label_free,
        checked,
        _series(rows, reference, terms),
        _verdicts(came, missing, disputed, label_free, checked, measured, terms),
    )


@dataclass(frozen=True)
class _Rows:
    """A window read: its answers, which rows were drawn, what was foretold of them, and which are `mature`.

    `speaks` are the rows that the audit speaks for: the mature ones, since early labels are unlike others, or all of
    them while nobody knows which those are.
    """

    window: Window
    answers: Answers
    drawn: Drawn
    foretold: Foretold
    mature: Mask
    speaks: Mask

    def take(self, rows: Mask) -> _Rows:
        return _Rows(
            self.window.take(rows),
            self.answers.take(rows),
            self.drawn.take(rows),
            self.foretold.take(rows),
            self.mature[rows],
            self.speaks[rows],
        )


def _read(window: Window, reference: Window, now: float, terms: Terms, evidence: Evidence) -> tuple[_Rows, Arrival]:
    answers = _answers(window, terms)
    came, mature = arrival(window, now, reference)
    none = np.full(window.n, np.nan)
    drawn = Drawn.of(window, evidence.chances, evidence.draw) if evidence.draw else Drawn(none, none)
    speaks = mature if came.delay.ripe else np.ones(window.n, dtype=bool)
    return _Rows(window, answers, drawn, _foretold(reference, window, answers, terms), mature, speaks), came


def _estimates(rows: _Rows, reference: Window, terms: Terms) -> tuple[Measurement, ...]:
    output = terms.output or _only(rows.window)
    return tuple(each(reference, rows.window, output) for each in terms.estimators.values())


def _only(window: Window) -> str:
    return next(iter(window.outputs)) if len(window.outputs) == 1 else ""


def _answers(window: Window, terms: Terms) -> Answers:
    found = answers_of(window, terms.output, terms.cut)
    if found is not None:
        return found
    if window.n and window.outputs:
        wanted = repr(terms.output) if terms.output else "(name one: there is not just one)"
        told = f"no output {wanted} that holds numbers (there are: {', '.join(window.outputs)})"
        raise BadData(f"{told}; say which output is the prediction")
    empty = np.full(window.n, np.nan)
    return Answers("binary", empty, empty, empty, window.labels)


def _kept_sets(window: Window, now: float, evidence: Evidence) -> list[Sequence[str] | None]:
    """The sets of the rows that `as_known` keeps."""
    if not len(evidence.sets):
        return []
    return [given for given, at in zip(evidence.sets, window.at.tolist(), strict=True) if at <= now]


def _foretold(reference: Window, window: Window, answers: Answers, terms: Terms) -> Foretold:
    """What the calibrated confidence says of each row; the stated one where the reference cannot calibrate it."""
    right = answers.sure.copy()
    one = answers.stated.copy() if answers.kind == "binary" else None
    rows = both(reference, window, terms.output, terms.cut, LEAST_REFERENCE)
    if rows is not None:
        calibrated, answered = Calibrated.of(rows), answers.answered
        right[answered] = calibrated.right
        if one is not None:
            one[answered] = calibrated.chance
    return Foretold(np.clip(right, 0.0, 1.0), None if one is None else np.clip(one, 0.0, 1.0))


def _audited(rows: _Rows, terms: Terms) -> Audit:
    chosen = rows.take(rows.speaks)
    return audit(chosen.answers, chosen.drawn, chosen.foretold, terms.confidence)


def _facets(window: Window, **more: NDArray[Any]) -> list[Facet]:
    """What slices are cut by: inputs and tags, a tag that is called like an input being one of them."""
    return facets_of({**window.tags, **window.inputs, **more})


def _slices(rows: _Rows, terms: Terms) -> tuple[WorseSlice, ...]:
    name = "absolute_error" if rows.answers.kind == "number" else "wrong"
    loss = np.where(rows.mature, rows.answers.loss, np.nan)
    return worse_slices(_facets(rows.window), loss, name=name, at_least=terms.slice_rows, alpha=terms.alpha)


def _missing(rows: _Rows, terms: Terms) -> tuple[WorseSlice, ...]:
    """Where labels come more rarely than elsewhere: then the labelled rows do not speak for the others."""
    answers = rows.answers
    gone = np.where(rows.mature & answers.answered, np.isnan(answers.labels), np.nan)
    told = answers.sure if answers.kind == "classes" else answers.stated
    facets = _facets(rows.window, answer=told)
    return worse_slices(facets, gone, name="unlabelled", at_least=terms.slice_rows, alpha=terms.alpha, most=5)


def _disputed(window: Window, aside: Sequence[tuple[Label, str]]) -> Measurement:
    """The share of labelled rows of which another label says something else; the first one counts."""
    known = ~np.isnan(window.labels)
    if window.ids is None or not known.any():
        return nothing("disputed")
    ids = dict(zip(window.ids[known].tolist(), window.labels[known].tolist(), strict=True))
    others = {label.id for label, _ in aside if label.id in ids and label.value != ids[label.id]}
    return proportion("disputed", len(others), len(ids))


def _by_tag(rows: _Rows) -> dict[str, tuple[Measurement, ...]]:
    found = {}
    for name, values in rows.window.tags.items():
        parts = [(f"{name}={value}", rows.mature & (values == value)) for value in _common(values)]
        found[name] = tuple(_headline(rows.answers, part, where) for where, part in parts)
    return found


def _common(values: NDArray[np.object_]) -> list[str]:
    found, counts = np.unique(values.astype(str), return_counts=True)
    return [str(value) for value in found[np.argsort(-counts, kind="stable")][:MOST_VALUES]]


def _headline(answers: Answers, rows: Mask, where: str = "") -> Measurement:
    """The one number that is shown of a part: accuracy, or the mean error of a number."""
    loss = answers.loss[rows & answers.known]
    if answers.kind == "number":
        return mean("absolute_error", loss, where)
    return proportion("accuracy", round(float((1 - loss).sum())), len(loss), where)


def _series(rows: _Rows, reference: Window, terms: Terms) -> tuple[Point, ...]:
    """One point each `every_days`, from the beginning (UTC) of the first row's day on."""
    at, step = rows.window.at, terms.every_days * DAY
    if not len(at):
        return ()
    first = math.floor(float(at.min()) / DAY) * DAY
    number = np.floor((at - first) / step)
    first_estimator = replace(terms, estimators=dict(list(terms.estimators.items())[:1]))
    points = []
    for k in np.unique(number).tolist():
        part = rows.take(number == k)
        guess = next(iter(_estimates(part, reference, first_estimator)), nothing("accuracy"))
        measured, checked = _headline(part.answers, part.mature), _audited(part, terms).of("accuracy")
        points.append(Point(first + k * step, first + (k + 1) * step, part.window.n, measured, guess, checked))
    return tuple(points)


def _verdicts(
    came: Arrival,
    missing: tuple[WorseSlice, ...],
    disputed: Measurement,
    label_free: tuple[Measurement, ...],
    checked: Audit,
    measured: tuple[Measurement, ...],
    terms: Terms,
) -> tuple[Verdict, ...]:
    found = [came.stream, *_selective(came, missing)]
    if disputed.n and disputed.value > 0:
        found.append(judge(disputed, Requirement("disputed", at_most=0.01)))
    found += [trust(estimate, checked, terms.within) for estimate in label_free]
    known = {m.name: m for m in (*checked.estimates, *[m for m in measured if m.n])}
    for required in terms.requirements:
        of = known.get(required.metric) if not required.where else None
        found.append(judge(of or nothing(required.metric, required.unit), required))
    return tuple(found)


def _selective(came: Arrival, missing: tuple[WorseSlice, ...]) -> list[Verdict]:
    if not came.mature or not came.labelled.n:
        return []
    if not missing:
        return [Verdict("pass", f"labels come alike in every slice looked at: {came.labelled}", "missing labels")]
    worst_part = missing[0]
    told = f"labels come selectively: {worst_part.loss}, elsewhere {worst_part.elsewhere.value:.3f}"
    because = f"{told}; what labels say does not hold for the rows without (p {worst_part.p:.2g})"
    return [Verdict("fail", because, "missing labels", (worst_part.loss, worst_part.elsewhere))]
