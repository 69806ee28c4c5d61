"""Label delay: how long outcomes take to become known, which rows are still too young, and whether labels stopped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import proportion, z_of
from roadworthy.core.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# A row is old enough once this part of the labels that ever come would be there.
DUE = 0.95
LEAST_LABELS = 30
# Ages at which the share of known labels is shown.
AGES = 12


class Delay(Struct, frozen=True):
    """When labels become known: `by_age` is the share of rows labelled by an age in seconds (`conditions["age"]`).

    `due_seconds` is the age by which nearly all labels that ever come are there (NaN where that cannot be told), and
    `median_seconds` half of them. `ripe` says whether the curve is flat by then, so that more waiting brings little.
    `reordered` counts labels that were known before the prediction was made, a clock that jumped: they count as 0.
    """

    due_seconds: float = math.nan
    median_seconds: float = math.nan
    ripe: bool = True
    by_age: tuple[Measurement, ...] = ()
    reordered: int = 0


class Arrival(Struct, frozen=True):
    """How far the labels of a window have come: counts of its rows, the delay, and the verdict on the stream.

    `mature` rows are old enough for their label to be known; of those `labelled` is the share that is. `young` rows
    count neither as labelled nor as missing, whether their label came early or not.
    """

    rows: int
    young: int
    mature: int
    labelled: Measurement
    delay: Delay
    stream: Verdict


@dataclass(frozen=True)
class Curve:
    """The share of rows labelled by each age (k,), with the rows that were still waited for just before."""

    age: Floats
    share: Floats
    waiting: Floats
    variance: Floats

    @classmethod
    def fit(cls, age: Floats, seen: NDArray[np.bool_]) -> Curve:
        """Kaplan & Meier (1958), with Greenwood's variance: a row without a label (not `seen`) is known to be late."""
        order = np.argsort(age, kind="stable")
        times, first = np.unique(age[order], return_index=True)
        events = np.add.reduceat(seen[order].astype(np.float64), first) if len(times) else np.empty(0)
        waiting = len(age) - first.astype(np.float64)
        left = np.asarray(np.cumprod(1 - events / waiting), np.float64)
        greenwood = np.cumsum(events / np.maximum(waiting * (waiting - events), 1e-300) * (waiting > events))
        return cls(times, 1 - left, waiting, np.asarray(left**2 * greenwood, np.float64))

    def at(self, age: Floats) -> Floats:
        """The share labelled by each age."""
        return np.concatenate([[0.0], self.share])[np.searchsorted(self.age, age, side="right")]


def as_known(window: Window, now: float) -> Window:
    """The rows that were there at `now`, with the labels that were known then; others are NaN."""
    current = window.take(window.at <= now)
    if current.known_at is None:
        return current
    late = current.known_at > now
    labels, known_at = np.where(late, np.nan, current.labels), np.where(late, np.nan, current.known_at)
    return Window(
        current.inputs, current.outputs, labels, current.at, current.tags, current.ids, current.confidence, known_at
    )


def arrival(window: Window, now: float, reference: Window | None = None) -> tuple[Arrival, NDArray[np.bool_]]:
    """How far the labels of a window have come at `now`, and which rows (n,) are mature.

    The delays of the reference tell when a label is due where there are enough of them, else those of the window do.
    Without times of labels every row is mature.
    """
    window = as_known(window, now)
    seen = ~np.isnan(window.labels)
    if window.known_at is None or not bool((seen & ~np.isnan(window.known_at)).any()):
        return _untimed(window, seen, reference, now)
    timed = ~seen | ~np.isnan(window.known_at)
    waited = np.where(seen, window.known_at, now) - window.at
    curve = Curve.fit(np.maximum(waited, 0.0)[timed], seen[timed])
    old = _reference_delays(reference)
    delay = _delay(curve, int((waited < 0).sum())) if old is None else _with_due(curve, old, waited)
    mature = now - window.at >= delay.due_seconds if delay.ripe else np.zeros(window.n, bool)
    stream = _stream(window, now, seen & ~np.isnan(window.known_at))
    return _arrival(window, mature, seen, delay, stream), mature


def _arrival(
    window: Window, mature: NDArray[np.bool_], seen: NDArray[np.bool_], delay: Delay, stream: Verdict
) -> Arrival:
    count = int(mature.sum())
    labelled = proportion("labelled", int((seen & mature).sum()), count)
    if not delay.ripe:
        told = "labels still come in at the age of the oldest rows: when they are due is not known; look further back"
        stream = stream if stream.decision == "fail" else Verdict("wait", told, "labels")
    return Arrival(window.n, window.n - count, count, labelled, delay, stream)


