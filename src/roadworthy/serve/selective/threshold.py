"""The threshold above which a model may answer: errors among what is answered are bounded at a stated confidence.

The guarantee is for rows that come as those of the sample did, independently: it says nothing about a world that moves.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from random import Random

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.bounds import binomial_cdf, lower_rate, upper_rate
from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import midranks
from roadworthy.serve.wrappers.calibrated import fit

Floats = NDArray[np.float64]

# The part of the sample on which the order of the tests is chosen, and how many thresholds are tried at most.
PILOT, STEPS = 0.2, 100
# A threshold that all rows are above; an infinity does not survive JSON.
EVERYTHING = -sys.float_info.max


class Certified(Struct, frozen=True):
    """`answer where sure > threshold`, and errors are at most `risk` of that, with confidence 1 - `delta`.

    `rows` of the sample were tested, of which `answered` lie above the threshold, `errors` of them wrong. `tried`
    thresholds were tested, from strict to lenient.
    """

    threshold: float
    risk: float
    delta: float
    rows: int
    answered: int
    errors: int
    tried: int

    @property
    def coverage(self) -> Measurement:
        """The share that is answered, with its exact interval."""
        low, high = _both_sides(self.answered, self.rows)
        return Measurement("coverage", self.answered / self.rows, self.rows, low, high)

    @property
    def error_rate(self) -> Measurement:
        """The share of errors among what is answered, and its bound at the stated confidence."""
        told = {"confidence": 1 - self.delta, "one_sided": True}
        return Measurement("risk", self.errors / self.answered, self.answered, 0.0, self.risk, conditions=told)


def certify(
    sure: ArrayLike,
    wrong: ArrayLike,
    risk: float,
    delta: float,
    rng: Random,
    thresholds: Sequence[float] = (),
) -> Certified:
    """The most lenient threshold that is shown to keep the risk. Raises BadData where none is, or the rows are too few.

    Fixed-sequence testing (Angelopoulos et al. 2021, "Learn then test") with the exact binomial tail, as the bound in
    the SGR of Geifman & El-Yaniv 2017: the thresholds are tested one after the other, each at `delta`, until one is not
    shown. That is only valid where thresholds and order do not look at the rows of the test: a fifth of the rows, drawn
    by `rng`, chooses both and is not tested. `thresholds` known before any of these rows was seen (in the order to test
    them, which must not follow from these rows) spare that fifth.
    """
    s, e = _checked(sure, wrong, delta)
    _see_enough(len(s), risk, delta)
    if len(thresholds):
        return _tested(s, e, [float(at) for at in thresholds], risk, delta)
    drawn = np.array(rng.sample(range(len(s)), len(s)))
    pilot, rest = drawn[: int(PILOT * len(s))], drawn[int(PILOT * len(s)) :]
    return _tested(s[rest], e[rest], _sequence(s[pilot], e[pilot], len(rest), risk), risk, delta)


def rows_needed(risk: float, delta: float) -> int:
    """The fewest answered rows without one error that show a risk: ln(delta) / ln(1 - risk)."""
    return math.ceil(math.log(delta) / math.log1p(-risk))


def bound_at(sure: ArrayLike, wrong: ArrayLike, threshold: float, delta: float) -> Certified:
    """The risk that one threshold is shown to keep; it must have been chosen without looking at these rows.

    One-sided Clopper-Pearson (1934). Raises BadData where no row is above the threshold.
    """
    s, e = _checked(sure, wrong, delta)
    answered, errors = _counts(s, e, threshold)
    if not answered:
        raise BadData(f"none of {len(s)} rows is surer than {threshold!r}: nothing is known about what is answered")
    return Certified(threshold, upper_rate(errors, answered, delta), delta, len(s), answered, errors, 1)


def _checked(sure: ArrayLike, wrong: ArrayLike, delta: float) -> tuple[Floats, NDArray[np.bool_]]:
    s, e = floats(sure, "how sure the model was"), floats(wrong, "whether it was wrong")
    _see_share("delta", delta)
    if s.ndim != 1 or s.shape != e.shape:
        raise BadData(f"each row needs how sure the model was and whether it was wrong, got {s.shape} and {e.shape}")
    if not np.isin(e, (0, 1)).all() or np.isnan(s).any():
        neither, silent = int((~np.isin(e, (0, 1))).sum()), int(np.isnan(s).sum())
        raise BadData(
            f"a row is wrong (1) or right (0), and says how sure the model was: {neither} rows are neither and "
            f"{silent} do not say; leave out rows without a label"
        )
    return s, e.astype(bool)


def _see_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise BadData(f"`{name}` must be above 0 and below 1, got {value!r}")


def _see_enough(rows: int, risk: float, delta: float) -> None:
    _see_share("risk", risk)
    needed = rows_needed(risk, delta)
    if rows < needed:
        raise BadData(
            f"a risk of at most {risk:g} at confidence {1 - delta:g} needs at least {needed} labelled rows, all "
            f"answered right; got {rows}: label more rows, or allow a greater risk or a greater delta"
        )


def _sequence(sure: Floats, wrong: NDArray[np.bool_], rows: int, risk: float) -> list[float]:
    """Thresholds from the one that will most surely be shown towards the most lenient, as the pilot rows have it."""
    steps = min(STEPS, len(sure))
    strict = np.unique(np.quantile(sure, np.linspace(0, 1, steps + 1)[:-1], method="lower"))[::-1]
    levels: list[float] = [*strict.tolist(), EVERYTHING]
    doubts = _doubts(sure, wrong)
    chances = []
    for level in levels:
        above = sure > level
        answered = round(above.mean() * rows)
        errors = math.ceil(doubts[above].sum() / len(sure) * rows)
        chances.append(binomial_cdf(errors, answered, risk))
    # Of equally good beginnings the most lenient: what is stricter need not be shown.
    first = max(k for k, chance in enumerate(chances) if chance == min(chances))
    return levels[first:]


def _doubts(sure: Floats, wrong: NDArray[np.bool_]) -> Floats:
    """How likely each pilot row was to be wrong, by a logistic line on its rank: few rows, so two numbers are fitted.

    Where all are right, or wrong, half a row is taken to be the other way.
    """
    rate = (wrong.sum() + 0.5) / (len(wrong) + 1)
    if wrong.all() or not wrong.any():
        return np.full(len(sure), rate)
    ranks = 1 - (midranks(sure) - 0.5) / len(sure)
    return fit(wrong, ranks).calibrate(ranks)


def _tested(sure: Floats, wrong: NDArray[np.bool_], levels: Sequence[float], risk: float, delta: float) -> Certified:
    passed: Certified | None = None
    for tried, level in enumerate(levels, 1):
        answered, errors = _counts(sure, wrong, level)
        if not answered or binomial_cdf(errors, answered, risk) > delta:
            break
        passed = Certified(level, risk, delta, len(sure), answered, errors, tried)
    if passed is None:
        raise BadData(_refusal(sure, wrong, levels[0], risk, delta))
    return passed


def _refusal(sure: Floats, wrong: NDArray[np.bool_], level: float, risk: float, delta: float) -> str:
    answered, errors = _counts(sure, wrong, level)
    asked = f"no threshold is shown to keep the risk at {risk:g} or less at confidence {1 - delta:g}"
    most = upper_rate(errors, answered, delta)
    return (
        f"{asked}: above {level:.6g} there are {errors} errors in {answered} rows, which shows {most:.4g} "
        f"({rows_needed(risk, delta)} rows without an error would do); label more rows, or allow a greater risk"
    )


def _counts(sure: Floats, wrong: NDArray[np.bool_], level: float) -> tuple[int, int]:
    above = sure > level
    return int(above.sum()), int(wrong[above].sum())


def _both_sides(hits: int, n: int) -> tuple[float, float]:
    return lower_rate(hits, n, 0.025), upper_rate(hits, n, 0.025)
