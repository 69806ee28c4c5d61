"""What a routing rule would have been worth on recorded traffic that another rule routed.

Inverse propensity weighting (Horvitz & Thompson 1952), its self-normalised form (Hajek 1971) and the doubly robust
estimate (Dudik, Langford & Li 2011): unbiased, because the chances were written down when they were drawn.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.blocks import block_sums, of_totals
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.route.traffic.traffic import Flags, Floats, Traffic

Way = Literal["ips", "snips", "dr"]
Outcome = Literal["right", "usd"]

# How many rows the overall mean counts for in a segment's guess.
PRIOR_ROWS = 20.0
FOLDS = 5


class Seen(NamedTuple):
    """One outcome of both members: what was seen (NaN elsewhere), and how likely that was."""

    weak: Floats
    strong: Floats
    chance_weak: Floats
    chance_strong: Floats

    def of(self, rule: Flags) -> tuple[Floats, Floats]:
        """The outcome and its chance under a rule, row by row."""
        return np.where(rule, self.strong, self.weak), np.where(rule, self.chance_strong, self.chance_weak)


def value(
    traffic: Traffic,
    rule: Flags,
    way: Way = "dr",
    outcome: Outcome = "right",
    where: str = "",
    confidence: float = 0.95,
) -> Measurement:
    """The mean outcome, had `rule` (n,) chosen (True: the strong member).

    The interval takes neighbouring requests together (`core/blocks.py`). Rows of which nobody knows the outcome of any
    member are left out; rows whose member under the rule had no chance to be seen may have had any outcome between 0
    and 1, and widen the interval by their share, which the conditions tell as `unsupported`. Raises BadData on a rule
    that is not a choice for each row.
    """
    seen, known = _seen(traffic, outcome)
    rule = _checked(rule, traffic)[known]
    if not known.any():
        return nothing(_name(outcome), _unit(outcome), where)
    scores, weights, unsupported = _scores(seen, rule, way, traffic.take(known))
    return _measured(scores, weights, unsupported, traffic.take(known), _name(outcome), outcome, way, where, confidence)


def difference(
    traffic: Traffic, rule: Flags, other: Flags, outcome: Outcome = "right", where: str = "", confidence: float = 0.95
) -> Measurement:
    """How much more `rule` is worth than `other`, doubly robust: rows on which both agree add nothing to the noise."""
    seen, known = _seen(traffic, outcome)
    rule, other = _checked(rule, traffic)[known], _checked(other, traffic)[known]
    name = f"{_name(outcome)}_difference"
    if not known.any():
        return nothing(name, _unit(outcome), where)
    part = traffic.take(known)
    one, weights, missing = _scores(seen, rule, "dr", part)
    two, _, missing_too = _scores(seen, other, "dr", part)
    apart = rule != other
    nowhere = np.zeros(part.n, bool)
    found = _measured(np.where(apart, one - two, 0.0), weights, nowhere, part, name, outcome, "dr", where, confidence)
    share = float(np.mean(apart & (missing | missing_too)))
    told = {**found.conditions, "unsupported": share}
    # A right and a wrong answer lie 1 apart, in either direction; prices may lie apart without bound.
    apart_by = 0.0 if not share else share if outcome == "right" else np.inf
    return Measurement(name, found.value, found.n, found.low - apart_by, found.high + apart_by, found.unit, where, told)


def effective_rows(traffic: Traffic, rule: Flags) -> float:
    """How many rows without weights would tell as much (Kish 1965)."""
    seen, known = _seen(traffic, "right")
    found, chance = seen.of(_checked(rule, traffic)[known])
    use = ~np.isnan(found) & (chance > 0)
    weights = 1.0 / chance[use]
    return float(weights.sum() ** 2 / (weights**2).sum()) if use.any() else 0.0


def _seen(traffic: Traffic, outcome: Outcome) -> tuple[Seen, Flags]:
    """The rows for which something is known, in both senses: their outcomes, and which they are."""
    if outcome == "usd":
        every = Seen(traffic.weak_usd, traffic.strong_usd, traffic.asked_weak, traffic.asked_strong)
    else:
        every = Seen(traffic.weak_right, traffic.strong_right, traffic.chance_weak, traffic.chance_strong)
    known = ~np.isnan(every.weak) | ~np.isnan(every.strong)
    return Seen(*(column[known] for column in every)), np.asarray(known)


def _scores(seen: Seen, rule: Flags, way: Way, traffic: Traffic) -> tuple[Floats, Floats, Flags]:
    """What each row adds to the value, what it counts, and whether its outcome under the rule had no chance at all."""
    found, chance = seen.of(rule)
    unsupported = ~(chance > 0)
    weight = np.where(np.isnan(found) | unsupported, 0.0, 1.0 / np.where(unsupported, 1.0, chance))
    filled = np.nan_to_num(found)
    if way == "ips":
        return weight * filled, np.ones(len(rule)), unsupported
    if way == "snips":
        return weight * filled, weight, unsupported
    guess = _guess(seen, rule, traffic)
    return guess + weight * (filled - guess), np.ones(len(rule)), unsupported


def _guess(seen: Seen, rule: Flags, traffic: Traffic) -> Floats:
    """What each row's outcome would be, from the other folds' rows of its segment; a bad guess only costs width."""
    codes = np.unique(traffic.segments.astype(str), return_inverse=True)[1]
    folds = np.unique(traffic.requests.astype(str), return_inverse=True)[1] % FOLDS
    guess = np.zeros(len(rule))
    for strong, found, chance in ((True, seen.strong, seen.chance_strong), (False, seen.weak, seen.chance_weak)):
        use = ~np.isnan(found) & (chance > 0)
        for fold in range(FOLDS):
            means = _means(codes, found, chance, use & (folds != fold))
            rows = (rule == strong) & (folds == fold)
            guess[rows] = means[codes[rows]]
    return guess


def _means(codes: NDArray[Any], found: Floats, chance: Floats, use: Flags) -> Floats:
    """The weighted mean of each segment, drawn towards that of all."""
    kinds, weights = int(codes.max()) + 1, 1.0 / chance[use]
    total = float(weights.sum())
    overall = float((weights * found[use]).sum()) / total if total else 0.0
    counts = np.bincount(codes[use], minlength=kinds)
    sums = np.bincount(codes[use], weights, kinds)
    hits = np.bincount(codes[use], weights * found[use], kinds)
    own = np.divide(hits, sums, out=np.full(kinds, overall), where=sums > 0)
    return np.asarray((counts * own + PRIOR_ROWS * overall) / (counts + PRIOR_ROWS))


def _measured(
    scores: Floats,
    weights: Floats,
    unsupported: Flags,
    traffic: Traffic,
    name: str,
    outcome: Outcome,
    way: Way,
    where: str,
    confidence: float,
) -> Measurement:
    sums = block_sums(np.stack([scores, weights], axis=1), traffic.requests, traffic.at)
    found = of_totals(name, sums, lambda t: t[:, 0] / t[:, 1], len(scores), _unit(outcome), where, confidence)
    missing = float(unsupported.mean())
    told = {**found.conditions, "estimate": way, "truth": traffic.truth, "unsupported": missing}
    low, high = found.low, found.high
    if missing and outcome == "right":
        guessed = float(np.clip(scores[unsupported], 0.0, 1.0).sum()) / len(scores) if way == "dr" else 0.0
        low, high = low - guessed, high + missing - guessed
    elif missing:  # a price has no upper bound
        high = np.inf
    return Measurement(name, found.value, found.n, low, high, found.unit, where, told)


def _checked(rule: Flags, traffic: Traffic) -> Flags:
    chosen = np.asarray(rule)
    if chosen.shape != (traffic.n,) or chosen.dtype != bool:
        raise BadData(
            f"a rule says True (the strong model) or False for each of {traffic.n} rows, "
            f"got {chosen.dtype} of shape {chosen.shape}"
        )
    return chosen


def _name(outcome: Outcome) -> str:
    return "quality" if outcome == "right" else "usd_per_row"


def _unit(outcome: Outcome) -> str:
    return "1" if outcome == "right" else "usd"
