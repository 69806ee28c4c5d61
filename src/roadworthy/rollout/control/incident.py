"""An Incident: that a release was taken back, why, whom it had answered, and the rows to look at first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, ids_of, requests
from roadworthy.rollout.control.followed import ANSWERING_ARMS
from roadworthy.rollout.control.signal_names import stage_name
from roadworthy.rollout.rollout_state import RolloutState

# A tag with more values than this names single callers, and is no slice of the traffic.
MOST_VALUES = 50
MOST_SLICES = 12
MOST_ROWS_OF_A_KIND = 4


class Exposure(Struct, frozen=True):
    """Requests of users that the candidate answered, or failed to; on a slice (`origin=LGA`), or all ("")."""

    where: str
    requests: int
    failed: int


class Suspect(Struct, frozen=True):
    """A row that is worth a look, and why."""

    id: str
    at: float
    why: str


class Moment(Struct, frozen=True):
    """A step on the way, at `at` (Unix seconds)."""

    at: float
    what: str
    by: str = ""
    because: str = ""


class Incident(Struct, frozen=True, omit_defaults=True):
    """A release that was taken back, or a rollout that can no longer be judged (`kind`).

    `rollout` is empty where somebody took back what was stable by hand; then `control` is what is stable again.
    """

    id: str
    deployment: str
    kind: Literal["rolled_back", "not_judged", "reverted"]
    candidate: str
    control: str
    at: float
    because: str
    by: str = ""
    rollout: str = ""
    stage: str = ""
    verdicts: tuple[Verdict, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    timeline: tuple[Moment, ...] = ()
    rows: tuple[Suspect, ...] = ()

    @property
    def exposed(self) -> Exposure:
        """All requests of users that the candidate answered."""
        return self.exposures[0] if self.exposures else Exposure("", 0, 0)


def incident_of(
    now: RolloutState, kind: Literal["rolled_back", "not_judged"], at: float, by: str, candidate: Window | None
) -> Incident:
    """The incident of a rollout that ends so; `candidate` are the rows of the candidate, where they can be read."""
    return Incident(
        f"{now.id}-{now.revision}",
        now.deployment,
        kind,
        now.candidate,
        now.control,
        at,
        now.problem if kind == "not_judged" else now.because,
        by,
        now.id,
        stage_name(now.step),
        now.verdicts,
        () if candidate is None else tuple(exposures_of(candidate)),
        (),
        () if candidate is None else tuple(suspects_of(candidate)),
    )


def exposures_of(candidate: Window) -> Iterator[Exposure]:
    """How many requests of users the candidate answered, and how many of them failed: all, then by tag."""
    if candidate.arms is None:
        return
    answering = np.isin(candidate.arms.astype(str), ANSWERING_ARMS)
    rows = requests(candidate.take(answering))
    wrong = failed(rows)
    yield Exposure("", rows.n, int(wrong.sum()))
    for tag, values in rows.tags.items():
        yield from _by_value(tag, values, wrong)


def suspects_of(candidate: Window) -> Iterator[Suspect]:
    """Rows of the candidate to look at first: failures, answers far from their label, the slowest ones."""
    ids = ids_of(candidate)
    if not ids:
        return
    wrong = failed(candidate)
    for row in np.flatnonzero(wrong)[:MOST_ROWS_OF_A_KIND].tolist():
        yield Suspect(ids[row], float(candidate.at[row]), f"failed: {candidate.errors[row]}")  # type: ignore[index]
    for name, answers in candidate.outputs.items():
        if answers.dtype.kind == "f" and answers.ndim == 1:
            for row in _largest(np.abs(answers - candidate.labels)):
                said = f"{name} {answers[row]:.4g}, and the label is {candidate.labels[row]:.4g}"
                yield Suspect(ids[row], float(candidate.at[row]), said)
    seconds = candidate.seconds.get("total")
    for row in _largest(seconds) if seconds is not None else ():
        yield Suspect(ids[row], float(candidate.at[row]), f"took {1000 * seconds[row]:.1f} ms")  # type: ignore[index]


def moment_of(at: float, data: dict[str, Any]) -> Moment:
    """The moment that an event of a rollout tells of."""
    told = data["rollout"]
    return Moment(at, str(data["change"]), str(data.get("by", "")), str(told.get("because", "")))


def read_incident(data: Any) -> Incident:
    """The incident in an event."""
    return msgspec.convert(data, Incident)


def _by_value(tag: str, values: NDArray[np.object_], wrong: NDArray[np.bool_]) -> Iterator[Exposure]:
    known, place = np.unique(values.astype(str), return_inverse=True)
    if len(known) > MOST_VALUES:
        return
    counts, failures = np.bincount(place), np.bincount(place, weights=wrong)
    for k in np.argsort(-counts, kind="stable")[:MOST_SLICES].tolist():
        if known[k]:
            yield Exposure(f"{tag}={known[k]}", int(counts[k]), int(failures[k]))


def _largest(values: NDArray[np.float64]) -> Sequence[int]:
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")[:MOST_ROWS_OF_A_KIND]]
    found: list[int] = order.tolist()
    return found
