"""How abstaining goes in production: what was flagged, how right the rest was, and what people made of the flagged.

It reads records (a Window) and labels, and knows nothing of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Label
from roadworthy.core.stats import auc, midranks, nothing, wilson, z_of
from roadworthy.core.window import Window

Floats = NDArray[np.float64]

# Rows of real traffic depend on each other: the means of so many stretches of time say how much (decision 4), and as
# so few of them are themselves uncertain, their variance counts this much more.
_STRETCHES, _FEWNESS = 12, 1.3


def by_a_person(source: str) -> bool:
    """Whether a label's source is a person: "person", or "person:" and who."""
    return source == "person" or source.startswith("person:")


@dataclass(frozen=True)
class Reading:
    """How to read rows: which `output` answers, what is wrong, and which number is the doubt.

    An answer of one number is a probability of the second class, decided at `cut`; where `tolerance` is given it is a
    value, wrong where it misses the label by more. One of several numbers is decided for the greatest. `doubt` is
    `confidence` or an output; `unsure` says on which side of it the model is not sure.
    """

    output: str = "probability"
    cut: float = 0.5
    tolerance: float | None = None
    doubt: str = "confidence"
    unsure: Literal["below", "above"] = "below"

    def wrong(self, window: Window, truth: Floats) -> Floats:
        """1 where the answer contradicts the truth, 0 where it does not, NaN where one of both is not there."""
        if self.output not in window.outputs:
            known = ", ".join(window.outputs) or "none"
            raise SpecError(
                f"the records have no output {self.output!r}{nearest(self.output, window.outputs)} (known: {known})"
            )
        said = np.array([self._decided(value) for value in window.outputs[self.output].tolist()], np.float64)
        unknown = np.isnan(said) | np.isnan(truth)
        missed = said != truth if self.tolerance is None else np.abs(said - truth) > self.tolerance
        return np.where(unknown, np.nan, missed.astype(np.float64))

    def doubts(self, window: Window) -> Floats:
        """How unsure the model was of each row (n,), greater being less sure; NaN where it did not say."""
        column = window.confidence if self.doubt == "confidence" else window.outputs.get(self.doubt)
        if column is None:
            known = ", ".join(["confidence", *window.outputs])
            raise SpecError(f"the records say no {self.doubt!r}{nearest(self.doubt, window.outputs)} (known: {known})")
        found = np.array([math.nan if value is None else value for value in column.tolist()], np.float64)
        if found.ndim != 1:
            raise BadData(f"output {self.doubt!r} has several numbers a row; doubt is one")
        return -found if self.unsure == "below" else found

    def _decided(self, value: object) -> float:
        if value is None:
            return math.nan
        if isinstance(value, float | int):
            known = not math.isnan(value)
            return float(value) if self.tolerance is not None or not known else float(value >= self.cut)
        numbers = np.array([math.nan if v is None else v for v in value], np.float64)  # type: ignore[attr-defined]
        return math.nan if np.isnan(numbers).any() else float(numbers.argmax())


class Figures(Struct, frozen=True):
    """What abstaining came to over a stretch of records; `failed` rows had no answer at all and are left out.

    `flagged` is the share of rows that the model abstained on. `accuracy`, `accuracy_answered` and `accuracy_flagged`
    are those of the model's own answers where the truth is known; a withheld answer is not known.

    `overrides` is the human override rate: of the flagged rows that a person labelled, the share whose label
    contradicts the model's answer. Near 0 people are asked in vain. `overrides_answered` is the same of rows that the
    model answered and a person looked at all the same. `error_auroc` and `error_correlation` (Spearman's) say how well
    doubt goes with being wrong: 0.5 and 0 are not at all.
    """

    rows: int
    failed: int
    flagged: Measurement
    accuracy: Measurement
    accuracy_answered: Measurement
    accuracy_flagged: Measurement
    overrides: Measurement
    overrides_answered: Measurement
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
    failed = np.zeros(window.n, bool) if window.errors is None else np.array([e is not None for e in window.errors])
    asked = window.take(~failed)
    flagged = asked.steps.get(step, np.zeros(asked.n, bool)).astype(bool)
    wrong = reading.wrong(asked, asked.labels)
    overruled = reading.wrong(asked, _said_by(labels, person, asked))

    def share(name: str, hits: Floats, some: NDArray[np.bool_] | None = None) -> Measurement:
        chosen = ~np.isnan(hits) if some is None else some & ~np.isnan(hits)
        return share_in_time(name, hits[chosen], asked.at[chosen], where)

    return Figures(
        asked.n,
        int(failed.sum()),
        share("flagged", flagged.astype(np.float64)),
        share("accuracy", 1 - wrong),
        share("accuracy_answered", 1 - wrong, ~flagged),
        share("accuracy_flagged", 1 - wrong, flagged),
        share("override_rate", overruled, flagged),
        share("override_rate_answered", overruled, ~flagged),
        *_correlations(reading.doubts(asked), wrong, where),
    )


