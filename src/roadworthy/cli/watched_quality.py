"""Brings together what a quality report is made of: records, the reference of their release, labels and audits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from roadworthy.cli.abstaining import abstained_of
from roadworthy.cli.opening import registry_of
from roadworthy.cli.spans import Stretch
from roadworthy.core.errors import Missing
from roadworthy.core.profile import Reference
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.observe.base import estimator
from roadworthy.observe.profiles import reference_of
from roadworthy.observe.quality.draws import Draw, chances
from roadworthy.observe.quality.quality import Evidence, Quality, Terms, quality
from roadworthy.observe.watch import ANSWERING
from roadworthy.serve.selective.abstained import Abstained

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.store.state import State

ESTIMATORS = ("cbpe", "doc", "atc", "static")
METRICS = ("auc", "accuracy", "log_loss", "ece", "brier", "rate")


class FullQuality(Quality, frozen=True):
    """Quality, and what abstaining came to; None where no row was flagged and none says how sure the model was."""

    abstained: Abstained | None = None


def quality_of(spec: Spec, state: State, stretch: Stretch, release: str | None = None) -> Quality:
    """The quality of a stretch of answers, of one release or of all that answered."""
    return _quality_of(spec, state, stretch, release, _asked(state, stretch, release))


def full_quality_of(
    spec: Spec, state: State, stretch: Stretch, release: str | None = None, tolerance: float | None = None
) -> FullQuality:
    """The same with what abstaining came to. A number is right where it misses by no more than `tolerance`."""
    records = _asked(state, stretch, release)
    found = _quality_of(spec, state, stretch, release, records)
    return FullQuality(**asdict(found), abstained=abstained_of(spec, state, records, found, tolerance))


def _asked(state: State, stretch: Stretch, release: str | None) -> list[Record]:
    """Every row that somebody asked about, failed ones too."""
    return state.records.read(stretch.since, stretch.until, release, ANSWERING)


def _quality_of(spec: Spec, state: State, stretch: Stretch, release: str | None, asked: Sequence[Record]) -> Quality:
    records = [record for record in asked if record.error is None]
    evidence = Evidence(
        chances(state, stretch.since, stretch.until),
        draw_of(spec),
        state.records.labels_aside(),
        [record.prediction_set for record in records],
    )
    reference = reference_for(spec, state, release)
    return quality(Window.of(records), reference, stretch.now, terms_of(spec), evidence)


def terms_of(spec: Spec) -> Terms:
    """What the project requires of quality, and how its answer is called."""
    asked = spec.application
    return Terms(
        output=asked.output,
        classes=asked.classes,
        requirements=tuple(required for required in asked.requirements if required.metric in METRICS),
        estimators={name: estimator.make(name) for name in ESTIMATORS},
    )


def draw_of(spec: Spec) -> Draw:
    """Which predictions a person shall label: the same ones in every process and after every restart."""
    return Draw(spec.monitor.audit_share, spec.application.name)


def reference_for(spec: Spec, state: State, release: str | None) -> Reference:
    """Labelled rows with answers that the model was not trained on: of the release, else of any that keeps some.

    A retrained release keeps none; what is known of the lab's model is the next best. Without any it is empty.
    """
    registry = registry_of(spec, state)
    stable = release or registry.alias(spec.application.name, "stable")
    releases = [stable, *(one.digest for one in reversed(registry.list()))]
    for digest in releases:
        try:
            kept = reference_of(state, digest) if digest else None
        except Missing:
            continue
        if kept is not None and kept.outputs:
            return kept
    return Reference.of([])
