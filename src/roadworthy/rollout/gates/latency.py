"""The latency gate: a candidate must not answer late more often than stable does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.rollout.arms import merged, requests, shadowed
from roadworthy.rollout.base import gate
from roadworthy.rollout.rates import Hits, NoMoreOften
from roadworthy.rollout.sequential import block_ends

# The quantile comes from the newest control rows only, so that it follows the load of the day.
_REMEMBERED = 2000
_ENOUGH = 20


@gate("latency")
@dataclass(frozen=True)
class Latency:
    """Fails once more of the candidate's answers are late than of stable's.

    A stable request is late beyond the `quantile` of the stable requests before it; the candidate is late beyond
    `slower` times that, or `slack_seconds` more where that is longer (nobody feels it). `sla_seconds` puts one fixed
    limit on both. As the lateness of both is counted, a load that slows both arms blames neither. It passes when at
    most `margin` more of the candidate's requests are late, with `confidence`.

    Only answered rows count, by `seconds["total"]`. A shadow waits behind the live requests, so there `model` counts.
    Requests that shared a batch are slow together, and count once: one pause of the machine is no evidence of many.
    """

    slower: float = 1.2
    quantile: float = 0.95
    slack_seconds: float = 0.005
    sla_seconds: float | None = None
    alpha: float = 0.01
    margin: float = 0.05
    confidence: float = 0.95
    least: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"`quantile` must be between 0 and 1, got {self.quantile!r}")
        if self.slower < 1:
            raise ValueError(f"`slower` is a factor of at least 1, got {self.slower!r}")

    def __call__(self, control: Sequence[Record], candidate: Sequence[Record]) -> Verdict:
        mirrored = shadowed(candidate)
        stages = ("model", "total") if mirrored else ("total", "model")
        control, before = _timed(requests(control), stages)
        candidate, after = _timed(requests(candidate), stages)
        if mirrored:
            hits = self._of_pairs(control, before, candidate, after)
        else:
            control, before = _one_a_batch(control, before)
            candidate, after = _one_a_batch(candidate, after)
            order, on_candidate = merged(control, candidate)
            hits = self._of_split(np.concatenate([before, after])[order], on_candidate)
        return self._rule(hits)

    @property
    def _rule(self) -> NoMoreOften:
        late = f"were later than {1000 * self.sla_seconds:g} ms" if self.sla_seconds else "were late"
        return NoMoreOften("late_rate", late, self.alpha, self.margin, self.confidence, self.least)

    def _of_pairs(
        self, control: list[Record], before: NDArray[np.float64], candidate: list[Record], after: NDArray[np.float64]
    ) -> Hits:
        both = np.array(_pairs_of_batches(control, candidate), np.int64).reshape(-1, 2)
        before, after = before[both[:, 0]], after[both[:, 1]]
        limit = self._limits(before, np.zeros(len(before), np.bool_))
        known = np.isfinite(limit)
        return Hits.of_pairs((before > limit)[known], (after > self._allowed(limit))[known])

    def _of_split(self, seconds: NDArray[np.float64], on_candidate: NDArray[np.bool_]) -> Hits:
        limit = self._limits(seconds, on_candidate)
        late = seconds > np.where(on_candidate, self._allowed(limit), limit)
        return Hits.of_split(on_candidate, late, counted=np.isfinite(limit))

    def _allowed(self, limit: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.sla_seconds is not None:
            return limit
        return np.maximum(self.slower * limit, limit + self.slack_seconds)

    def _limits(self, seconds: NDArray[np.float64], on_candidate: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What is late for a stable row: the quantile of the stable rows before its block, infinite at first.

        It is known before the block begins, and so cannot lean on what happens in it.
        """
        if self.sla_seconds is not None:
            return np.full(len(seconds), self.sla_seconds)
        ends = block_ends(len(seconds))
        control = seconds[~on_candidate]
        seen = np.concatenate([[0], np.cumsum(~on_candidate)[ends - 1]]).astype(np.int64)
        limits = np.array([self._quantile(control[max(0, s - _REMEMBERED) : s]) for s in seen])
        return limits[np.searchsorted(ends, np.arange(len(seconds)), side="right")]

    def _quantile(self, seconds: NDArray[np.float64]) -> float:
        if len(seconds) < _ENOUGH:
            return np.inf
        rank = int(self.quantile * len(seconds))
        return float(np.partition(seconds, rank)[rank])


def _timed(records: Sequence[Record], stages: Sequence[str]) -> tuple[list[Record], NDArray[np.float64]]:
    answered = [r for r in records if r.error is None]
    seconds = [next((r.seconds[s] for s in stages if s in r.seconds), np.nan) for r in answered]
    found = np.array(seconds, np.float64)
    return [r for r, known in zip(answered, ~np.isnan(found), strict=True) if known], found[~np.isnan(found)]


def _batch(record: Record) -> float | str:
    """What the requests of one batch have in common: the model's own time, to the last bit."""
    return record.seconds.get("model", record.id)


def _one_a_batch(records: Sequence[Record], seconds: NDArray[np.float64]) -> tuple[list[Record], NDArray[np.float64]]:
    first: dict[float | str, int] = {}
    for k, record in enumerate(records):
        first.setdefault(_batch(record), k)
    rows = list(first.values())
    return [records[k] for k in rows], seconds[rows]


def _pairs_of_batches(control: Sequence[Record], candidate: Sequence[Record]) -> list[tuple[int, int]]:
    """The rows of both arms for each request, no batch of either arm being in two of them."""
    row, seen, found = {r.id: k for k, r in enumerate(control)}, set[tuple[str, float | str]](), []
    for k, record in enumerate(candidate):
        other = row.get(record.id)
        if other is None:
            continue
        batches = {("candidate", _batch(record)), ("control", _batch(control[other]))}
        if not batches & seen:
            seen |= batches
            found.append((other, k))
    return found
