"""CBPE estimates quality from confidence: how often would these answers be right if confidence meant what it did?"""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.quality.label_free import Calibrated, Metric, both


@estimator("cbpe")
@dataclass(frozen=True)
class Cbpe:
    """How right the answers are if calibrated confidence still means what it meant.

    Confidence-based performance estimation (NannyML), with isotonic calibration on the labelled rows of the reference,
    which must be rows that the model was not trained on. It is right where inputs changed and outcomes given them did
    not. The interval is of what these very rows turn out to be, under that assumption. `metric` may also be `auc`,
    `log_loss` or `rate` (of label 1); a prediction of label 1 begins at `cut`.
    """

    metric: Metric = "accuracy"
    cut: float = 0.5
    least_rows: int = 100
    confidence: float = 0.95

    def __call__(self, reference: Window, current: Window, output: str) -> Measurement:
        rows = both(reference, current, output, self.cut, self.least_rows)
        if rows is None:
            return nothing(self.metric, "nats" if self.metric == "log_loss" else "1")
        return Calibrated.of(rows).estimate(self.metric, self.confidence)