def by_window(
    windows: Mapping[str, Window],
    reading: Reading,
    labels: Sequence[Label] = (),
    person: Callable[[str], bool] = by_a_person,
    step: str = "abstain",
) -> tuple[Figures, ...]:
    """The figures of several stretches (weeks, segments), each `where` its name says."""
    return tuple(figures(window, reading, labels, person, step, name) for name, window in windows.items())


def share_in_time(name: str, hits: Floats, at: Floats, where: str = "") -> Measurement:
    """A share with an interval as wide as rows that depend on their neighbours in time make it.

    Wilson 1927 at as many rows as are worth as much as independent ones: the variance is that of the means of twelve
    stretches of time, 1.3 times over, where that is more than the plain one (decision 4). Dependence that lasts longer
    than a stretch is not seen.
    """
    n = len(hits)
    if not n:
        return nothing(name, where=where)
    mean, worth = float(hits.mean()), float(n)
    if n >= 2 * _STRETCHES and np.isfinite(at).all() and 0 < mean < 1:
        parts = np.array([part.mean() for part in np.array_split(hits[np.argsort(at, kind="stable")], _STRETCHES)])
        spread = _FEWNESS * float(parts.var(ddof=1)) / _STRETCHES
        worth = min(worth, mean * (1 - mean) / spread) if spread > 0 else worth
    low, high = wilson(mean, max(worth, 1.0), z_of(0.95))
    return Measurement(name, mean, n, low, high, where=where)


def _correlations(doubts: Floats, wrong: Floats, where: str) -> tuple[Measurement, Measurement]:
    """How well doubt tells wrong from right: the area under the ROC curve, and Spearman's correlation.

    Fieller et al. 1957 with the variance of Bonett & Wright 2000: (1 + r^2 / 2) / (n - 3) on the scale of Fisher's z.
    """
    known = ~(np.isnan(doubts) | np.isnan(wrong))
    d, e = doubts[known], wrong[known]
    told = auc(e, d, where)
    area = Measurement("error_auroc", told.value, told.n, told.low, told.high, where=where)
    n, name = len(d), "error_correlation"
    if n < 4 or d.min() == d.max() or e.min() == e.max():
        return area, nothing(name, where=where)
    r = float(np.corrcoef(midranks(d), midranks(e))[0, 1])
    half = z_of(0.95) * math.sqrt((1 + r * r / 2) / (n - 3))
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))
    return area, Measurement(name, r, n, math.tanh(middle - half), math.tanh(middle + half), where=where)


def _said_by(labels: Sequence[Label], person: Callable[[str], bool], window: Window) -> Floats:
    """What a person said of each row, the latest word where there are several; NaN where nobody did."""
    said = {label.id: label.value for label in sorted(labels, key=lambda label: label.at) if person(label.source)}
    ids = [] if window.ids is None else window.ids.tolist()
    return np.array([said.get(str(id), math.nan) for id in ids] or np.full(window.n, np.nan), np.float64)


def _is_one(value: object) -> bool:
    return isinstance(value, Measurement)
