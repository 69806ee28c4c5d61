"""Alarms when an error budget is being spent too fast: over a long window and still over a short one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import proportion
from roadworthy.observe.base import rule
from roadworthy.observe.counts.rollups import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINUTES_A_WEEK = 7 * 24 * 60
# (burn rate, long window, short window in minutes), from the SRE workbook, chapter 5: 2 % of a month's budget in an
# hour, 5 % in six. The first is ours: a burst that takes 0.4 % in ten minutes need not wait for the hour to fill.
PAGE = ((18.0, 10.0, 2.0), (14.4, 60.0, 5.0), (6.0, 360.0, 30.0))
TICKET = ((3.0, 1440.0, 120.0), (1.0, 4320.0, 360.0))


@rule("burn_rate")
@dataclass(frozen=True)
class BurnRate:
    """Alarms when failed (or slow) requests spend the error budget much too fast.

    `windows` are triples: how many times too fast, over how many minutes, and over how many last minutes besides, so
    that it ends soon after the trouble does (Beyer et al., The Site Reliability Workbook, 2018). A rate alone alarms
    nobody: so many errors must also be too many for a service that just keeps to its budget, once
    in ten weeks of looking every minute (`false_alarms_a_week`), where errors come in clumps of `clump` on
    average. It passes when every last window is back under half its rate. Errors of a class in `forgive` are the
    caller's own.
    """

    name: str = "availability"
    at_least: float = 0.999
    within_ms: float = 0.0
    where: str = ""
    severity: Literal["page", "ticket"] = "page"
    windows: tuple[tuple[float, float, float], ...] = PAGE
    clump: float = 2.0
    false_alarms_a_week: float = 0.1
    forgive: tuple[str, ...] = ("BadRequest",)

    def __post_init__(self) -> None:
        if not 0 < self.at_least < 1:
            raise ValueError(f"`at_least` is a share between 0 and 1 such as 0.999, got {self.at_least!r}")
        if not self.windows or any(not 0 < short <= long for _, long, short in self.windows):
            raise ValueError(f"`windows` are (burn rate, long, short minutes), short <= long, got {self.windows!r}")

    @property
    def title(self) -> str:
        """What its alarms are called."""
        return f"slo-{self.name}" if self.severity == "page" else f"slo-{self.name}-{self.severity}"

    @property
    def days(self) -> float:
        """How far back it looks."""
        return max(long for _, long, _ in self.windows) / 1440

    @property
    def alpha(self) -> float:
        """The chance of a false alarm that one look at one window may have."""
        return self.false_alarms_a_week / MINUTES_A_WEEK / len(self.windows)

    def __call__(self, series: Series, now: float) -> Verdict:
        """`fail` where a pair of windows burns, `pass` where no last window is near it, else `wait`."""
        bad, total = self.bad(series), self.total(series)
        counted = [
            tuple(_sums(series, bad, total, now, minutes) for minutes in (long, short))
            for _, long, short in self.windows
        ]
        evidence = tuple(
            _rate(minutes, *sums)
            for (_, *both), pair in zip(self.windows, counted, strict=True)
            for minutes, sums in zip(both, pair, strict=True)
        )
        for k, (burn, long, _) in enumerate(self.windows):
            if self.burns(*counted[k][0], *counted[k][1], burn):
                return Verdict("fail", self._told(series, now, burn, long, *counted[k][0]), self.title, evidence)
        if not any(long[1] for long, _ in counted):
            return Verdict("wait", "no requests to look at", self.title, evidence)
        if any(
            short[0] > burn * self._budget * short[1] / 2
            for (burn, *_), (_, short) in zip(self.windows, counted, strict=True)
        ):
            return Verdict("wait", "errors are near the rate of an alarm, or just below it", self.title, evidence)
        return Verdict("pass", f"{self._what} keeps to its budget", self.title, evidence)

    def bad(self, series: Series) -> NDArray[np.float64]:
        """What spends the budget in each row of the series."""
        failed = series.failed(self.forgive)
        slow = series.slower(self.within_ms / 1000) if self.within_ms else 0.0
        return np.asarray(np.minimum(failed + slow, self.total(series)))

    def total(self, series: Series) -> NDArray[np.float64]:
        """What is counted in each row of the series: requests but for those that are the caller's own fault."""
        forgiven = series.count("failed") - series.failed(self.forgive)
        return np.asarray(series.count("requests") - forgiven)

    def burns(
        self,
        long_bad: NDArray[np.float64] | float,
        long_total: NDArray[np.float64] | float,
        short_bad: NDArray[np.float64] | float,
        short_total: NDArray[np.float64] | float,
        burn: float,
    ) -> NDArray[np.bool_]:
        """Whether a pair of windows alarms: at the rate, still at it, and beyond chance. For arrays of any shape."""
        bound = burn * self._budget
        fast = (long_bad >= bound * np.asarray(long_total)) & (short_bad >= bound * np.asarray(short_total))
        beyond = surprise(long_bad, long_total, self._budget, self.clump) >= -math.log(self.alpha)
        return np.asarray(fast & (np.asarray(short_total) > 0) & beyond)

    @property
    def _budget(self) -> float:
        return 1 - self.at_least

    @property
    def _what(self) -> str:
        slow = f" or above {self.within_ms:g} ms" if self.within_ms else ""
        return f"{self.name} (failed{slow}{' on ' + self.where if self.where else ''})"

    def _told(self, series: Series, now: float, burn: float, minutes: float, bad: float, total: float) -> str:
        share = proportion("share", round(bad), round(total))
        times = share.value / self._budget
        begin = datetime.fromtimestamp(now - 60 * minutes, UTC).strftime("%H:%M")
        return (
            f"{self._what}: {bad:.0f} of {total:.0f} requests since {begin} UTC, {share.value:.2%} "
            f"[{share.low:.2%}, {share.high:.2%}], {times:.0f} times the budget of {self._budget:.3g} "
            f"(bound {burn:g} over {minutes:g} minutes)"
        )


