"""Brings together what is known of abstaining: records, every label with who said it, and what the release promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as with_columns
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from roadworthy.cli.opening import registry_of
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadRequest, Missing
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.observe.quality.quality import Quality
from roadworthy.serve.base import wrapper
from roadworthy.serve.selective.abstained import Abstained, Promise, abstained
from roadworthy.serve.selective.figures import Reading, flags
from roadworthy.serve.wrappers.abstain import Abstain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roadworthy.core.spec import Spec
    from roadworthy.store.state import State


def abstained_of(
    spec: Spec, state: State, records: Sequence[Record], found: Quality, tolerance: float | None = None
) -> Abstained | None:
    """What abstaining came to in records of which the quality was `found`; None where there is nothing to say.

    That is where no row was flagged, no release in them abstains, and none says how sure it was. The labels that count
    are those that count there; what a person said counts as soon as it is known. Raises BadRequest for a tolerance
    where answers are no numbers.
    """
    records = [record for record in records if record.at <= found.now]
    window = _window(records, found)
    digest, leaf = _abstaining(spec, state, records)
    sure = window.confidence is not None and bool(np.isfinite(window.confidence).any())
    if not window.outputs or not (sure or leaf is not None or flags(window).any()):
        return None
    reading = _reading(spec, window, leaf, tolerance)
    labels = state.records.every_label(ids=[record.id for record in records])
    under = np.array([record.release == digest for record in records], bool)
    promise = None if leaf is None else Promise(leaf.risk, under)
    return abstained(window, reading, [label for label in labels if label.at <= found.now], promise)


def _window(records: Sequence[Record], found: Quality) -> Window:
    """The rows with the columns that abstaining is about, labelled where they are old enough to count."""
    window = Window.of_all([replace(record, inputs={}, tags={}, seconds={}) for record in records])
    counts = _mature(window, found)
    if window.known_at is not None:
        counts &= ~(window.known_at > found.now)
    return with_columns(window, labels=np.where(counts, window.labels, np.nan))


def _mature(window: Window, found: Quality) -> NDArray[np.bool_]:
    """Which rows (n,) the report takes for old enough: none while nobody knows when labels are due."""
    delay = found.arrival.delay
    if not delay.ripe:
        return np.zeros(window.n, bool)
    due = delay.due_seconds
    return np.ones(window.n, bool) if np.isnan(due) else found.now - window.at >= due


def _abstaining(spec: Spec, state: State, records: Sequence[Record]) -> tuple[str, Abstain | None]:
    """The release with the most of these records that abstains, and how it does; "" and None where none does."""
    registry = registry_of(spec, state)
    for digest, _ in Counter(record.release for record in records).most_common():
        try:
            plans = registry.get(digest).wrappers
        except Missing:  # a release that was never kept here, as that of records which were shipped
            continue
        for plan in plans:
            leaf = wrapper.make(plan, spec.root) if read_plan(plan)[0] == "abstain" else None
            if isinstance(leaf, Abstain):
                return digest, leaf
    return "", None


def _reading(spec: Spec, window: Window, leaf: Abstain | None, tolerance: float | None) -> Reading:
    """How the project's answers are read, and what the release is unsure by: its confidence where it names nothing."""
    asked, number = spec.application, spec.application.task == "regression"
    if tolerance is not None and not number:
        raise BadRequest(f"`--tolerance` is for answers that are numbers; those of a {asked.task!r} task are classes")
    reading = Reading(asked.output, number=number, tolerance=tolerance)
    if leaf is None or leaf.on not in window.outputs:
        return reading
    return with_columns(reading, doubt=leaf.on, unsure=leaf.unsure)
