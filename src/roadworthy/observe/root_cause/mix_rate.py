"""Mix or rate: did rows of each kind get worse, or did more of the bad kinds come? (Kitagawa 1955, Oaxaca, Blinder.)

A dimension is the root of a change of mix where knowing its shift leaves nothing to tell about the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from roadworthy.observe.root_cause.dimensions import Dimension
from roadworthy.observe.root_cause.expected import Expected
from roadworthy.observe.root_cause.metric_rows import Floats

# A dimension whose mix brings less of the increase than this is not looked at.
LEAST_SHARE = 0.05
# More of its move than this is told by another dimension: then it is a consequence of that one.
TOLD = 0.5


class Split(Struct, frozen=True):
    """An increase in two parts: `mix` is what the rows' kinds let expect, `rate` what came on top, as shares of it."""

    increase: float
    mix: float
    rate: float
    strata: tuple[str, ...]


class DimensionSplit(Struct, frozen=True, omit_defaults=True):
    """The same by the values of one dimension alone.

    `value` is the one whose share moved most to the worse, `gain` the log-likelihood of that, `brings` what it brings.
    """

    dimension: str
    mix: float
    rate: float
    value: str = ""
    share_now: float = 0.0
    share_before: float = 0.0
    brings: float = 0.0
    gain: float = 0.0
    follows: str = ""


def split_of(given: Expected) -> Split:
    """The increase of the first scale, with what was to be expected of these rows taken apart."""
    scale = given.scales[0]
    increase = float(scale.now.mean() - scale.before.mean())
    mix = float(given.expected_now[0].mean() - given.expected_before[0].mean())
    if not increase:
        return Split(0.0, 0.0, 0.0, given.strata)
    return Split(increase, mix / increase, 1 - mix / increase, given.strata)


def by_dimension(dims: Sequence[Dimension], given: Expected, increase: float) -> list[DimensionSplit]:
    """Kitagawa's two parts for every dimension, the largest mix first, and which of them only follow another."""
    if not increase:
        return []
    pairs = [(d, _split(d, given, increase)) for d in dims]
    moved = [d for d, split in pairs if split.mix > LEAST_SHARE]
    leaders = _leaders(moved)
    told = [
        DimensionSplit(
            split.dimension,
            split.mix,
            split.rate,
            split.value,
            split.share_now,
            split.share_before,
            split.brings,
            split.gain,
            leaders.get(split.dimension, ""),
        )
        for _, split in pairs
    ]
    return sorted(told, key=lambda split: -split.mix)


def _split(d: Dimension, given: Expected, increase: float) -> DimensionSplit:
    n, m = d.counts("now"), d.counts("before")
    now, before = n / n.sum(), m / m.sum()
    y, e = given.scales[0], given.expected_now[0]
    then = np.bincount(d.before, y.before, d.size) / np.maximum(m, 1)
    # A value that was not there before: what the rows' likes took stands in for what it would have taken.
    then = np.where(m > 0, then, np.bincount(d.now, e, d.size) / np.maximum(n, 1))
    there = np.where(n > 0, np.bincount(d.now, y.now, d.size) / np.maximum(n, 1), then)
    if d.role == "served":
        # A release that is new has no past of its own: that it is slow is rate, not mix.
        rate = float((now * (there - then)).sum())
        mix = float(((now - before) * then).sum())
    else:
        mix = float(((now - before) * (then + there) / 2).sum())
        rate = float(((there - then) * (now + before) / 2).sum())
    place, brings, gain = _value(d, then, n, m)
    label = d.labels[place] if place >= 0 else ""
    shares = _shares(d, place) if place >= 0 else (0.0, 0.0)
    return DimensionSplit(d.name, mix / increase, rate / increase, label, *shares, brings / increase, gain)


def _shares(d: Dimension, place: int) -> tuple[float, float]:
    picked = d.picks[place]
    return float(picked[d.now].mean()), float(picked[d.before].mean())


def _value(d: Dimension, means: Floats, n: Floats, m: Floats) -> tuple[int, float, float]:
    """The label that grew least by chance, of those that make things worse; what it brings, and its gain."""
    picks = d.picks.astype(np.float64)
    now, before = picks @ n / n.sum(), picks @ m / m.sum()
    weights = m + 1e-9
    inside = picks @ (weights * means) / np.maximum(picks @ weights, 1e-12)
    outside = ((weights * means).sum() - picks @ (weights * means)) / np.maximum(weights.sum() - picks @ weights, 1e-12)
    brings = (now - before) * (inside - outside)
    gain = _divergence(now, before, n.sum(), m.sum()) * (brings > 0) * (now > before)
    # Two shares of a whole move alike: of the labels that move as much, the one that brings more.
    best = int(np.argmax(gain * brings)) if gain.size and gain.max() > 0 else -1
    return (best, float(brings[best]), float(gain[best])) if best >= 0 else (best, 0.0, 0.0)


def _divergence(now: Floats, before: Floats, n: float, m: float) -> Floats:
    """Log-likelihood of a changed share (two outcomes), half a row being added to each."""
    p, q = (now * n + 0.5) / (n + 1), (before * m + 0.5) / (m + 1)
    return np.asarray(n * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))))


def _leaders(moved: Sequence[Dimension]) -> dict[str, str]:
    """For each dimension that only follows another one: its leader.

    What follows never moves more than what it follows (the data processing inequality), so that the dimensions are
    taken by how far they moved.
    """
    order = sorted(moved, key=lambda d: -_moved(d.now, d.before, d.size, np.zeros(1), np.zeros(1)))
    leaders: dict[str, str] = {}
    for k, follower in enumerate(order):
        for leader in order[:k]:
            if leader.name not in leaders and _told(follower, leader) > TOLD:
                leaders[follower.name] = leader.name
                break
    return leaders


def _told(a: Dimension, b: Dimension) -> float:
    """1 where the shares of `a` within each value of `b` are what they were, 0 where `b` says nothing of them."""
    own = _moved(a.now, a.before, a.size, np.zeros(1), np.zeros(1))
    if own <= 0:
        return 0.0
    joint = [d.astype(np.int64) * a.size + c for c, d in ((a.now, b.now), (a.before, b.before))]
    left = _moved(joint[0], joint[1], a.size * b.size, b.counts("now"), b.counts("before"))
    return max(0.0, 1 - max(0.0, left) / own)


def _moved(
    now: np.ndarray[tuple[int], np.dtype[np.int64]],
    before: np.ndarray[tuple[int], np.dtype[np.int64]],
    size: int,
    within_now: Floats,
    within_before: Floats,
) -> float:
    """Log-likelihood of changed shares (within groups), less what as many shares gain by chance."""
    n, m = (np.bincount(codes, minlength=size).astype(np.float64) for codes in (now, before))
    groups = max(1, len(within_now))
    n, m = n.reshape(groups, -1), m.reshape(groups, -1)
    kinds = max(1, int((m.sum(axis=0) > 0).sum()))
    p = n / np.maximum(n.sum(axis=1, keepdims=True), 1)
    # A share that was never seen is small, and not nothing.
    overall = (m.sum(axis=0) + 0.5) / (m.sum() + 0.5 * m.shape[1])
    q = (m + 5 * overall) / (m.sum(axis=1, keepdims=True) + 5)
    found = float((n * np.log(np.where(n > 0, p / q, 1.0))).sum())
    # A group that had few rows before knows its shares badly: the more of it there is now, the more that tells.
    rows, past = n.sum(axis=1), m.sum(axis=1)
    return found - float((0.5 * (kinds - 1) * (1 + rows / (past + 5)))[rows > 0].sum())
