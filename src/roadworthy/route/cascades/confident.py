"""Learn how confident a cheap model must be to answer by itself, for any number of classes and of levels.

The target is accuracy against labels, or agreement with the last model: one error rate of the whole cascade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.route.cascades.batch import checked
from roadworthy.route.cascades.consistency import delta_left, widened_share
from roadworthy.route.cascades.design import Chances
from roadworthy.route.cascades.fits import CascadeFit, Level, Point, Target
from roadworthy.route.cascades.frontier import ideal_of_confidence
from roadworthy.route.cascades.samples import Draws, parted, refuse_few

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

GRID = 1 - np.concatenate([[0.0], np.geomspace(0.001, 0.999, 240)])
PARTS = np.concatenate([np.array([0.02, 0.05, 0.1, 0.2]), np.arange(0.3, 1.6, 0.05)])
# Choices that are tried before, as parts of the way to the first of those.
SAFER = (0.25, 0.5, 0.75)
# Fewer rows of a class, right and wrong ones, than this say nothing about its own threshold.
LEAST_OF_CLASS = 4


@dataclass(frozen=True)
class Cheap:
    """One cheap level: the class it predicts for each row (0, 1, ...) and how confident it is, between 0 and 1."""

    predicted: Rows
    confidence: Floats
    name: str = ""

    def take(self, rows: Rows) -> Cheap:
        """Some of its rows."""
        return Cheap(self.predicted[rows], self.confidence[rows], self.name)


def level_of(levels: Sequence[Level], cheap: Sequence[Cheap]) -> Rows:
    """The number of the first level that keeps each row; -1 where the last model answers."""
    at = np.full(len(cheap[0].predicted), -1, np.int64)
    for number, (level, rows) in enumerate(zip(levels, cheap, strict=True)):
        at[(at < 0) & keeps(level, rows)] = number
    return at


def keeps(level: Level, rows: Cheap) -> Flags:
    """Which rows a level answers by itself."""
    if level.by_class:
        edges = np.array([np.inf if edge is None else edge for edge in level.by_class])
        return np.asarray(rows.confidence >= edges[rows.predicted])
    edge = np.inf if level.keep_from is None else level.keep_from
    return np.asarray(rows.confidence >= edge)


def fit_confident(
    labels: ArrayLike,
    cheap: Sequence[Cheap],
    target: Target,
    rng: np.random.Generator,
    last: ArrayLike | None = None,
    by_class: bool = False,
    chances: ArrayLike | None = None,
    least_chance: float | None = None,
    flips: float = 0.0,
) -> CascadeFit:
    """`labels` are the true classes, or the last model's answers; `last` its answers where it may itself be wrong.

    `by_class` gives each predicted class a threshold. The promise is about all rows together; `fit_each_class` makes
    one for each class. Levels share one path of thresholds, so delta and the allowed errors are not divided among them.
    """
    found, truth = _checked(labels, cheap)
    share, delta = widened_share(target.share(), flips), delta_left(target, flips)
    draws = Draws.of(chances, least_chance, len(truth))
    final = truth if last is None else np.asarray(last, np.int64)
    design, test = parted(len(truth), rng)
    refuse_few(len(test), share, delta, "rows", len(truth))
    path = path_of([c.take(design) for c in found], truth[design], final[design], share, by_class)
    seen, mine, given = [c.take(test) for c in found], truth[test], draws.take(test)
    every, reached = np.ones(len(test), np.bool_), 0
    for levels in path:
        if not given.shows(_right(levels, seen, mine, final[test]), every, share, delta):
            break
        reached += 1
    chosen = path[reached - 1] if reached else tuple(Level(name=c.name) for c in found)
    told = _fit(target, chosen, path, seen, mine, final[test], given, len(truth), reached)
    return replace(told, flips=flips or None)


def fit_each_class(
    labels: ArrayLike, cheap: Cheap, target: Target, rng: np.random.Generator, classes: int
) -> CascadeFit:
    """The promise for the rows of each predicted class by itself: delta is shared out over the classes.

    A class with too few rows to show anything is always sent on.
    """
    (rows,), truth = _checked(labels, [cheap])
    each = replace(target, delta=target.delta / classes)
    edges: list[float | None] = []
    sent, why = np.ones(len(truth), np.bool_), []
    for name in range(classes):
        mine = np.flatnonzero(rows.predicted == name)
        try:
            fit = fit_confident(truth[mine], [rows.take(mine)], each, rng)
        except BadData as few:
            edges.append(None)
            why.append(f"class {name} is always sent on ({few})")
            continue
        edges.append(fit.levels[0].keep_from)
        sent[mine] = level_of(fit.levels, [rows.take(mine)]) < 0
    level = Level(by_class=tuple(edges), name=rows.name, answers=float(1 - sent.mean()))
    words = f"{target.words} for each of {classes} predicted classes, delta shared out; {'; '.join(why)}".rstrip("; ")
    delegation = Draws(None).share("delegation", sent)
    return CascadeFit(target, "traffic", (level,), len(truth), len(truth), delegation, words)


def _checked(labels: ArrayLike, cheap: Sequence[Cheap]) -> tuple[list[Cheap], Rows]:
    truth = floats(labels, "labels of classes")
    if truth.ndim != 1 or not np.isfinite(truth).all() or (truth < 0).any() or np.mod(truth, 1).any():
        raise BadData(
            "labels of classes are their numbers 0, 1, ...; some of these are missing, negative or no whole numbers"
        )
    if not len(truth) or any(len(c.predicted) != len(truth) or len(c.confidence) != len(truth) for c in cheap):
        raise BadData(f"{len(truth):,} labels need as many predictions and confidences of each level, and some rows")
    if len(np.unique(truth)) < 2 and all(len(np.unique(c.predicted)) > 1 for c in cheap):
        raise BadData(f"all {len(truth):,} labels are one class: thresholds need rows of several")
    found = [
        Cheap(np.asarray(c.predicted, np.int64), checked(c.confidence), c.name or f"level {k + 1}")
        for k, c in enumerate(cheap)
    ]
    return found, truth.astype(np.int64)


def _right(levels: Sequence[Level], cheap: Sequence[Cheap], truth: Rows, final: Rows) -> Flags:
    """Which rows the whole cascade answers right."""
    at, answers = level_of(levels, cheap), final.copy()
    for number, rows in enumerate(cheap):
        answers[at == number] = rows.predicted[at == number]
    return np.asarray(answers == truth)


def path_of(cheap: Sequence[Cheap], truth: Rows, final: Rows, share: float, by_class: bool) -> list[tuple[Level, ...]]:
    """Thresholds in the order in which they are tried: one guessed chance of being right for all levels and classes."""
    curves = [_curves(rows, rows.predicted == truth, by_class) for rows in cheap]
    choices = [tuple(_level(c, x, rows.name) for c, rows in zip(curves, cheap, strict=True)) for x in GRID]
    wrong = np.maximum.accumulate([float((~_right(levels, cheap, truth, final)).sum()) for levels in choices])
    steps = [
        int(np.flatnonzero(wrong <= wrong[0] + part * max((1 - share) * len(truth) - wrong[0], 0.0))[-1])
        for part in PARTS
    ]
    # What made no error in few rows may still be too bold. Whatever keeps less errs no more, and costs no later choice.
    safer = [int(part * steps[0]) for part in SAFER]
    return list(dict.fromkeys(choices[step] for step in (*safer, *steps)))


def _curves(rows: Cheap, right: Flags, by_class: bool) -> list[Chances]:
    """The guessed chance that an answer is right, by confidence: one curve, or one a class that has rows enough."""
    known = np.isfinite(rows.confidence)
    whole = Chances.learnt(rows.confidence[known], right[known], degree=1)
    if not by_class:
        return [whole]
    found = []
    for name in range(int(rows.predicted.max()) + 1):
        mine = known & (rows.predicted == name)
        enough = min(int(right[mine].sum()), int((~right[mine]).sum())) >= LEAST_OF_CLASS
        found.append(Chances.learnt(rows.confidence[mine], right[mine], degree=1) if enough else whole)
    return found


def _level(curves: list[Chances], chance: float, name: str) -> Level:
    edges = tuple(_edge(curve, chance) for curve in curves)
    return Level(keep_from=edges[0], name=name) if len(edges) == 1 else Level(by_class=edges, name=name)


def _edge(curve: Chances, chance: float) -> float | None:
    return curve.score_at(chance) if curve.rising and 0 < chance < 1 else None


def _fit(
    target: Target,
    chosen: tuple[Level, ...],
    path: list[tuple[Level, ...]],
    cheap: Sequence[Cheap],
    truth: Rows,
    final: Rows,
    draws: Draws,
    rows: int,
    reached: int,
) -> CascadeFit:
    at = level_of(chosen, cheap)
    levels = tuple(replace(level, answers=draws.share("a", at == k).value) for k, level in enumerate(chosen))
    words = (
        f"{target.words} for rows drawn as these {rows:,} were; {len(truth):,} of them tested {reached} of "
        f"{len(path)} choices in a fixed order, {'exactly (binomial)' if draws.chances is None else 'by betting'}"
    )
    if not reached:
        words = f"every row is sent on: {len(truth):,} rows do not show {target.words} for the safest choice"
    curve = []
    for choice in path:
        right = draws.share("right", _right(choice, cheap, truth, final)).value
        curve.append(Point(draws.share("delegation", level_of(choice, cheap) < 0).value, (right,)))
    ideal = ideal_of_confidence(cheap[-1].confidence, cheap[-1].predicted == truth) if draws.chances is None else ()
    delegation = draws.share("delegation", at < 0)
    return CascadeFit(target, "traffic", levels, rows, rows, delegation, words, 0, len(path), None, tuple(curve), ideal)
