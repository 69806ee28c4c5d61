"""What watches the records: detectors, streams, rules, estimators, explainers, and the sinks that hear of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Reference
from roadworthy.core.window import Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roadworthy.observe.alerts import Alert
    from roadworthy.observe.rollups import Series


class Detector(Protocol):
    """Compares a window of records with a reference and says whether something changed. It changes nothing.

    `fail` is an alarm. On windows of one law it alarms with at most its `alpha`, over all columns. It waits on nothing.
    `because` names the columns that moved, worst first; `evidence` has one Measurement a column.
    """

    def __call__(self, reference: Reference, current: Window) -> Verdict: ...


class Stream(Protocol):
    """Hears one value after the other, such as errors of 0 and 1, and says when their law changed.

    `begin` gives a listener whose `add` is True at an alarm, after which it listens afresh.
    """

    def begin(self) -> Listener: ...


class Listener(Protocol):
    """What a Stream has heard so far."""

    def add(self, value: float) -> bool: ...


class Rule(Protocol):
    """Looks at the minutes up to `now` (Unix seconds) and says whether somebody should be told."""

    def __call__(self, series: Series, now: float) -> Verdict: ...


class Estimator(Protocol):
    """Estimates the accuracy of `current` without its labels, from a reference whose labels are known."""

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement: ...


class Explainer(Protocol):
    """Attributes one answer to its inputs: a number for each input, which add up to answer minus baseline.

    `predict` maps columns (n rows) to n answers; `background` are the rows that stand for a missing input.
    """

    def __call__(
        self, predict: Predict, row: Mapping[str, Any], background: Window
    ) -> tuple[float, Mapping[str, float]]: ...


class Predict(Protocol):
    """The model as a plain function of columns; it blocks."""

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float64]: ...


class Sink(Protocol):
    """Tells an alert to somebody. Raises OSError when nobody answers, or answers with an error."""

    def __call__(self, alert: Alert) -> None: ...


detector: Catalog[Detector] = Catalog("detector", "roadworthy.observe.detectors")
stream: Catalog[Stream] = Catalog("stream", "roadworthy.observe.streams")
rule: Catalog[Rule] = Catalog("rule", "roadworthy.observe.rules")
estimator: Catalog[Estimator] = Catalog("estimator", "roadworthy.observe.estimators")
sink: Catalog[Sink] = Catalog("sink", "roadworthy.observe.sinks")
