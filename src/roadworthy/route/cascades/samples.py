"""What every fit to a labelled sample of traffic does: look at the rows, part them at random, test choices in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.betting import shows_above
from roadworthy.core.bounds import binomial_cdf
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import wilson, z_of
from roadworthy.route.cascades.certify import least_rows
from roadworthy.route.cascades.design import log_odds

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Part of the sample that only proposes thresholds; the rest tests them.
TO_DESIGN = 0.3


@dataclass(frozen=True)
class Draws:
    """With which chance each row was taken into the sample: None where all were alike.

    `least` is the least chance that any row of the traffic has, known before rows are drawn.
    """

    chances: Floats | None
    least: float = 1.0

    @classmethod
    def of(cls, chances: ArrayLike | None, least: float | None, n: int) -> Draws:
        """Checked: one chance a row, at least `least` and at most 1."""
        if chances is None:
            return cls(None)
        found = np.asarray(chances, np.float64)
        if least is None or not 0 < least <= 1:
            raise BadData(f"`chances` need `least_chance`, the least that any row could have; got {least!r}")
        if found.shape != (n,) or not np.all((found >= least * (1 - 1e-9)) & (found <= 1)):
            raise BadData(f"each of the {n:,} rows needs its chance to be drawn, between {least:g} and 1")
        return cls(found, least)

    def take(self, rows: Rows) -> Draws:
        """Those of some rows."""
        return Draws(None if self.chances is None else self.chances[rows], self.least)

    def weights(self, n: int) -> Floats:
        """`least` / chance: at most 1."""
        return np.ones(n) if self.chances is None else self.least / self.chances

    def shows(self, right: Flags, counted: Flags, share: float, delta: float) -> bool:
        """Whether at least `share` of the `counted` rows of the traffic are right (error at most `delta`).

        By the exact binomial law, or by betting on weighted rows (Waudby-Smith & Ramdas 2023) where the draws differ.
        """
        if self.chances is None:
            tries = int(counted.sum())
            return binomial_cdf(tries - int((right & counted).sum()), tries, 1 - share) <= delta if tries else False
        values = np.where(counted, right - share, 0.0) * self.weights(len(right))
        return shows_above(values, 0.0, -share, 1 - share, delta, len(values))

    def share(self, name: str, flags: Flags) -> Measurement:
        """The share of flagged rows in the traffic, with Wilson's interval; Kish's count of rows where draws differ."""
        weights = self.weights(len(flags))
        value = float((weights * flags).sum() / weights.sum())
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        return Measurement(name, value, len(flags), *wilson(value, effective, z_of(0.95)))


def parted(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """The rows to design with and those to certify with, at random: the order of the rows means nothing."""
    shuffled = rng.permutation(n).astype(np.int64)
    return shuffled[: round(TO_DESIGN * n)], shuffled[round(TO_DESIGN * n) :]


def refuse_few(found: int, share: float, delta: float, what: str, of: int) -> None:
    """Refuse a sample in which not even faultless rows could show the target, and say how many rows it takes."""
    least = least_rows(share, delta)
    if found >= least:
        return
    rows = int(np.ceil(1.2 * least * of / max(found, 1)))
    raise BadData(
        f"a share of {share:g} at confidence {1 - delta:g} needs at least {least:,} {what} to test with, and these "
        f"have {found:,}: label about {max(rows, of + 1):,} rows in all, lower the target or raise `delta`"
    )


def flags_of(labels: ArrayLike, n: int) -> Flags:
    """Labels 0 and 1 (or booleans) of `n` rows, both of which occur."""
    found = np.asarray(labels, np.float64)
    if found.shape != (n,):
        raise BadData(f"{n:,} rows need as many labels, got {found.shape}")
    if not np.isin(found, (0.0, 1.0)).all():
        raise BadData(f"labels of two answers are 0 or 1, got {float(found[~np.isin(found, (0.0, 1.0))][0])!r}")
    if len(np.unique(found)) < 2:
        raise BadData(f"all {n:,} labels are {int(found[0]) if n else 'missing'}: thresholds need rows of both classes")
    return found > 0.5


def draw_chances(scores: ArrayLike, edges: Sequence[float], share: float, uniform: float = 0.3) -> tuple[Floats, float]:
    """With which chance to have each row labelled, about `share` of them, and the least chance of any.

    A part `uniform` goes to all rows alike, the rest to rows near the `edges` (the thresholds that one expects):
    labels there say most. NaN counts as near.
    """
    odds = log_odds(np.asarray(scores, np.float64))
    nearest = np.min([np.abs(odds - edge) for edge in log_odds(np.asarray(edges, np.float64))], axis=0)
    near = np.exp(-(np.nan_to_num(nearest) ** 2) / 2)
    chances = share * (uniform + (1 - uniform) * near / max(float(near.mean()), 1e-12))
    return np.minimum(chances, 1.0), min(share * uniform, 1.0)
