"""What watches the records: detectors, streams, rules, estimators, explainers, and the sinks that hear of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.insides import Columns, Explained
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Reference
from roadworthy.core.window import Window

if TYPE_CHECKING:
    import numpy as np

    from roadworthy.observe.alert import Alert
    from roadworthy.observe.counts.rollups import Series
    from roadworthy.observe.explanation.attributions import Attribution


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
    """Attributes the answer to one row to its inputs; None where it does not fit the model. It changes nothing.

    Columns have shape (1, width) in `row` and (n, width) in `background`, whose rows stand for what is not known.
    """

    def __call__(
        self, model: Explained, row: Columns, background: Columns, rng: np.random.Generator
    ) -> Attribution | None: ...


class Sink(Protocol):
    """Tells an alert to somebody. Raises OSError when nobody answers, or answers with an error."""

    def __call__(self, alert: Alert) -> None: ...


detector: Catalog[Detector] = Catalog("detector", "roadworthy.observe.detectors")
stream: Catalog[Stream] = Catalog("stream", "roadworthy.observe.streams")
rule: Catalog[Rule] = Catalog("rule", "roadworthy.observe.rules")
estimator: Catalog[Estimator] = Catalog("estimator", "roadworthy.observe.estimators")
sink: Catalog[Sink] = Catalog("sink", "roadworthy.observe.sinks")
explainer: Catalog[Explainer] = Catalog("explainer", "roadworthy.observe.explainers")
