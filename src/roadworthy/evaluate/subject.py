"""Subject is what is being measured: a Handler with its application, the metrics of its task and how much to ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Field, Signature
from roadworthy.core.wire import Handler
from roadworthy.evaluate.answers import Answers, ask
from roadworthy.evaluate.base import Metric
from roadworthy.evaluate.reports.report import Failure
from roadworthy.evaluate.scoring import known

# The five levels of severity in a report, on the scale of a Corruption.
LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Effort:
    """How much is asked of the handler, and the seed of all that is drawn; 0 leaves a part out.

    `corrupted_rows` of the production sample are asked about per corruption and severity, and `edges` says whether
    hostile inputs are. The load runs for `load_seconds` at `rate` requests a second (0: what the application requires,
    or half of the capacity found). The largest rate is searched with probes of `search_seconds`, `search_repeats`
    times, and `crowd_rows` rows are asked about at each concurrency. Cold starts are made `starts` times: six are the
    fewest that have an interval of 95 %.
    """

    batch_rows: int = 256
    corrupted_rows: int = 5_000
    severities: tuple[float, ...] = LEVELS
    slice_rows: int = 200
    edges: bool = True
    rate: float = 0.0
    load_seconds: float = 5.0
    search_seconds: float = 1.0
    search_repeats: int = 3
    crowd_rows: int = 400
    crowds: tuple[int, ...] = (10, 50)
    starts: int = 6
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """A generator for one step: what a step draws does not depend on which steps went before it."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Subject:
    """Every step of a gap measurement asks and scores through this."""

    handler: Handler
    application: Application
    metrics: tuple[Metric, ...]
    effort: Effort
    tell: Callable[[str], None]

    @property
    def signature(self) -> Signature:
        """The application's inputs, and its one output."""
        return Signature(self.application.inputs, {self.application.output: output_of(self.application)})

    def names(self) -> list[str]:
        """What its metrics are called."""
        labels, answers = labels_of(Sample({}), self.application), _no_answers(output_of(self.application))
        return [metric(labels, answers).name for metric in self.metrics]

    def metric(self, name: str) -> Metric:
        """The metric of this name. Raises SpecError with the names that there are."""
        if name not in self.names():
            raise SpecError(unknown("metric", name, self.names()))
        return self.metrics[self.names().index(name)]

    async def ask(self, sample: Sample, prefix: str) -> Answers:
        """The answer to every row."""
        # What writes its answer is asked one row at a time: a stream is the answer to one.
        rows = 1 if self.application.task == "generation" else self.effort.batch_rows
        return await ask(self.handler, sample, self.signature, rows, prefix=prefix)

    def labels(self, sample: Sample) -> NDArray[Any]:
        """What each row should have been answered with (n,)."""
        return labels_of(sample, self.application)

    def measure(
        self, sample: Sample, found: Answers, rows: NDArray[Any] | None = None, where: str = ""
    ) -> tuple[Measurement, ...]:
        """Every metric on the answers, or on some rows of them."""
        labels, values = self.labels(sample), found.values
        labels, values = (labels, values) if rows is None else (labels[rows], values[rows])
        return tuple(metric(labels, values, where) for metric in self.metrics)

    def data(self, sample: Sample) -> dict[str, Any]:
        """Which rows they were, as a report says it."""
        labelled = int(known(self.labels(sample)).sum())
        return {"source": sample.source, "digest": sample.digest, "rows": sample.n, "labelled": labelled}


def output_of(application: Application) -> Field:
    """What the model answers a row with: text, a probability for each class, or one number. Raises SpecError."""
    if application.task == "generation":
        return Field("text")
    if application.task != "multiclass":
        return Field()
    if len(application.classes) < 2:
        told = f"`classes` must name at least two, in the order of the model's output; got {application.classes!r}"
        raise SpecError(f"a multiclass task has classes: {told}")
    return Field(width=len(application.classes))


def labels_of(sample: Sample, application: Application) -> NDArray[Any]:
    """What each row should have been answered with (n,): text for a generated answer, else a number; NaN or None."""
    if application.task == "generation":
        return np.full(sample.n, None, dtype=object) if sample.targets is None else sample.targets
    return np.full(sample.n, np.nan) if sample.labels is None else sample.labels


def failures(where: str, found: Answers) -> list[Failure]:
    """The rows without an answer, by reason."""
    return [Failure(where, because, rows) for because, rows in found.reasons.items()]


def better(metric: Metric) -> int:
    """1 where more of a metric is better, -1 where less is, 0 where neither."""
    return 0 if metric.best is None else 1 if metric.best > 0 else -1


def _no_answers(field: Field) -> NDArray[Any]:
    if field.datatype == "BYTES":
        return np.empty(0, dtype=object)
    return np.empty(0 if field.width == 1 else (0, field.width))
