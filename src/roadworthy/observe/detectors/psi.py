"""Population stability index: do the inputs still have the distribution that they had in the reference?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.errors import SpecError, unknown
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import binomial_survival, chi2_survival
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.bins import Counts, count

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A chi-square is close enough when each bin expects this many rows.
FILLED = 5.0
ROWS_A_BIN = 10


@detector("psi")
@dataclass(frozen=True)
class Psi:
    """Alarms when an input's population stability index is above `least` and beyond chance.

    With n and m rows of one law in B bins, PSI * n m / (n + m) follows a chi-square with B - 1 degrees of freedom
    (Yurdakul 2018), so the threshold falls with n: `alpha` bounds the false alarms of one look over all columns
    together (Holm 1979). Each further look has its own alpha. Values too rare for a chi-square get an exact binomial
    test. `columns` are inputs or outputs, all inputs where empty; vectors are left out. Rows count as independent.
    """

    bins: int = 10
    alpha: float = 0.01
    columns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    least: float = 0.1
    least_rows: int = 50

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")

    def __call__(self, reference: Window, current: Window) -> Verdict:
        rows = min(reference.n, current.n)
        if rows < max(1, self.least_rows):
            return Verdict("wait", f"{current.n} rows against {reference.n}: {self.least_rows} of each needed", "psi")
        before, after = dict(self._columns(reference)), {**current.outputs, **current.inputs}
        if not before:
            return Verdict("wait", "the reference has no column to compare", "psi")
        most = min(self.bins, max(2, rows // ROWS_A_BIN))
        gone = np.full(current.n, np.nan)
        found = [compare(name, count(old, after.get(name, gone), most)) for name, old in before.items()]
        return self._judge(sorted(found, key=lambda m: (m.conditions["p"], -m.value)), current.n)

    def _columns(self, reference: Window) -> list[tuple[str, NDArray[Any]]]:
        known = {**reference.outputs, **reference.inputs}
        for name in (*self.columns, *self.ignore):
            if name not in known:
                raise SpecError(unknown("column", name, known))
        names = [name for name in self.columns or reference.inputs if name not in self.ignore]
        return [(name, known[name]) for name in names if known[name].ndim == 1]

    def _judge(self, found: list[Measurement], n: int) -> Verdict:
        beyond_chance = 0
        while beyond_chance < len(found):
            if found[beyond_chance].conditions["p"] * (len(found) - beyond_chance) > self.alpha:
                break
            beyond_chance += 1
        moved = sorted((m for m in found[:beyond_chance] if m.value >= self.least), key=lambda m: -m.value)
        if not moved:
            top = max(found, key=lambda m: m.value)
            calm = f"none of {len(found)} columns moved in {n} rows; most is PSI {top.value:.3f} on {top.where}"
            return Verdict("pass", f"{calm} (p {top.conditions['p']:.2g})", "psi", tuple(found))
        told = "; ".join(f"{m.where} PSI {m.value:.3f} ({m.conditions['most']})" for m in moved[:5])
        more = f"; and {len(moved) - 5} more" if len(moved) > 5 else ""
        rest = [m for m in found if m not in moved]
        return Verdict("fail", f"{len(moved)} of {len(found)} columns moved: {told}{more}", "psi", (*moved, *rest))


def compare(name: str, counts: Counts) -> Measurement:
    """The PSI of one column with a 95 % interval; conditions hold the p-value and the bin that moved most."""
    bins, thin = counts.gather(FILLED)
    n, m = bins.reference.sum(), bins.current.sum()
    # Half a count per bin: an empty bin would make log(0), and PSI infinite.
    old = (bins.reference + 0.5) / (n + 0.5 * len(bins.names))
    new = (bins.current + 0.5) / (m + 0.5 * len(bins.names))
    parts = (new - old) * np.log(new / old)
    psi, scale = float(parts.sum()), float(n * m / (n + m))
    filled = len(parts) - thin
    p = chi2_survival(float(parts[:filled].sum()) * scale, filled - 1) if filled > 1 else 1.0
    if thin:
        p = min(1.0, 2 * min(p, _rare_p(int(bins.reference[-1]), int(bins.current[-1]), float(m / (n + m)))))
    top = int(np.argmax(parts))
    most = f"{bins.names[top]}: {bins.reference[top] / n:.1%} became {bins.current[top] / m:.1%}"
    return Measurement(
        "psi", psi, int(m), *_interval(psi, scale, len(parts) - 1), where=name, conditions={"p": p, "most": most}
    )


def _rare_p(before: int, after: int, share: float) -> float:
    """Two-sided: of `before + after` rare rows, is the current window's part more or less than its share of rows?"""
    both = before + after
    more, fewer = binomial_survival(after, both, share), binomial_survival(before, both, 1 - share)
    return min(1.0, 2 * min(more, fewer))


def _interval(psi: float, scale: float, freedom: int) -> tuple[float, float]:
    """Of the true PSI, by the normal approximation to the non-central chi-square."""
    centre = max(0.0, psi * scale - freedom)
    half = 1.96 * math.sqrt(2 * (freedom + 2 * centre))
    return max(0.0, centre - half) / scale, max((centre + half) / scale, psi)
