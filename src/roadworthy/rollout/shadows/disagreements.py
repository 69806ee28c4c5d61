"""The disagreements of two arms that are worth a person's look: large, with much at stake, and unlike each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.window import Window
from roadworthy.rollout.shadows.answer_pairs import AnswerPairs
from roadworthy.rollout.shadows.label_needs import LabelNeed, label_need
from roadworthy.rollout.statistics.numbers import check_name, number

# Only so many times more than wanted, the largest, are compared with each other.
POOL = 40
Answer = float | str | None | tuple[float, ...]


class Disagreement(Struct, frozen=True):
    """A request that both arms answered, with both answers; `because` says in words why it is shown."""

    id: str
    at: float
    control: Answer
    candidate: Answer
    distance: float
    stake: float
    because: str
    inputs: Mapping[str, Any]
    tags: Mapping[str, str]
    label: float | None = None


class Disagreements(Struct, frozen=True):
    """The rows to look at, the first first. They are picked, so no rate may be read off them.

    `to_label` are ids of disagreeing pairs drawn at random: labels of those, unlike labels of `rows`, tell without
    bias which arm is better (`label_needs.error_difference`).
    """

    pairs: int
    disagreeing: int
    rows: tuple[Disagreement, ...]
    to_label: tuple[str, ...]
    need: LabelNeed | None


@dataclass(frozen=True)
class Choice:
    """How many to show, what is at stake in a row (a number's name, `inputs.amount`; 1 where empty), how alike is too
    alike, and by which `margin` an arm must be better for anybody to care.

    A row that differs from a shown one in less than `alike` of its inputs (Gower 1971: a category counts 0 or 1, a
    number its distance as a part of its range) is left out; each row shown of a tag's value halves what others of that
    value count.
    """

    most: int = 20
    stake: str = ""
    alike: float = 0.05
    margin: float = 0.01
    labels: int = 200

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"`most` must be at least 1, got {self.most!r}")
        if not 0 <= self.alike < 1:
            raise ValueError(f"`alike` must be at least 0 and below 1, got {self.alike!r}")
        if self.stake:
            check_name(self.stake)


def disagreements(both: AnswerPairs, rng: np.random.Generator, how: Choice | None = None) -> Disagreements:
    """What to look at, what to label, and how many labels settle it. `both` are `paired` rows of two arms."""
    how = Choice() if how is None else how
    known = both.take(both.answered)
    size = _sizes(known)
    stake = _stakes(known.control, how.stake)
    rows = _pick(known, size * stake, how)
    differ = np.flatnonzero(~known.agree)
    drawn = np.sort(rng.choice(differ, min(how.labels, len(differ)), replace=False))
    ids = known.control.ids
    need = label_need(known, how.margin) if known.is_class else None
    return Disagreements(
        known.n,
        len(differ),
        tuple(_told(known, k, float(size[k]), float(stake[k]), how.stake) for k in rows),
        () if ids is None else tuple(ids[drawn].tolist()),
        need,
    )


def _sizes(both: AnswerPairs) -> NDArray[np.float64]:
    """How far apart the answers are; of texts the share of words that only one of them has (Jaccard 1901)."""
    if not both.is_text:
        return both.distance
    return np.array([_apart(str(a), str(b)) for a, b in zip(both.before, both.after, strict=True)], np.float64)


def _apart(one: str, other: str) -> float:
    if one == other:
        return 0.0
    a, b = set(one.split()), set(other.split())
    # The same words in another order still are another answer.
    return max(0.01, 1 - len(a & b) / max(1, len(a | b)))


def _stakes(rows: Window, name: str) -> NDArray[np.float64]:
    """What is at stake in each row, as its size; 0 where it is not known."""
    if not name:
        return np.ones(rows.n)
    return np.abs(np.nan_to_num(number(rows, name)))


def _pick(both: AnswerPairs, score: NDArray[np.float64], how: Choice) -> list[int]:
    """Greedily the row that counts most, given what was picked before."""
    pool = [k for k in np.argsort(-score, kind="stable")[: POOL * how.most].tolist() if score[k] > 0]
    likeness = _Likeness.of(both.control)
    picked: list[int] = []
    shown: Counter[tuple[str, str]] = Counter()
    while pool and len(picked) < how.most:
        worth = [score[k] * 0.5 ** _crowding(both.control, k, shown) for k in pool]
        best = pool.pop(int(np.argmax(worth)))
        picked.append(best)
        shown.update((name, column[best]) for name, column in both.control.tags.items())
        near = likeness.distances(best, np.array(pool, np.int64)) < how.alike
        pool = [k for k, close in zip(pool, near.tolist(), strict=True) if not close]
    return picked


def _crowding(rows: Window, k: int, shown: Counter[tuple[str, str]]) -> float:
    """How often the row's tags were shown already, on average over its tags."""
    if not rows.tags:
        return 0.0
    return sum(shown[name, column[k]] for name, column in rows.tags.items()) / len(rows.tags)


@dataclass(frozen=True)
class _Likeness:
    """The inputs as columns that can be compared: numbers by their ranges, all others by whether they are the same."""

    numbers: NDArray[np.float64]
    words: NDArray[np.object_]

    @classmethod
    def of(cls, rows: Window) -> _Likeness:
        plain = [c for c in rows.inputs.values() if c.dtype != object and c.ndim == 1]
        words = [c for c in rows.inputs.values() if c.dtype == object]
        scaled = [_scaled(np.asarray(c, np.float64)) for c in plain]
        return cls(
            np.column_stack(scaled) if scaled else np.zeros((rows.n, 0)),
            np.column_stack([[str(v) for v in c] for c in words]).astype(object)
            if words
            else np.empty((rows.n, 0), object),
        )

    def distances(self, k: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gower's distance of row k from each of the others; without inputs nothing is like anything."""
        columns = self.numbers.shape[1] + self.words.shape[1]
        if not columns or not len(others):
            return np.full(len(others), math.inf)
        gaps = np.abs(self.numbers[others] - self.numbers[k])
        apart = np.where(np.isnan(gaps), np.isnan(self.numbers[others]) != np.isnan(self.numbers[k]), gaps)
        return np.asarray((apart.sum(axis=1) + (self.words[others] != self.words[k]).sum(axis=1)) / columns, np.float64)


def _scaled(column: NDArray[np.float64]) -> NDArray[np.float64]:
    known = column[~np.isnan(column)]
    low, high = np.quantile(known, [0.05, 0.95]) if len(known) else (0.0, 1.0)
    return np.asarray(column / (high - low if high > low else 1.0))


def _told(both: AnswerPairs, k: int, size: float, stake: float, name: str) -> Disagreement:
    rows, label = both.control, both.labels[k]
    ids = rows.ids
    return Disagreement(
        "" if ids is None else str(ids[k]),
        float(rows.at[k]),
        _answer(both.before[k]),
        _answer(both.after[k]),
        size,
        stake,
        _because(both, k, size, f", {name} {stake:g}" if name else ""),
        {column: _plain(values[k]) for column, values in rows.inputs.items()},
        {tag: str(values[k]) for tag, values in rows.tags.items()},
        None if math.isnan(label) else float(label),
    )


def _because(both: AnswerPairs, k: int, size: float, stake: str) -> str:
    if both.is_text:
        return f"{size:.0%} of the words differ{stake}"
    moved = "another class" if both.is_class and not both.agree[k] else "the same class" if both.is_class else "a gap"
    return f"{moved}, {size:.3g} apart{stake}"


def _answer(value: Any) -> Answer:
    plain = _plain(value)
    return tuple(plain) if isinstance(plain, list) else plain


def _plain(value: Any) -> Any:
    """A value that goes to JSON: null for NaN."""
    found = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return None if isinstance(found, float) and math.isnan(found) else found
