"""Equality asks one thing in two ways that must not matter (alone or in a batch, say) and compares row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Signature
from roadworthy.core.stats import nothing, proportion
from roadworthy.core.wire import Handler
from roadworthy.evaluate.crowd.matching import Fault, Matched, Rows, ask_matched

Mask = NDArray[np.bool_]


class Example(Struct, frozen=True):
    """A row that was answered in two ways: its number in the sample, and both answers as text."""

    row: int
    one: str
    other: str


class Equality(Struct, frozen=True):
    """One question asked in two ways: how many answers differ, by how much at worst, and what follows.

    `differing` counts rows answered both times. `beyond_noise` also counts rows that failed one way only, and takes
    off what differs when the same is asked twice in the same way. `worst` is unknown for text.
    """

    name: str
    differing: Measurement
    beyond_noise: Measurement
    worst: Measurement
    error_rate: Measurement
    examples: tuple[Example, ...]
    faults: tuple[Fault, ...]
    failures: dict[str, int]
    verdict: Verdict


@dataclass(frozen=True)
class Likeness:
    """When two answers count as the same, and how large a share of others is let pass.

    Numbers may differ by `tolerance` times the larger of them, or of 1: a batch is summed in another order. Text must
    be equal. With `most_differing` of 1 %, 381 equal rows are enough to pass.
    """

    tolerance: float = 1e-5
    most_differing: float = 0.01
    examples: int = 5

    def __post_init__(self) -> None:
        if not self.tolerance >= 0 or not 0 < self.most_differing <= 1:
            given = f"{self.tolerance!r} and {self.most_differing!r}"
            raise ValueError(f"`tolerance` must be 0 or more and `most_differing` above 0 and at most 1, got {given}")


async def equalities(
    handler: Handler,
    sample: Sample,
    signature: Signature,
    rng: np.random.Generator,
    *,
    cached: Handler | None = None,
    batch_rows: int = 32,
    in_flight: int = 8,
    likeness: Likeness | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[Equality, ...]:
    """The same rows asked again, in batches, in batches of another order, and through the cache `cached`, if given.

    `handler` is asked one row at a time first; everything is compared with that, except the other order of rows,
    which is compared with the first order in batches of the same size. Hand in `handler` without a cache.
    """
    rule = likeness or Likeness()

    async def ask(which: Handler, groups: list[Rows], prefix: str) -> Matched:
        return await ask_matched(which, sample, signature, groups, in_flight, prefix, parameters=parameters)

    singles, batches = _groups(np.arange(sample.n), 1), _groups(np.arange(sample.n), batch_rows)
    one = await ask(handler, singles, "alone")
    again = await ask(handler, singles, "again")
    noise = moved_rows(one, again, rule.tolerance)
    batched = await ask(handler, batches, "batch")
    shuffled = await ask(handler, _groups(rng.permutation(sample.n), batch_rows), "order")
    found = [
        compare("asked twice", one, again, None, rule),
        compare(f"alone against batches of {batch_rows}", one, batched, noise, rule),
        compare(f"order of rows in batches of {batch_rows}", batched, shuffled, noise, rule),
    ]
    if cached is not None:
        found.append(compare("cache filled against none", one, await ask(cached, singles, "fill"), noise, rule))
        found.append(compare("cache hit against none", one, await ask(cached, singles, "hit"), noise, rule))
    return tuple(found)


async def agreement(
    name: str,
    one: Handler,
    other: Handler,
    sample: Sample,
    signature: Signature,
    likeness: Likeness | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Equality:
    """Two handlers that should answer alike (streamed or whole, float or int8, here or there), one row at a time."""
    rule = likeness or Likeness()
    singles = _groups(np.arange(sample.n), 1)

    async def ask(which: Handler, prefix: str) -> Matched:
        return await ask_matched(which, sample, signature, singles, 1, prefix, parameters=parameters)

    first, again, second = await ask(one, "one"), await ask(one, "again"), await ask(other, "other")
    return compare(name, first, second, moved_rows(first, again, rule.tolerance), rule)


def compare(name: str, one: Matched, other: Matched, noise: Mask | None, rule: Likeness) -> Equality:
    """Two rounds of answers about the same rows; `noise` says which rows differ when nothing was changed."""
    both = one.answered & other.answered
    far = distances(one.values, other.values)
    differs = both & (far > rule.tolerance)
    moved = moved_rows(one, other, rule.tolerance)
    beyond = beyond_noise(moved, np.zeros(len(moved), dtype=bool) if noise is None else noise)
    required = Requirement("differing_beyond_noise", at_most=rule.most_differing)
    verdict = _named(name, judge(beyond, required))
    if other.faults:
        verdict = Verdict("fail", f"{name}: {fault_words(other.faults)}", beyond.name, (beyond,))
    return Equality(
        name,
        proportion("differing", int(differs.sum()), int(both.sum())),
        beyond,
        worst_distance(one.values, other.values, both),
        proportion("error_rate", len(other.failed), len(moved)),
        tuple(_examples(one, other, differs, rule.examples)),
        other.faults,
        other.reasons,
        verdict,
    )


def distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """How far apart the answers of each row are (n,), in shares of the larger one or of 1; text is 0 or infinitely far.

    The worst column counts where a row has several. NaN where a number is missing.
    """
    if one.dtype == object:
        return np.where(one == other, 0.0, math.inf)
    scale = np.maximum(1.0, np.maximum(np.abs(one), np.abs(other)))
    # Two infinities of one sign are the same answer, and their difference is no number.
    far = np.where(one == other, 0.0, np.abs(np.where(one == other, 0.0, one) - np.where(one == other, 0.0, other)))
    with np.errstate(invalid="ignore"):
        relative = np.where(np.isinf(far), math.inf, far / scale)
    return np.asarray(relative.reshape(len(one), -1).max(axis=1))


def worst_distance(one: NDArray[Any], other: NDArray[Any], rows: Mask) -> Measurement:
    """The largest difference that was seen, which is a lower bound of the largest there is; unknown for text."""
    if one.dtype == object or not rows.any():
        return nothing("worst_difference")
    worst = float(distances(one, other)[rows].max())
    return Measurement("worst_difference", worst, int(rows.sum()), low=worst)


def moved_rows(one: Matched, other: Matched, tolerance: float) -> Mask:
    """Rows whose answers differ, or which were answered one time only (n,)."""
    both = one.answered & other.answered
    return (one.answered ^ other.answered) | (both & (distances(one.values, other.values) > tolerance))


def beyond_noise(moved: Mask, noise: Mask) -> Measurement:
    """The share of `moved` less the share of `noise` among the same rows, with the interval of Newcombe 1998.

    Method 10 of that paper (square and add, with the correlation of the pairs): unlike a normal interval it keeps
    its width where nothing moved at all.
    """
    n = len(moved)
    if n == 0:
        return nothing("differing_beyond_noise")
    one, two = proportion("moved", int(moved.sum()), n), proportion("noise", int(noise.sum()), n)
    spread = math.sqrt(one.value * (1 - one.value) * two.value * (1 - two.value))
    together = float((moved & noise).mean()) - one.value * two.value
    # A continuity correction, of agreement only: what makes the interval narrow must be well founded.
    together = max(0.0, together - 1 / (2 * n)) if together > 0 else together
    phi = together / spread if spread > 0 else 0.0

    def half(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    value = one.value - two.value
    low = value - half(one.value - one.low, two.high - two.value)
    high = value + half(one.high - one.value, two.value - two.low)
    return Measurement("differing_beyond_noise", value, n, low, high, conditions={"noise": two.value})


def fault_words(faults: tuple[Fault, ...]) -> str:
    """The first fault in words, and how many there are."""
    return f"{faults[0]}" + (f", and {len(faults) - 1} more such answers" if len(faults) > 1 else "")


def _named(name: str, verdict: Verdict) -> Verdict:
    return Verdict(verdict.decision, f"{name}: {verdict.because}", verdict.of, verdict.evidence)


def _examples(one: Matched, other: Matched, differs: Mask, most: int) -> Iterator[Example]:
    for row in np.flatnonzero(differs)[:most].tolist():
        yield Example(row, _words(one.values[row]), _words(other.values[row]))


def _words(answer: Any) -> str:
    text = answer if isinstance(answer, str) else np.array2string(np.asarray(answer), precision=8, threshold=10)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _groups(rows: NDArray[Any], size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
