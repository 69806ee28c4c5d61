"""Recomputes logged inputs as of the time they were served, and says where serving and recomputation disagree.

The online/offline consistency job of Chronon (Airbnb), for any function that can say what a feature was at a time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Decision, Measurement, Requirement, Verdict, judge, worst
from roadworthy.core.stats import mean, nothing, proportion, z_of
from roadworthy.core.window import Window, column
from roadworthy.data.compared import Compared, compare, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_EXAMPLES = 5
QUANTILES = (0.05, 0.5, 0.95)


class Recompute(Protocol):
    """What each feature was for the entity `keys[k]` at `at[k]` (Unix seconds): n values a name, None where none."""

    def __call__(self, keys: Sequence[str], at: Sequence[float]) -> Mapping[str, Sequence[Any]]: ...


class Feature(Struct, frozen=True):
    """One feature, served against recomputed. The four rates add up to 1 over the rows.

    `missing` was null when served and has a value now, `extra` the other way round. Intervals allow for rows of one
    key that go wrong together. `smape` is the mean of 2 |a - b| / (|a| + |b|), from 0 to 2; `deltas` are quantiles of
    served minus recomputed where both are numbers, and the largest by size.
    """

    feature: str
    match: Measurement
    mismatch: Measurement
    missing: Measurement
    extra: Measurement
    smape: Measurement
    deltas: tuple[Measurement, ...]
    examples: tuple[str, ...]
    verdict: Verdict


class Consistency(Struct, frozen=True):
    """Of `rows` logged rows, `looked_at` of `keys` entities were recomputed; `unknown` features could not be."""

    rows: int
    looked_at: int
    keys: int
    features: tuple[Feature, ...]
    unknown: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """One failed feature fails, else one that waits waits."""
        return worst([feature.verdict for feature in self.features])


def sampled(keys: Sequence[str], share: float, salt: str = "") -> NDArray[np.bool_]:
    """Which rows (n,) to look at: all rows of a `share` of the keys, chosen by a hash on which every process agrees."""
    chosen = {key: _place(key, salt) < share for key in set(keys)}
    return np.array([chosen[key] for key in keys], dtype=bool)


def consistency(
    logged: Window,
    keys: Sequence[str],
    recompute: Recompute,
    *,
    share: float = 1.0,
    salt: str = "",
    relative: float = 1e-5,
    absolute: float = 1e-9,
    at_most: float = 0.01,
) -> Consistency:
    """Recompute the inputs of a share of the entities at the logged times, and compare them one by one.

    `keys` (n,) name the entity of each logged row. A feature fails where more than `at_most` of its rows are shown not
    to match. Raises BadData where the function gives another number of values than it was asked for.
    """
    if len(keys) != logged.n:
        raise BadData(f"{len(keys)} keys for {logged.n} logged rows: give one for each row")
    chosen = np.flatnonzero(sampled(keys, share, salt))
    rows, names = logged.take(chosen), [keys[k] for k in chosen.tolist()]
    computed = recompute(names, rows.at.tolist()) if names else {}
    _, number = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    found = []
    for feature, served in rows.inputs.items():
        if feature not in computed:
            continue
        values = column(list(computed[feature]))
        if len(values) != rows.n:
            raise BadData(f"the function gave {len(values)} values of {feature!r} for {rows.n} rows: one for each row")
        each = compare(values, served, relative, absolute)
        examples = _examples(each, names, rows.at, values, served)
        found.append(_feature(feature, each, number, values, served, examples, at_most))
    unknown = tuple(name for name in rows.inputs if name not in computed) if names else ()
    return Consistency(logged.n, rows.n, len(set(names)), tuple(found), unknown)


def _place(key: str, salt: str) -> float:
    found = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8)
    return int.from_bytes(found.digest(), "big") / 2**64


def _examples(
    each: Compared, names: Sequence[str], at: NDArray[np.float64], values: NDArray[Any], served: NDArray[Any]
) -> tuple[str, ...]:
    odd = np.flatnonzero(~each.match)[:MOST_EXAMPLES].tolist()
    return tuple(f"{names[k]} at {at[k]:.0f}: {shown(served[k])} served, {shown(values[k])} recomputed" for k in odd)


def _feature(
    feature: str,
    each: Compared,
    key: NDArray[np.int64],
    values: NDArray[Any],
    served: NDArray[Any],
    examples: tuple[str, ...],
    at_most: float,
) -> Feature:
    rates = [("match", each.match), ("mismatch", each.differ), ("missing", each.missing), ("extra", each.extra)]
    match, mismatch, missing, extra = (_rate(name, rows, key, feature) for name, rows in rates)
    wrong = _rate("wrong", ~each.match, key, feature)
    judged = judge(wrong, Requirement("wrong", at_most=at_most, where=feature))
    told = f"{wrong}: {mismatch.value:.2%} differ, {missing.value:.2%} missing, {extra.value:.2%} extra"
    numbers = values.dtype != object and served.dtype != object and values.ndim == served.ndim == 1
    there = (each.match | each.differ) & ~(np.isnan(values) if numbers else True)
    smape, deltas = _apart(feature, values[there], served[there]) if numbers else (nothing("smape", where=feature), ())
    verdict = Verdict(judged.decision, told if wrong.n else judged.because, "consistency", (wrong,))
    return Feature(feature, match, mismatch, missing, extra, smape, deltas, examples, verdict)


def _rate(name: str, rows: NDArray[np.bool_], key: NDArray[np.int64], where: str) -> Measurement:
    """A share of rows, its interval no narrower than the spread between keys makes it (ratio estimator of clusters)."""
    hits, n = int(rows.sum()), len(rows)
    plain = proportion(name, hits, n, where)
    if not n:
        return plain
    counts, sums = np.bincount(key), np.bincount(key, rows)
    k = len(counts)
    spread = float(((sums - hits / n * counts) ** 2).sum()) * k / max(1, k - 1)
    half = z_of(0.95) * math.sqrt(spread) / n
    value = plain.value
    return Measurement(
        name, value, n, max(0.0, min(plain.low, value - half)), min(1.0, max(plain.high, value + half)), where=where
    )


def _apart(
    feature: str, values: NDArray[np.float64], served: NDArray[np.float64]
) -> tuple[Measurement, tuple[Measurement, ...]]:
    if not len(values):
        return nothing("smape", where=feature), ()
    size = np.abs(values) + np.abs(served)
    delta = served - values
    smape = mean("smape", np.where(size > 0, 2 * np.abs(delta) / np.where(size > 0, size, 1.0), 0.0), feature)
    found = [(f"delta p{100 * q:g}", float(np.quantile(delta, q))) for q in QUANTILES]
    found.append(("largest delta", float(delta[np.argmax(np.abs(delta))])))
    return smape, tuple(Measurement(name, value, len(delta), where=feature) for name, value in found)
