"""Learn, from labelled rows of the traffic, below which score a cheap model may say no and from which on yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.route.cascades.batch import checked
from roadworthy.route.cascades.consistency import delta_left, widened
from roadworthy.route.cascades.design import Chances
from roadworthy.route.cascades.fits import CascadeFit, Level, Point, Target
from roadworthy.route.cascades.frontier import ideal_of_filter
from roadworthy.route.cascades.samples import Draws, flags_of, parted, refuse_few

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PARTS = np.concatenate([np.array([0.02, 0.05, 0.1, 0.2]), np.arange(0.3, 1.6, 0.05)])


@dataclass(frozen=True)
class Sorted:
    """Where each row ended: answered yes or no by a cheap level (its number), or by the last (-1)."""

    yes: Flags
    level: NDArray[np.int64]


def sort_rows(levels: Sequence[Level], scores: Sequence[Floats]) -> Sorted:
    """Each row to the first level that answers it; what none answers is `level` -1."""
    at = np.full(len(scores[0]), -1, np.int64)
    yes = np.zeros(len(at), np.bool_)
    for number, (level, score) in enumerate(zip(levels, scores, strict=True)):
        accept = score >= level.accept_from if level.accept_from is not None else np.zeros(len(at), np.bool_)
        reject = score < level.reject_below if level.reject_below is not None else np.zeros(len(at), np.bool_)
        yes[(at < 0) & accept] = True
        at[(at < 0) & (accept | reject)] = number
    return Sorted(yes, at)


def fit_filter(
    labels: ArrayLike,
    scores: Sequence[ArrayLike],
    target: Target,
    rng: np.random.Generator,
    names: Sequence[str] = (),
    chances: ArrayLike | None = None,
    least_chance: float | None = None,
    flips: float = 0.0,
) -> CascadeFit:
    """Two answers: `scores` has the probability of yes of each cheap level, cheapest first; NaN goes on.

    `labels` are what the last level says (or what is true, if it always says that). Rows are taken to be drawn from
    the traffic, each with its chance in `chances` (`samples.draw_chances`). One part of them proposes thresholds, the
    other tests these along one path, on which both kinds of error grow together: precision and recall are each tested
    at the full delta (intersection-union, Berger 1982), and levels share the path, so neither divides delta.
    """
    found = [checked(np.asarray(score, np.float64)) for score in scores]
    truth = flags_of(labels, len(found[0]))
    draws = Draws.of(chances, least_chance, len(truth))
    precision, recall = _aims(target, flips, truth, draws)
    design, test = parted(len(truth), rng)
    refuse_few(int(truth[test].sum()), max(precision, recall), delta_left(target, flips), "positive rows", len(truth))
    path = path_of([score[design] for score in found], truth[design], precision, recall, names)
    delta = delta_left(target, flips)
    mine, seen, given = truth[test], [score[test] for score in found], draws.take(test)
    reached = 0
    for levels in path:
        out = sort_rows(levels, seen)
        answered_yes = out.yes | ((out.level < 0) & mine)
        rejected = (out.level >= 0) & ~out.yes
        if not given.shows(mine, answered_yes, precision, delta):
            break
        if not given.shows(~rejected, mine, recall, delta):
            break
        reached += 1
    levels = path[reached - 1] if reached else _shut(len(found), names)
    return _fit(target, levels, path, seen, mine, given, len(truth), reached, flips)


def _aims(target: Target, flips: float, truth: Flags, draws: Draws) -> tuple[float, float]:
    """Precision and recall to test for, so that both still hold when the last model contradicts itself at times.

    How many rows are positive is taken from the lower end of its 95 % interval, outside of delta.
    """
    positive = draws.share("positive", truth).low
    return widened(*target.pair(), flips, positive)


def path_of(
    scores: Sequence[Floats], truth: Flags, precision: float, recall: float, names: Sequence[str]
) -> list[tuple[Level, ...]]:
    """Thresholds in the order in which they are tried: both kinds of error, as guessed, grow in step."""
    curves = [Chances.learnt(s[np.isfinite(s)], truth[np.isfinite(s)], degree=1) for s in scores]
    guess = np.stack(
        [np.where(np.isfinite(s), c(np.nan_to_num(s)), np.nan) for s, c in zip(scores, curves, strict=True)]
    )
    for number, curve in enumerate(curves):
        guess[number] = guess[number] if curve.rising else np.nan
    positives = float(truth.sum())
    missed, wrong = (1 - recall) * positives, (1 - precision) / precision * recall * positives
    grid = 1 / (1 + np.exp(-np.linspace(-9, 9, 361)))
    low = np.array([_first(guess, guess < x) for x in grid])
    high = np.array([_first(1 - guess, guess >= x) for x in grid])
    found = []
    for part in PARTS:
        reject = grid[low <= part * missed].max(initial=0.0)
        accept = grid[high <= part * wrong].min(initial=1.0)
        if reject > accept:  # nothing would be sent on: both stop in the middle
            reject = accept = (reject + accept) / 2
        found.append(tuple(_level(c, reject, accept, _name(names, k)) for k, c in enumerate(curves)))
    return list(dict.fromkeys(found))


def _first(errors: Floats, kept: Flags) -> float:
    """The guessed errors of rows that are kept, each at the first level that keeps it."""
    at = kept.argmax(axis=0)
    return float(np.where(kept.any(axis=0), np.take_along_axis(errors, at[None], 0)[0], 0.0).sum())


def _level(curve: Chances, reject: float, accept: float, name: str) -> Level:
    if not curve.rising:
        return Level(name=name)
    below = curve.score_at(reject) if reject > 0 else None
    return Level(below, curve.score_at(accept) if accept < 1 else None, name=name)


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number < len(names) else f"level {number + 1}"


def _shut(count: int, names: Sequence[str]) -> tuple[Level, ...]:
    return tuple(Level(name=_name(names, number)) for number in range(count))


def _fit(
    target: Target,
    levels: tuple[Level, ...],
    path: list[tuple[Level, ...]],
    scores: Sequence[Floats],
    truth: Flags,
    draws: Draws,
    rows: int,
    reached: int,
    flips: float,
) -> CascadeFit:
    from msgspec.structs import replace

    out = sort_rows(levels, scores)
    shares = [draws.share("answers", out.level == number).value for number in range(len(levels))]
    told = tuple(replace(level, answers=share) for level, share in zip(levels, shares, strict=True))
    words = (
        f"{target.words} for rows drawn as these {rows:,} were; {len(truth):,} of them tested {reached} of "
        f"{len(path)} choices in a fixed order, {'exactly (binomial)' if draws.chances is None else 'by betting'}"
    )
    if not reached:
        words = f"every row is sent on: {len(truth):,} rows do not show {target.words} for the safest choice"
    curve = tuple(_point(sort_rows(choice, scores), truth, draws) for choice in path)
    ideal = ideal_of_filter(scores[-1], truth) if draws.chances is None else ()
    delegation = draws.share("delegation", out.level < 0)
    return CascadeFit(target, "traffic", told, rows, rows, delegation, words, 0, len(path), flips or None, curve, ideal)


def _point(out: Sorted, truth: Flags, draws: Draws) -> Point:
    weights = draws.weights(len(truth))
    yes = out.yes | ((out.level < 0) & truth)
    hits = float((weights * (yes & truth)).sum())
    precision = hits / max(float((weights * yes).sum()), 1e-12)
    recall = hits / max(float((weights * truth).sum()), 1e-12)
    return Point(draws.share("delegation", out.level < 0).value, (precision, recall))
