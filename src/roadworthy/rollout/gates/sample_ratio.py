"""The sample-ratio gate: each arm must get the share of the callers that it was given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, merged, pairs, requests, shadowed
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.sequential import block_ends, log_beta, rate_bounds

# How sure the two bettors are that a wrong share is near the right one: one bets on small slips, one on a broken split.
_SURENESS = (200.0, 4.0)


@gate("sample_ratio")
@dataclass(frozen=True)
class SampleRatio:
    """Fails once the candidate's part of the requests is not the `share` that it was given.

    Where requests are lost on one arm (a crash before the row is written, a client that gives up), what is left no
    longer compares, and every other gate is wrong. The evidence is the e-process of Lindon and Malek (2022): the
    likelihood of the counts under any share, mixed over Beta laws around the given one, against theirs under that; an
    even split is failed with a chance of at most `alpha` over all looks. It passes once the share is shown to be within
    `margin`.

    `key` is the tag by which callers stay on their arm: then callers are counted, by their first request, since those
    of one caller are no independent draws. With `by` it also looks at each value of that tag, by half of
    `alpha`, which is dealt out in the order in which values appear (6 / (pi k)^2 of it to the k-th). The first
    `settle_seconds` are left out: servers learn of a new share one after the other. A shadow deals out nothing.
    """

    share: float | None = None
    alpha: float = 0.001
    margin: float = 0.1
    least: int = 100
    key: str = ""
    by: str = ""
    settle_seconds: float = 30.0

    @classmethod
    def example(cls) -> SampleRatio:
        """With the share that the laws deal out."""
        return cls(share=0.3)

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        if shadowed(candidate):
            return self._of_shadow(control, candidate)
        if self.share is None or not 0 < self.share < 1:
            return Verdict(
                "wait", f"the share of the candidate is not known (`share` is {self.share!r})", "sample_ratio"
            )
        control, candidate = requests(control), requests(candidate)
        order, dealt = merged(control, candidate)
        both = control.join(candidate).take(order)
        counted = self._counted(both)
        found = [self._measured(dealt[counted], self.alpha / (2 if self.by else 1), "")]
        found += [self._measured(dealt[rows], alpha, where) for rows, alpha, where in self._slices(both, counted)]
        answered = min(int((~failed(rows)).sum()) for rows in (control, candidate))
        return self._verdict(found, answered)

    def plan(self, expected: Expected) -> Need:
        """The requests until an even split is shown to be within the margin."""
        if expected.paired:
            return Need(float(self.least), hours=self.least / max(1e-9, expected.share * expected.requests_an_hour))
        rows = next((n for n in _doubling() if self._width(expected.share, n) <= 0.8 * self.margin), math.inf)
        wrong = Measurement("candidate_share", expected.share + self.margin, 0)
        because = f"the share must be shown to be within {self.margin:g} of {expected.share:g}"
        return Need(rows * expected.share, 0.0, rows / max(1e-9, expected.requests_an_hour), wrong, because)

    def _width(self, share: float, rows: float) -> float:
        low, high = rate_bounds(round(share * rows), round(rows), self.alpha)
        return max(high - share, share - low)

    def _counted(self, rows: Window) -> NDArray[np.int64]:
        """The places that count: after the servers have settled, and of each caller the first."""
        if not rows.n:
            return np.zeros(0, np.int64)
        places = np.flatnonzero(rows.at >= rows.at[0] + self.settle_seconds)
        if self.key not in rows.tags:
            return places
        first: dict[str, int] = {}
        for k, caller in zip(places.tolist(), rows.tags[self.key][places].tolist(), strict=True):
            first.setdefault(caller or f"\n{k}", k)
        return np.array(list(first.values()), np.int64)

    def _slices(self, rows: Window, counted: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], float, str]]:
        if self.by not in rows.tags:
            return
        values = rows.tags[self.by][counted]
        for k, value in enumerate(dict.fromkeys(values.tolist()), 1):
            yield counted[values == value], self.alpha / 2 * 6 / (math.pi * k) ** 2, f"{self.by}={value}"

    def _measured(self, dealt: NDArray[np.bool_], alpha: float, where: str) -> tuple[Measurement, Measurement]:
        """The candidate's share with its bounds, and the evidence that it is a wrong one."""
        assert self.share is not None
        x, n = int(dealt.sum()), len(dealt)
        low, high = rate_bounds(x, n, alpha)
        conditions = {"confidence": 1 - alpha}
        share = Measurement(
            "candidate_share", x / n if n else math.nan, n, low, high, where=where, conditions=conditions
        )
        odds = math.exp(min(self._highest(dealt), 700.0))
        return share, Measurement("evidence", odds, n, odds, odds, where=where, conditions={"enough": 1 / alpha})

    def _highest(self, dealt: NDArray[np.bool_]) -> float:
        assert self.share is not None
        sums = np.cumsum(dealt)
        looks = {*block_ends(len(dealt)).tolist(), len(dealt)} - {0}
        return max((_log_evidence(int(sums[n - 1]), n, self.share) for n in looks), default=0.0)

    def _verdict(self, found: list[tuple[Measurement, Measurement]], answered: int) -> Verdict:
        shown = tuple(m for pair in found for m in pair if m.n)
        whole = found[0][0]
        for share, odds in found:
            if odds.value >= odds.conditions["enough"]:
                enough = f"{odds.conditions['enough']:,.0f}"
                because = f"{self._said(share)}: the odds against chance are {odds.value:,.0f} to 1, {enough} is enough"
                return Verdict("fail", because, "sample_ratio", shown)
        assert self.share is not None
        if answered < self.least:
            because = f"{self._said(whole)}, and of {answered} of {self.least} it is known that an arm answered them"
            return Verdict("wait", because, "sample_ratio", shown)
        off = max(whole.high - self.share, self.share - whole.low)
        conditions = {**whole.conditions, "allowed": self.margin}
        error = Measurement("share_error", abs(whole.value - self.share), whole.n, 0.0, off, conditions=conditions)
        shown = (error, *shown)
        bound = f"{self._said(whole)}, off by at most {off:.3g}"
        if off <= self.margin:
            return Verdict("pass", f"{bound}, and {self.margin:g} is allowed", "sample_ratio", shown)
        return Verdict("wait", f"{bound}, which must come under {self.margin:g}", "sample_ratio", shown)

    def _said(self, share: Measurement) -> str:
        of = f" with {share.where}" if share.where else ""
        got = round(share.value * share.n) if share.n else 0
        return (
            f"{got:,} of {share.n:,} {'callers' if self.key else 'requests'}{of} on the candidate, given {self.share:g}"
        )

    def _of_shadow(self, control: Window, candidate: Window) -> Verdict:
        both = len(pairs(control, candidate)[0])
        if both < self.least:
            return Verdict("wait", f"{both} of {self.least} mirrored requests", "sample_ratio")
        share = Measurement("share_error", 0.0, both, 0.0, 0.0, conditions={"allowed": self.margin})
        said = "a shadow deals out nothing that could be uneven"
        return Verdict("pass", f"{both:,} of {control.n:,} requests were mirrored; {said}", "sample_ratio", (share,))


def _log_evidence(x: int, n: int, share: float) -> float:
    """Log of the likelihood of x of n mixed over two Beta laws around `share`, against that under `share` itself."""
    null = x * math.log(share) + (n - x) * math.log1p(-share)
    mixed = [log_beta(c * share + x, c * (1 - share) + n - x) - log_beta(c * share, c * (1 - share)) for c in _SURENESS]
    return float(np.logaddexp(mixed[0], mixed[1])) - math.log(2) - null


def _doubling() -> Iterator[float]:
    n = 50.0
    while n < 1e10:
        yield n
        n *= 1.2