def surprise(
    bad: NDArray[np.float64] | float, total: NDArray[np.float64] | float, share: float, clump: float = 1.0
) -> NDArray[np.float64]:
    """-log of a bound on P(at least `bad` of `total`) where each is bad with probability `share`, in clumps.

    With x = bad / total the bound is exp(-n KL(x || share)) (Chernoff 1952), which holds for every n, made sharper by
    Stirling's 1 / sqrt(2 pi n x (1 - x)) for the first term of the tail and a geometric series for the others (Ash
    1965, 4.7). Errors that come in clumps of so many are fewer facts: both counts are divided by that. 0 where there
    are fewer than expected.
    """
    n = np.maximum(np.asarray(total, np.float64) / clump, 1e-12)
    found = np.clip(np.asarray(bad, np.float64) / clump / n, 0.0, 1.0)
    inside = np.clip(found, 1e-12, 1 - 1e-12)
    kl = inside * np.log(inside / share) + (1 - inside) * np.log((1 - inside) / (1 - share))
    first = np.maximum(0.0, 0.5 * np.log(2 * math.pi * np.maximum(n * inside * (1 - inside), 1e-12)))
    ratio = np.minimum(share * (1 - inside) / (inside * (1 - share)), 1 - 1e-12)
    sharper = n * kl + first + np.log1p(-ratio)
    return np.asarray(np.where(found > share, np.maximum(n * kl, sharper), 0.0))


def _sums(
    series: Series, bad: NDArray[np.float64], total: NDArray[np.float64], now: float, minutes: float
) -> tuple[float, float]:
    rows = series.within(now - 60 * minutes, now)
    return float(bad[rows].sum()), float(total[rows].sum())


def _rate(minutes: float, bad: float, total: float) -> Measurement:
    return proportion("bad_share", round(bad), round(total), f"the last {minutes:g} minutes")
