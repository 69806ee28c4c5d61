"""How abstaining goes in production: what was flagged, how right the rest was, and what people made of the flagged.

It reads records (a Window) and labels, and knows nothing of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Label
from roadworthy.core.stats import auc, auc_contributions, batch_spread, midranks, nothing, wilson, z_of
from roadworthy.core.window import Window
from roadworthy.store.labels import by_a_person

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Rows of real traffic depend on each other: the means of so many stretches of time say how much (decision 4). At 95 %
# the quantile of Student's t with 11 degrees of freedom is so many times the normal one.
STRETCHES, STUDENT = 12, 1.123


@dataclass(frozen=True)
class Reading:
    """How to read rows: which `output` answers, what is wrong, and which number is the doubt.

    An answer of one number is a probability of the second class, decided at `cut`; one of several numbers is decided
    for the greatest. Where the answer is the `number` itself, it is wrong where it misses the label by more than
    `tolerance`, and without one nothing is right or wrong. `doubt` is `confidence` or an output; `unsure` says on which
    side of it the model is not sure.
    """

    output: str = "probability"
    cut: float = 0.5
    number: bool = False
    tolerance: float | None = None
    doubt: str = "confidence"
    unsure: Literal["below", "above"] = "below"

    def __post_init__(self) -> None:
        if self.tolerance is not None and not (self.number and self.tolerance >= 0):
            told = "`tolerance` is how far a `number` may miss and still be right: at least 0, and for numbers only"
            raise SpecError(f"{told}; got {self.tolerance!r}")

    def wrong(self, window: Window, truth: Floats) -> Floats:
        """1 where the answer contradicts the truth, 0 where it does not, NaN where one of both is not there."""
        said = self.said(window)
        unknown = np.isnan(said) | np.isnan(truth)
        if not self.number:
            return np.where(unknown, np.nan, said != truth)
        if self.tolerance is None:
            return np.full(len(truth), np.nan)
        return np.where(unknown, np.nan, np.abs(said - truth) > self.tolerance)

    def errors(self, window: Window, truth: Floats) -> Floats:
        """How far off each answer is: whether it is wrong, or by how much a number misses."""
        return np.abs(self.said(window) - truth) if self.number else self.wrong(window, truth)

    def said(self, window: Window) -> Floats:
        """The class that was answered, or the number; NaN where the answer was withheld. Raises SpecError, BadData."""
        if self.output not in window.outputs:
            known = ", ".join(window.outputs) or "none"
            raise SpecError(
                f"the records have no output {self.output!r}{nearest(self.output, window.outputs)} (known: {known})"
            )
        column = window.outputs[self.output]
        if column.dtype == object:
            return np.array([self._decided(value) for value in column.tolist()], np.float64)
        if column.ndim == 1:
            return np.where(np.isnan(column), np.nan, column if self.number else column >= self.cut)
        gone = np.isnan(column).any(axis=1)
        return np.where(gone, np.nan, np.where(gone[:, None], 0.0, column).argmax(axis=1))

    def doubts(self, window: Window) -> Floats:
        """How unsure the model was of each row (n,), greater being less sure; NaN where it did not say."""
        column = window.confidence if self.doubt == "confidence" else window.outputs.get(self.doubt)
        if column is None:
            known = ", ".join(["confidence", *window.outputs])
            raise SpecError(f"the records say no {self.doubt!r}{nearest(self.doubt, window.outputs)} (known: {known})")
        try:
            found = np.array([math.nan if value is None else value for value in column.tolist()], np.float64)
        except (TypeError, ValueError) as wrong:
            raise BadData(f"output {self.doubt!r} holds what is no number, so that it is no doubt") from wrong
        if found.ndim != 1:
            raise BadData(f"output {self.doubt!r} has several numbers a row; doubt is one")
        return -found if self.unsure == "below" else found

    def _decided(self, value: Any) -> float:
        """As `said`, of one value: in a column of objects are vectors of several widths, and None."""
        if value is None:
            return math.nan
        try:
            numbers = np.array([math.nan if v is None else v for v in np.atleast_1d(value)], np.float64)
        except (TypeError, ValueError) as wrong:
            raise BadData(f"output {self.output!r} holds {value!r}: only numbers can be right or wrong here") from wrong
        if np.isnan(numbers).any() or not len(numbers):
            return math.nan
        if len(numbers) > 1:
            return float(numbers.argmax())
        return float(numbers[0] if self.number else numbers[0] >= self.cut)


class Figures(Struct, frozen=True):
    """What abstaining came to over a stretch of records; `failed` rows had no answer at all and are left out.

    `flagged` is the share of rows that the model abstained on. `accuracy`, `accuracy_answered` and `accuracy_flagged`
    are those of the model's own answers where the truth is known; a withheld answer is not known.

    `overrides` is the human override rate: of the flagged rows that a person labelled, the share whose label
    contradicts the model's answer. Near 0 people are asked in vain. `overrides_answered` is the same of rows that the
    model answered and a person looked at all the same. Where several people labelled a row the latest word counts, and
    `disagreement` is the share of such rows on which their last words are not the same.

    `error_auroc` and `error_correlation` (Spearman's) say how well doubt goes with being wrong: 0.5 and 0 are not at
    all. Where an answer is a number, the correlation is with how far it misses.
    """

    rows: int
    failed: int
    flagged: Measurement
    accuracy: Measurement
    accuracy_answered: Measurement
    accuracy_flagged: Measurement
    overrides: Measurement
    overrides_answered: Measurement
    disagreement: Measurement
    error_auroc: Measurement
    error_correlation: Measurement

    @property
    def all(self) -> tuple[Measurement, ...]:
        """Every figure, in the order above."""
        return tuple(value for value in (getattr(self, name) for name in self.__struct_fields__) if _is_one(value))


def figures(
    window: Window,
    reading: Reading,
    labels: Sequence[Label] = (),
    person: Callable[[str], bool] = by_a_person,
    step: str = "abstain",
    where: str = "",
) -> Figures:
    """The figures of records of one arm (`Window.of_all`), those with the step `step` on their path being flagged.

    `labels` with their sources tell which labels are a person's; without them the override rate is unknown.
    """
    answered, failed = without_failed(window)
    words = _words(labels, person)
    return _figures(_columns(answered, reading, words, step), failed, where)


def by_window(
    windows: Mapping[str, Window],
    reading: Reading,
    labels: Sequence[Label] = (),
    person: Callable[[str], bool] = by_a_person,
    step: str = "abstain",
) -> tuple[Figures, ...]:
    """The figures of several stretches (weeks, segments), each `where` its name says."""
    return tuple(figures(window, reading, labels, person, step, name) for name, window in windows.items())


def without_failed(window: Window) -> tuple[Window, int]:
    """The rows that have an answer, and how many have none."""
    if window.errors is None:
        return window, 0
    failed = np.array([error is not None for error in window.errors], bool)
    return window.take(~failed), int(failed.sum())


def flags(window: Window, step: str = "abstain") -> Mask:
    """Which rows (n,) have the step on their path."""
    return np.asarray(window.steps.get(step, np.zeros(window.n, bool)), bool)


def share_in_time(name: str, hits: Floats, at: Floats, where: str = "") -> Measurement:
    """A share with an interval as wide as rows that depend on their neighbours in time make it.

    Wilson 1927 at as many rows as are worth as much as independent ones: the variance is that of the means of twelve
    stretches of time where that is more than the plain one (`core.stats.batch_spread`, decision 4). Dependence that
    lasts longer than a stretch is not seen.
    """
    n = len(hits)
    if not n:
        return nothing(name, where=where)
    mean, worth = float(hits.mean()), float(n)
    if 0 < mean < 1:
        worth = max(1.0, n / _wider(hits, at) ** 2)
    low, high = wilson(mean, worth, z_of(0.95))
    return Measurement(name, mean, n, low, high, where=where)


class _Columns(NamedTuple):
    """What the figures are made of, a value a row: NaN where it is not known."""

    at: Floats
    flagged: Mask
    wrong: Floats
    overruled: Floats
    disagreed: Floats
    doubts: Floats
    errors: Floats


def _columns(window: Window, reading: Reading, words: Mapping[str, Mapping[str, float]], step: str) -> _Columns:
    last, agreed = _people(words, window)
    return _Columns(
        window.at,
        flags(window, step),
        reading.wrong(window, window.labels),
        reading.wrong(window, last),
        agreed,
        reading.doubts(window),
        reading.errors(window, window.labels),
    )


def _figures(rows: _Columns, failed: int, where: str) -> Figures:
    def share(name: str, hits: Floats, some: Mask | None = None) -> Measurement:
        chosen = ~np.isnan(hits) if some is None else some & ~np.isnan(hits)
        return share_in_time(name, hits[chosen], rows.at[chosen], where)

    return Figures(
        len(rows.at),
        failed,
        share("flagged", rows.flagged.astype(np.float64)),
        share("accuracy", 1 - rows.wrong),
        share("accuracy_answered", 1 - rows.wrong, ~rows.flagged),
        share("accuracy_flagged", 1 - rows.wrong, rows.flagged),
        share("override_rate", rows.overruled, rows.flagged),
        share("override_rate_answered", rows.overruled, ~rows.flagged),
        share("disagreement", rows.disagreed),
        _auroc(rows, where),
        _correlation(rows, where),
    )


def _auroc(rows: _Columns, where: str) -> Measurement:
    """How well doubt tells wrong from right: the area under the ROC curve."""
    known = ~(np.isnan(rows.doubts) | np.isnan(rows.wrong))
    wrong, doubts = rows.wrong[known], rows.doubts[known]
    told, name = auc(wrong, doubts, where), "error_auroc"
    if not told.n:
        return nothing(name, where=where)
    wider = _wider(auc_contributions(wrong, doubts), rows.at[known])
    low, high = told.value - wider * (told.value - told.low), told.value + wider * (told.high - told.value)
    return Measurement(name, told.value, told.n, max(0.0, low), min(1.0, high), where=where)


def _correlation(rows: _Columns, where: str) -> Measurement:
    """Spearman's correlation of doubt with error.

    Fieller et al. 1957 with the variance of Bonett & Wright 2000: (1 + r^2 / 2) / (n - 3) on the scale of Fisher's z.
    """
    known = ~(np.isnan(rows.doubts) | np.isnan(rows.errors))
    d, e = rows.doubts[known], rows.errors[known]
    n, name = len(d), "error_correlation"
    if n < 4 or d.min() == d.max() or e.min() == e.max():
        return nothing(name, where=where)
    x, y = _standard(midranks(d)), _standard(midranks(e))
    r = float((x * y).mean())
    # What each row adds to a correlation: its influence function (Devlin, Gnanadesikan and Kettenring 1975).
    wider = _wider(x * y - r * (x * x + y * y) / 2, rows.at[known])
    half = wider * z_of(0.95) * math.sqrt((1 + r * r / 2) / (n - 3))
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))
    return Measurement(name, r, n, math.tanh(middle - half), math.tanh(middle + half), where=where)


def _wider(values: Floats, at: Floats) -> float:
    """How many times as far as for independent rows the mean of what each row adds may be off."""
    plain = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    if not plain > 1e-12 or not np.isfinite(at).all():
        return 1.0
    return batch_spread(values[np.argsort(at, kind="stable")], STRETCHES, STUDENT) / plain


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / values.std())


def _words(labels: Sequence[Label], person: Callable[[str], bool]) -> dict[str, dict[str, float]]:
    """Each person's last word on each id, the latest of all at the end."""
    found: dict[str, dict[str, float]] = {}
    for label in sorted(labels, key=lambda label: label.at):
        if person(label.source):
            of = found.setdefault(label.id, {})
            of.pop(label.source, None)
            of[label.source] = label.value
    return found


def _people(words: Mapping[str, Mapping[str, float]], window: Window) -> tuple[Floats, Floats]:
    """The last word of people on each row, and whether they disagree; NaN where nobody, or only one of them, spoke."""
    ids = [None] * window.n if window.ids is None else window.ids.tolist()
    said = [list(words.get(str(id), {}).values()) for id in ids]
    last = np.array([values[-1] if values else math.nan for values in said], np.float64)
    apart = [float(len(set(values)) > 1) if len(values) > 1 else math.nan for values in said]
    return last, np.array(apart, np.float64)


def _is_one(value: object) -> bool:
    return isinstance(value, Measurement)
