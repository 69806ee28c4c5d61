"""How many labels would settle which of two arms is better, read off how much their answers differ.

Where both arms name the same class, a label changes nothing: they are both right or both wrong. All that can be learnt
lies in the pairs that disagree (McNemar 1947), and an answer that differs more can teach more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, z_of
from roadworthy.rollout.shadows.answer_pairs import AnswerPairs
from roadworthy.rollout.statistics.sequential import mean_bounds, rate_bounds, spread_in_time

Loss = Literal["error", "log_loss"]
MOST = 10**9
# As the log loss has it: nothing is quite impossible.
_LEAST = 1e-6


class LabelNeed(Struct, frozen=True):
    """Labels until an equally good candidate is shown to be at most `margin` worse in `metric`, by a rule that may be
    asked at any time and is wrong with probability 1 - `confidence`.

    `labels` counts labels of pairs drawn in proportion to what they can teach, for the error: of disagreeing pairs;
    `labels_unstratified` those of pairs as they come. `requests` are the mirrored requests that hold so many of them.
    They are infinite where nothing can be learnt, 0 where no label is needed.
    """

    metric: Loss
    margin: float
    power: float
    confidence: float
    labels: float
    labels_unstratified: float
    requests: float
    disagreement: Measurement
    because: str


def label_need(
    both: AnswerPairs, margin: float, metric: Loss = "error", power: float = 0.8, confidence: float = 0.95
) -> LabelNeed:
    """The labels that settle it, from pairs that both arms answered. Raises SpecError where answers name no class.

    A pair teaches at most `s`, by which its label can move the difference of the arms: 1 where they name different
    classes and 0 elsewhere; of the log loss |logit p1 - logit p0| times the spread of the label, for the rest of its
    difference needs no label. The mean of one draw in proportion to `s` has the standard deviation mean(s), one of a
    plain sample the root of mean(s^2) (Sawade, Landwehr and Scheffer, Active comparison of prediction models, 2012).
    """
    if not margin > 0:
        raise ValueError(f"`margin` must be above 0, got {margin!r}")
    if not both.is_class or (metric == "log_loss" and not both.is_probability):
        raise SpecError(f"labels settle a difference in {metric!r} only between answers that name classes")
    differ = int((~both.agree).sum())
    low, high = rate_bounds(differ, both.n, 1 - confidence) if both.n else (0.0, 1.0)
    share = Measurement("disagreement", differ / both.n, both.n, low, high) if both.n else nothing("disagreement")
    teaches = _teaches(both, metric)

    def told(labels: float, plain: float, requests: float, because: str) -> LabelNeed:
        return LabelNeed(metric, margin, power, confidence, labels, plain, requests, share, because)

    if not both.n:
        return told(math.inf, math.inf, math.inf, "there is no pair yet")
    if metric == "error" and share.high <= margin:
        return told(0.0, 0.0, 0.0, f"at most {share.high:.2%} of the pairs disagree, which is within the margin")
    if not teaches.any():
        return told(math.inf, math.inf, math.inf, "no pair disagrees yet; more of them must be mirrored first")
    labels = _draws(float(teaches.mean()), margin, power, confidence)
    plain = _draws(math.sqrt(float((teaches**2).mean())), margin, power, confidence)
    requests = labels / share.value if metric == "error" and share.value else labels
    return told(labels, plain, requests, f"{differ:,} of {both.n:,} pairs disagree")


def error_difference(both: AnswerPairs, confidence: float = 0.95) -> Measurement:
    """How many more of all requests the candidate gets wrong, from labels of disagreeing pairs alone.

    Pairs that agree count 0 whether they are labelled or not. The labelled disagreements must be a random part of all,
    as where all of them are labelled as they come; those that a person picked to look at are not. Bounds of the share
    that disagrees and of who errs there hold together, at every look.
    """
    if not both.is_class:
        raise SpecError("an error is a wrong class, and these answers name none")
    differ = ~both.agree
    known = both.take(differ & ~np.isnan(both.labels))
    if not known.n:
        return nothing("wrong_difference")
    before, after = known.errors
    gaps = after.astype(np.float64) - before
    each = (1 - confidence) / 2
    mean = float(gaps.mean())
    # One label more on either side: a run of three that went one way is no certainty.
    spread = max(spread_in_time(gaps), spread_in_time(np.concatenate([gaps, [1.0, -1.0]])))
    low, high = mean_bounds(mean, spread, known.n, each, 100)
    shares = rate_bounds(int(differ.sum()), both.n, each)
    share = float(differ.mean())
    ends = [part * max(-1.0, min(1.0, end)) for part in shares for end in (low, high)]
    at = {"confidence": confidence}
    return Measurement("wrong_difference", share * mean, known.n, min(ends), max(ends), conditions=at)


def _teaches(both: AnswerPairs, metric: Loss) -> NDArray[np.float64]:
    if metric == "error":
        return np.asarray(~both.agree, np.float64)
    before, after = (np.clip(np.asarray(p, np.float64), _LEAST, 1 - _LEAST) for p in (both.before, both.after))
    middle = (before + after) / 2
    apart = np.abs(np.log(after / (1 - after)) - np.log(before / (1 - before)))
    return np.asarray(apart * np.sqrt(middle * (1 - middle)))


def _draws(spread: float, margin: float, power: float, confidence: float) -> float:
    """The least n after which the bound of an arm without difference lies within the margin, with that power."""
    alpha, lucky = 1 - confidence, z_of(2 * power - 1) if power > 0.5 else 0.0

    def settles(n: int) -> bool:
        high = mean_bounds(0.0, spread, n, alpha, n)[1]
        return high + lucky * spread / math.sqrt(n) <= margin

    return float(_least(settles))


def _least(holds: Callable[[int], bool]) -> float:
    """The least n for which it holds, infinite beyond a milliard."""
    n = 2
    while not holds(n):
        n *= 2
        if n > MOST:
            return math.inf
    low, high = n // 2, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
