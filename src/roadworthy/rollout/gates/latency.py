"""The latency gate: a candidate must not answer late more often than stable does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, merged, pairs, requests, shadowed, without_inputs
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.power import need_of_requests
from roadworthy.rollout.statistics.rates import Hits, NoMoreOften
from roadworthy.rollout.statistics.sequential import block_ends

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

    Only answered rows count, by `seconds["total"]`. A shadow waits behind the live requests, so there `model` counts;
    it works in a process of its own in batches of other sizes, and is asked only where its signal names the mode.
    Requests that shared a batch are slow together, and count once: one pause of the machine is no evidence of many.
    """

    modes: ClassVar[tuple[str, ...]] = ("canary", "ab", "holdback")

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

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        mirrored = shadowed(candidate)
        stages = ("model", "total") if mirrored else ("total", "model")
        control, before = _timed(requests(without_inputs(control)), stages)
        candidate, after = _timed(requests(without_inputs(candidate)), stages)
        if mirrored:
            hits = self._of_pairs(control, before, candidate, after)
        else:
            control, before = _one_a_batch(control, before)
            candidate, after = _one_a_batch(candidate, after)
            order, on_candidate = merged(control, candidate)
            hits = self._of_split(np.concatenate([before, after])[order], on_candidate)
        return self._rule(hits)

    def plan(self, expected: Expected) -> Need:
        """Requests until a candidate as fast as stable passes; the change is how many times slower it may be."""
        stages = ("model", "total") if expected.paired else ("total", "model")
        asked = requests(without_inputs(expected.stable))
        rows, seconds = _one_a_batch(*_timed(asked, stages))
        limit = self._limits(seconds, np.zeros(rows.n, np.bool_))
        known = np.isfinite(limit)
        if not known.any():
            return Need(math.inf, hours=math.inf, because="too few recent answers of stable have a time")
        seconds, limit, allowed = seconds[known], limit[known], self._allowed(limit)[known]
        rates = float((seconds > limit).mean()), float((seconds > allowed).mean())
        need = need_of_requests(expected, self._rule, rates, rows.n / asked.n)
        if need.effect is None or not np.isfinite(need.effect.value):
            return need
        # So many times slower, the share of late answers is the one that is noticed.
        slower = float(np.quantile(allowed / np.maximum(seconds, 1e-9), min(1.0, rates[0] + need.effect.value)))
        effect = replace(need.effect, name="times_slower", value=slower)
        return replace(need, effect=effect)

    @property
    def _rule(self) -> NoMoreOften:
        late = f"were later than {1000 * self.sla_seconds:g} ms" if self.sla_seconds else "were late"
        return NoMoreOften("late_rate", late, self.alpha, self.margin, self.confidence, self.least)

    def _of_pairs(
        self, control: Window, before: NDArray[np.float64], candidate: Window, after: NDArray[np.float64]
    ) -> Hits:
        stable, mirrored = _pairs_of_batches(control, candidate)
        before, after = before[stable], after[mirrored]
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


def _timed(rows: Window, stages: Sequence[str]) -> tuple[Window, NDArray[np.float64]]:
    """The answered rows whose time is known, and that time: of the first stage that a row has."""
    seconds = np.full(rows.n, np.nan)
    for stage in stages:
        if stage in rows.seconds:
            seconds = np.where(np.isnan(seconds), rows.seconds[stage], seconds)
    known = ~np.isnan(seconds) & ~failed(rows)
    return rows.take(known), seconds[known]


def _batches(rows: Window) -> NDArray[np.int64]:
    """The same number for rows of one batch, which have the model's own time in common, to the last bit."""
    alone = -1.0 - np.arange(rows.n)
    model = rows.seconds.get("model", alone)
    return np.unique(np.where(np.isnan(model), alone, model), return_inverse=True)[1]


def _one_a_batch(rows: Window, seconds: NDArray[np.float64]) -> tuple[Window, NDArray[np.float64]]:
    first = np.sort(np.unique(_batches(rows), return_index=True)[1])
    return rows.take(first), seconds[first]


def _pairs_of_batches(control: Window, candidate: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of both arms for each request, no batch of either arm being in two of them."""
    stable, mirrored = pairs(control, candidate)
    seen: tuple[set[int], set[int]] = (set(), set())
    kept = []
    batches = zip(_batches(control)[stable].tolist(), _batches(candidate)[mirrored].tolist(), strict=True)
    for k, (of_stable, of_candidate) in enumerate(batches):
        if of_stable not in seen[0] and of_candidate not in seen[1]:
            seen[0].add(of_stable)
            seen[1].add(of_candidate)
            kept.append(k)
    return stable[kept], mirrored[kept]
