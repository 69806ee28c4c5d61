"""Says whether what happened to a prediction is isolated, or befalls others like it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.stats import binomial_survival, proportion
from roadworthy.observe.explanation.similar import Like, Place

# By chance alone this rarely: somebody looks at one prediction, so one look is all there is.
SURPRISE = 0.01
# An input beyond these shares of the reference is a rare one.
RARE = 0.005
LEAST_LIKES = 10
# So many others that failed in the same way are more than a coincidence.
LEAST_FAILURES = 3


Kind = Literal["systemic", "isolated", "cannot tell"]


class Isolation(Struct, frozen=True):
    """`systemic`: others fare the same more often than chance would have it. `because` says so with the numbers."""

    kind: Kind
    because: str
    evidence: tuple[Measurement, ...] = ()


def isolation(
    record: Record, recent: Sequence[Record], likes: Sequence[Like], reference: Sequence[Place], now: Sequence[Place]
) -> Isolation:
    """Is this prediction's failure, wrong answer or odd input a case of its own?

    `recent` are the answered and the failed rows before it, `likes` the nearest labelled ones; `reference` and `now`
    are the places of its inputs in the rows that its release was made on, and in recent traffic.
    """
    if record.error is not None:
        return _of_failure(record, recent)
    if record.label in (0.0, 1.0):
        return _of_answer(record, recent, likes)
    return _of_inputs(reference, now)


def _of_failure(record: Record, recent: Sequence[Record]) -> Isolation:
    kind = _class_of(record.error or "")
    same = sum(_class_of(other.error or "") == kind for other in recent if other.error is not None)
    share = proportion("failed_alike", same, len(recent), kind)
    told = f"{same} of {len(recent)} recent requests failed with {kind}"
    if not recent:
        return Isolation("cannot tell", "there are no recent requests to compare it with")
    return Isolation("systemic" if same >= LEAST_FAILURES else "isolated", told, (share,))


def _of_answer(record: Record, recent: Sequence[Record], likes: Sequence[Like]) -> Isolation:
    labelled = [r for r in recent if r.label in (0.0, 1.0) and r.error is None and _answer(r) is not None]
    near = [like.record for like in likes if like.record.label in (0.0, 1.0) and _answer(like.record) is not None]
    if _answer(record) is None or len(near) < LEAST_LIKES or not labelled:
        return Isolation("cannot tell", f"{len(near)} similar predictions have an outcome; {LEAST_LIKES} are needed")
    everybody = proportion("wrong", sum(map(_wrong, labelled)), len(labelled))
    alike = proportion("wrong", sum(map(_wrong, near)), len(near), "similar predictions")
    told = f"{alike.value:.1%} of {alike.n} similar ones were wrong, {everybody.value:.1%} of {everybody.n} recent ones"
    if not _wrong(record):
        return Isolation("isolated", f"the answer came true; {told}", (alike, everybody))
    worse = binomial_survival(round(alike.value * alike.n), alike.n, min(max(everybody.value, 1e-9), 1 - 1e-9))
    return Isolation(
        "systemic" if worse < SURPRISE else "isolated", f"the answer was wrong; {told}", (alike, everybody)
    )


def _of_inputs(reference: Sequence[Place], now: Sequence[Place]) -> Isolation:
    """Inputs that were rare when the release was made: are they rare today?"""
    today = {place.input: place for place in now}
    odd = [place for place in reference if _is_rare(place)]
    if not reference:
        return Isolation("cannot tell", "no profile of the release is kept to compare its inputs with")
    if not odd:
        return Isolation("isolated", "no input lies outside of what the release was made on")
    common = [place for place in odd if place.input in today and not _is_rare(today[place.input])]
    names = ", ".join(place.input for place in odd)
    if common:
        also = ", ".join(place.input for place in common)
        told = f"{names} rare in the reference; today that is nothing rare for {also}: traffic has moved"
        return Isolation("systemic", told, tuple(place.place for place in odd))
    return Isolation("isolated", f"{names} rare in the reference, and today too", tuple(place.place for place in odd))


def _is_rare(place: Place) -> bool:
    share = place.place.value
    if not place.place.n:
        return False
    return share < RARE or (place.kind == "percentile" and share > 1 - RARE)


def _class_of(error: str) -> str:
    return error.partition(":")[0]


def _answer(record: Record) -> float | None:
    """The one probability that was answered."""
    found = [value for value in record.outputs.values() if isinstance(value, float)]
    return found[0] if len(found) == 1 and 0 <= found[0] <= 1 else None


def _wrong(record: Record) -> bool:
    answer = _answer(record)
    return answer is not None and (answer >= 0.5) != (record.label == 1.0)
