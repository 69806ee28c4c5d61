"""What a shadow showed: the answers of both arms to the same requests, compared row by row, each with its interval.

It says what differs and by how much, never whether that is allowed: a gate does that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import holm
from roadworthy.core.stats import calibration_error, nothing
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed
from roadworthy.rollout.shadows.answer_pairs import AnswerPairs, paired, rank_correlation
from roadworthy.rollout.shadows.pair_slices import Part, parts_of
from roadworthy.rollout.statistics.sequential import mean_bounds, rate_bounds, spread_in_time

QUANTILES = (0.5, 0.9, 0.99)
BEST_AT = 1000


class SliceOfPairs(Struct, frozen=True):
    """How the arms differ on the pairs of one slice, and how sure it is that they disagree more there than elsewhere.

    `p` is of a one-sided test of the share that disagrees here against that of the other pairs (pooled, normal),
    corrected by Holm (1979) for all slices that were looked at. It is meant for one look: many looks raise more slices.
    """

    where: str
    agreement: Measurement
    distance: Measurement
    p: float

    @property
    def stands_out(self) -> bool:
        """Is it shown, at 5 % over all slices, that the arms disagree more often here than elsewhere?"""
        return self.p < 0.05


class ShadowReport(Struct, frozen=True):
    """Measurements of everything (`measured`) and of slices. Differences are the candidate's less the control's.

    `requests` are control's rows since the shadow began, of which `share` was mirrored and answered: the pairs are a
    sample, drawn by the hash of the callers, less what a busy server did not show. Intervals hold at every look; those
    of calibration, rank correlation and of the slices' tests for one look.
    """

    output: str
    requests: int
    pairs: int
    share: Measurement
    measured: tuple[Measurement, ...]
    slices: tuple[SliceOfPairs, ...] = ()

    def of(self, name: str) -> Measurement:
        """A measurement by its name; NaN with n=0 where there is none."""
        return next((found for found in self.measured if found.name == name), nothing(name))


@dataclass(frozen=True)
class Comparison:
    """How to compare: which output, from where on a probability means yes, how sure, and how small a slice may be."""

    output: str = "probability"
    threshold: float = 0.5
    confidence: float = 0.95
    least_of_slice: int = 100
    most_values: int = 20
    usd_per_label: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"`confidence` must be between 0 and 1, got {self.confidence!r}")


def compare_shadow(control: Window, candidate: Window, how: Comparison | None = None) -> ShadowReport:
    """Both arms of a shadow, `Window.of_all` rows of the same stretch; rows with one id are a pair."""
    how = Comparison() if how is None else how
    both = paired(control, candidate, how.output, how.threshold)
    asked = int((control.at >= candidate.at[0]).sum()) if candidate.n else 0
    share = _rate("share_mirrored", min(both.n, asked), asked, how)
    measured = tuple(_measured(both, how)) if both.n else ()
    return ShadowReport(how.output, asked, both.n, share, measured, _slices(both, how))


def _measured(both: AnswerPairs, how: Comparison) -> Iterator[Measurement]:
    yield from _errors(both, how)
    answered = both.take(both.answered)
    yield from _answers(answered, how)
    yield from _quality(answered, how)
    yield from _costs(answered, how)


def _errors(both: AnswerPairs, how: Comparison) -> Iterator[Measurement]:
    """Who failed, and the share of the pairs of which one arm alone failed (McNemar 1947)."""
    before, after = failed(both.control), failed(both.candidate)
    yield _rate("error_rate", int(before.sum()), both.n, how, "control")
    yield _rate("error_rate", int(after.sum()), both.n, how, "candidate")
    yield _one_sided("failed_only_in_candidate", int((after & ~before).sum()), int((before & ~after).sum()), how)


def _answers(both: AnswerPairs, how: Comparison) -> Iterator[Measurement]:
    """How near the answers are to each other."""
    yield _rate("agreement", int(both.agree.sum()), both.n, how)
    if both.is_text:
        return
    yield _mean("difference", both.difference, how)
    yield _mean("distance", both.distance, how)
    for share in QUANTILES:
        yield _quantile(f"distance_p{100 * share:g}", both.distance, share, how)
    most = float(both.distance.max()) if both.n else math.nan
    yield Measurement("distance_max", most, both.n) if both.n else nothing("distance_max")
    yield rank_correlation(both, how.confidence)


def _quality(both: AnswerPairs, how: Comparison) -> Iterator[Measurement]:
    """On labelled pairs: who is right, and how well probabilities come true."""
    known = both.take(~np.isnan(both.labels))
    if not known.n or known.is_text:
        return
    if known.is_class:
        wrong, wrong_now = known.errors
        better, worse = int((wrong & ~wrong_now).sum()), int((~wrong & wrong_now).sum())
        yield _rate("wrong", int(wrong.sum()), known.n, how, "control")
        yield _rate("wrong", int(wrong_now.sum()), known.n, how, "candidate")
        yield _one_sided("wrong_only_in_candidate", worse, better, how)
    for name, before, after in known.losses:
        yield _mean(f"{name}_difference", after - before, how)
    if known.is_probability:
        labels = known.labels
        yield calibration_error(labels, known.before, "control", confidence=how.confidence)
        yield calibration_error(labels, known.after, "candidate", confidence=how.confidence)


def _costs(both: AnswerPairs, how: Comparison) -> Iterator[Measurement]:
    """What the model took, by its own time, and what it cost; paired. Batches are shared, so few are told apart."""
    for name, before, after, unit in both.costs:
        known = np.isfinite(before) & np.isfinite(after)
        if known.any():
            yield _mean(name, before[known], how, "control", unit)
            yield _mean(name, after[known], how, "candidate", unit)
            yield _mean(f"{name}_difference", (after - before)[known], how, "", unit)


def _slices(both: AnswerPairs, how: Comparison) -> tuple[SliceOfPairs, ...]:
    """Each slice against the pairs outside of it, the most telling first."""
    if not both.n:
        return ()
    answered = both.take(both.answered)
    parts = list(parts_of(answered.control, how.least_of_slice, how.most_values))
    raw = [_two_shares(~answered.agree, part.rows) for part in parts]
    corrected = holm(raw)
    found = [_slice(answered, part, p, how) for part, p in zip(parts, corrected, strict=True)]
    return tuple(sorted(found, key=lambda one: (one.p, one.agreement.value)))


def _slice(both: AnswerPairs, part: Part, p: float, how: Comparison) -> SliceOfPairs:
    rows = both.take(part.rows)
    agreement = _rate("agreement", int(rows.agree.sum()), rows.n, how, part.where)
    distance = nothing("distance", where=part.where)
    return SliceOfPairs(
        part.where, agreement, distance if both.is_text else _mean("distance", rows.distance, how, part.where), p
    )


def _two_shares(hit: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """One-sided p of "hit no more often inside than outside" (normal approximation, pooled)."""
    n, m = int(inside.sum()), int((~inside).sum())
    share = float(hit.mean()) if n + m else 0.0
    if not n or not m or not 0 < share < 1:
        return 1.0
    gap = float(hit[inside].mean() - hit[~inside].mean())
    return math.erfc(gap / math.sqrt(share * (1 - share) * (1 / n + 1 / m)) / math.sqrt(2)) / 2


def _rate(name: str, hits: int, n: int, how: Comparison, where: str = "") -> Measurement:
    if not n:
        return nothing(name, where=where)
    low, high = rate_bounds(hits, n, 1 - how.confidence)
    return Measurement(name, hits / n, n, low, high, where=where, conditions={"confidence": how.confidence})


def _one_sided(name: str, candidate: int, control: int, how: Comparison) -> Measurement:
    """Of the pairs in which just one arm was hit, the share that was the candidate's; 0.5 says that they are alike."""
    return _rate(name, candidate, candidate + control, how)