def _untimed(
    window: Window, seen: NDArray[np.bool_], reference: Window | None, now: float
) -> tuple[Arrival, NDArray[np.bool_]]:
    old = _reference_delays(reference)
    due = _due_of(old) if old is not None and not seen.any() else 0.0
    mature = now - window.at >= due
    told = "no label is known yet" if not seen.any() else "nobody says when the labels became known"
    delay = Delay(due if old is not None else math.nan)
    return _arrival(window, mature, seen, delay, Verdict("wait", told, "labels")), mature


def _reference_delays(reference: Window | None) -> Floats | None:
    """How long the labels of the reference took, where enough say so."""
    if reference is None or reference.known_at is None:
        return None
    took = (reference.known_at - reference.at)[~np.isnan(reference.labels)]
    took = np.maximum(took[~np.isnan(took)], 0.0)
    return took if len(took) >= LEAST_LABELS else None


def _due_of(took: Floats) -> float:
    return float(np.quantile(took, DUE))


def _with_due(curve: Curve, old: Floats, waited: Floats) -> Delay:
    found = _delay(curve, int((waited < 0).sum()))
    return Delay(_due_of(old), float(np.median(old)), True, found.by_age, found.reordered)


def _delay(curve: Curve, reordered: int) -> Delay:
    """What a curve says; with few rows at the oldest ages its end is noise, so it ends where enough are waited for."""
    enough = np.flatnonzero(curve.waiting >= min(LEAST_LABELS, max(1.0, 0.02 * curve.waiting[0])))
    last = int(enough[-1])
    age, share = curve.age[: last + 1], curve.share[: last + 1]
    if share[-1] <= 0:
        return Delay(reordered=reordered, ripe=False)
    due = float(age[np.searchsorted(share, DUE * share[-1])])
    # All are there, or the curve is flat: its last quarter brought no more labels than are allowed to be late.
    ripe = bool(share[-1] >= DUE or curve.at(np.array([0.75 * age[-1]]))[0] >= DUE * share[-1])
    median = float(age[np.searchsorted(share, 0.5 * share[-1])])
    return Delay(due, median, ripe, _by_age(curve, age[-1]), reordered)


def _by_age(curve: Curve, oldest: float) -> tuple[Measurement, ...]:
    ages = np.linspace(0, oldest, AGES + 1)[1:]
    found = []
    for age, share in zip(ages.tolist(), curve.at(ages).tolist(), strict=True):
        k = int(np.searchsorted(curve.age, age, side="right")) - 1
        half = z_of(0.95) * math.sqrt(max(0.0, float(curve.variance[k]))) if k >= 0 else 1.0
        n = int(curve.waiting[max(k, 0)])
        low, high = max(0.0, share - half), min(1.0, share + half)
        found.append(Measurement("labelled", share, n, low, high, conditions={"age": age}))
    return tuple(found)


def _stream(window: Window, now: float, seen: NDArray[np.bool_], alpha: float = 1e-4) -> Verdict:
    """Did labels stop? Under the delays seen until the last label, so long a silence would be this rare.

    The silence must also be twice the longest one before: labels that come in one file a day are silent for a day.
    """
    assert window.known_at is not None
    known_at = window.known_at[seen]
    if len(known_at) < LEAST_LABELS:
        return Verdict("wait", f"{len(known_at)} labels: too few to tell how they arrive", "labels")
    last = float(known_at.max())
    gaps = np.diff(np.unique(known_at))
    longest = float(gaps.max()) if len(gaps) else 0.0
    expected = _expected_since(window, seen, last, now)
    overdue = Measurement("expected_since_last", expected, len(known_at), unit="labels")
    quiet = f"the last label came {_span(now - last)} ago, {expected:.1f} were to be expected since"
    if expected > -math.log(alpha) and now - last > 2 * longest:
        told = f"labels stopped: {quiet}, and no silence before was longer than {_span(longest)}"
        return Verdict("fail", told, "labels", (overdue,))
    return Verdict("pass", f"labels arrive: {quiet}", "labels", (overdue,))


def _expected_since(window: Window, seen: NDArray[np.bool_], last: float, now: float) -> float:
    """How many labels rows that were unlabelled at the last label should have got since, by the delays before it."""
    assert window.known_at is not None
    there = window.at <= last
    waited = np.where(seen, np.minimum(window.known_at, last), last) - window.at
    curve = Curve.fit(np.maximum(waited, 0.0)[there], seen[there])
    open_rows = ~seen
    before, after = np.maximum(last - window.at[open_rows], 0.0), now - window.at[open_rows]
    left = 1 - curve.at(before)
    chance = np.where(left > 1e-9, (curve.at(after) - curve.at(before)) / np.maximum(left, 1e-9), 0.0)
    return float(chance.sum())


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