def _mean(name: str, values: NDArray[np.float64], how: Comparison, where: str = "", unit: str = "1") -> Measurement:
    """A mean whose interval allows for dependence in time, and for any number of looks."""
    n = len(values)
    if not n:
        return nothing(name, unit, where)
    average = float(values.mean())
    low, high = mean_bounds(average, spread_in_time(values), n, 1 - how.confidence, BEST_AT)
    return Measurement(name, average, n, low, high, unit, where, {"confidence": how.confidence})


def _quantile(name: str, values: NDArray[np.float64], share: float, how: Comparison) -> Measurement:
    """A quantile between the order statistics that cannot be excluded: a bound on a rate, read the other way round.

    The quantile lies at or below the k-th value where a rate of `share` is not above what k hits of n allow.
    """
    ordered, n = np.sort(values), len(values)
    if not n:
        return nothing(name)
    alpha = 1 - how.confidence
    low = _first(n, lambda k: rate_bounds(k, n, alpha)[1] >= share)
    high = _first(n, lambda k: rate_bounds(k, n, alpha)[0] > share)
    bounds = float(ordered[max(0, low - 1)]), float(ordered[high - 1]) if high <= n - 1 else math.inf
    found = float(ordered[min(n - 1, int(share * n))])
    return Measurement(name, found, n, *bounds, conditions={"confidence": how.confidence})


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """The least k of 0..n for which it holds, n + 1 where it never does; it holds for all larger ones."""
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        if middle > n or holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
