"""What the worst subject loses at half strong calls, with floors and without, and what floors cost on the curve.

How labels are drawn, what floors take into account and their slack were chosen by hand on worlds simulated from the
labels of the tuning part and on 16 other draws of the labels, of the very questions that are reported; that slack was
needed at all was seen on the reported draws. "realised gains known" takes the loosest limit that keeps to twice the
mean, so it is a comparison and no lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed

import numpy as np
from chance_part import by_chance
from figures import fitted, gains_of
from mmlu import Questions, rooted_rows
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.route.routers.budgets import Floors, Reference, plan
from roadworthy.route.routers.curve import STEPS, figures_of
from roadworthy.route.routers.router import Router, Settings
from roadworthy.route.routers.segments import Segments

SHARE = 0.5
FIRST_SEED = 100
KEPT = "floors kept"
# The normal quantile of 0.05 / 57, one-sided.
SURELY = 3.13


@dataclass(frozen=True)
class Draw:
    """A router of one draw of labels, what it says of all rows, and which rows are none of the draw's."""

    router: Router
    gains: NDArray[np.float64]
    fresh: NDArray[np.bool_]


def worst_segments(tuning: Questions, reported: Questions, seeds: int) -> list[Measurement]:
    """Losses against always asking the strong model, of each subject and on average, over draws of the labels.

    Labels are drawn from both parts, so that a subject has as many questions as the published tables have.
    """
    whole = _joined(tuning, reported)
    codes = np.unique(whole.subjects.astype(str), return_inverse=True)[1]
    draws = [_drawn(whole, tuning, np.random.default_rng(FIRST_SEED + k)) for k in range(seeds)]
    fresh = [draw.fresh for draw in draws]
    told: list[Measurement] = []
    for where, sent in _routes(draws, whole.gain, codes).items():
        told += _ratios(sent, fresh, whole.gain, codes, where)
    shares = [plan_weak(draw.router, draw.gains, codes, SHARE) for draw in draws]
    strong = [1 - float(weak[new].mean()) for weak, new in zip(shares, fresh, strict=True)]
    surenesses = [draw.router.plan_for(SHARE).sureness for draw in draws]
    told.append(Measurement("strong_share", float(np.mean(strong)), whole.n, min(strong), max(strong), where="floors"))
    told.append(Measurement("floor_sureness", float(np.mean(surenesses)), seeds, min(surenesses), max(surenesses)))
    told += _curves(draws, whole.gain, codes)
    known = Segments.fit(whole.subjects.tolist(), whole.strong, whole.weak, np.ones(whole.n))
    return told + by_chance(np.mean([draw.gains for draw in draws], axis=0), codes, known, SHARE)


def plan_weak(
    router: Router, gains: NDArray[np.float64], codes: NDArray[np.int64], share: float
) -> NDArray[np.float64]:
    """1 for each row that stays with the weak model."""
    return (gains < np.array(router.plan_for(share).thresholds)[codes]).astype(np.float64)


def _routes(
    draws: Sequence[Draw], gain: NDArray[np.float64], codes: NDArray[np.int64]
) -> Mapping[str, list[NDArray[np.float64]]]:
    """Who stays with the weak model: with floors, without, with the tightest, and with floors that know all gains.

    The last know what each subject gains in these very questions, which no label tells.
    """
    truth = np.bincount(codes, gain) / np.bincount(codes)
    flat = [changed(draw.router, settings=Settings(times=None)) for draw in draws]
    return {
        "": [plan_weak(draw.router, draw.gains, codes, SHARE) for draw in draws],
        "no floors": [plan_weak(router, draw.gains, codes, SHARE) for router, draw in zip(flat, draws, strict=True)],
        "no slack": [_pressed(draw, codes) for draw in draws],
        "realised gains known": [_knowing(draw, truth, codes) for draw in draws],
    }


def _drawn(whole: Questions, tuning: Questions, rng: np.random.Generator) -> Draw:
    rows = whole.take(rooted_rows(whole.subjects.tolist(), rng))
    router = fitted(rows, tuning, with_subjects=True, settings=Settings(share=SHARE)).router
    seen = set(rows.prompts.tolist())
    return Draw(router, gains_of(router, whole), np.array([prompt not in seen for prompt in whole.prompts]))


def _pressed(draw: Draw, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """With the least limit for the worst subject, whatever that costs the others."""
    file, asked = draw.router.file, draw.router.settings
    known, rows = file.segments, file.reference
    noisy = Floors(np.array(known.spreads), np.array(known.noises), requests=asked.requests, slack=0.0)
    reference = Reference.of(rows.gains.array(), rows.codes.array().astype(np.int64))
    found = plan(reference, SHARE, len(known.names), noisy)
    return (draw.gains < np.array(found.thresholds)[codes]).astype(np.float64)


def _knowing(draw: Draw, truth: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = draw.router.file.reference
    own = rows.codes.array().astype(np.int64)
    moved = truth - np.bincount(codes, draw.gains) / np.bincount(codes)
    segments = len(truth)
    certain = Floors(np.zeros(segments), np.zeros(segments))
    found = plan(Reference.of(rows.gains.array() + moved[own], own), SHARE, segments, certain)
    return (draw.gains + moved[codes] < np.array(found.thresholds)[codes]).astype(np.float64)


def _curves(draws: Sequence[Draw], gain: NDArray[np.float64], codes: NDArray[np.int64]) -> list[Measurement]:
    """The cost-quality curve of the same routers where every budget keeps the floors."""
    rows = []
    for draw in draws:
        shares, added = [0.0], [0.0]
        for step in range(1, STEPS):
            strong = 1 - plan_weak(draw.router, draw.gains, codes, step / STEPS)[draw.fresh]
            shares.append(float(strong.mean()))
            added.append(float((strong * gain[draw.fresh]).mean()))
        gap = float(gain[draw.fresh].mean())
        rows.append(figures_of((np.array([*shares, 1.0]), np.array([*added, gap])), gap))
    n, columns = int(draws[0].fresh.sum()), np.array(rows).T
    return [
        Measurement(name, float(column.mean()), n, float(column.min()), float(column.max()), where=KEPT)
        for name, column in zip(("apgr", "cpt50", "cpt80"), columns, strict=True)
    ]


def _ratios(
    weak: Sequence[NDArray[np.float64]],
    fresh: Sequence[NDArray[np.bool_]],
    gain: NDArray[np.float64],
    codes: NDArray[np.int64],
    where: str,
) -> list[Measurement]:
    """Worst over mean: of what each subject loses over all draws, and of each draw by itself."""
    losses = np.array([_losses(part[new], gain[new], codes[new]) for part, new in zip(weak, fresh, strict=True)])
    means = np.array([float((part * gain)[new].mean()) for part, new in zip(weak, fresh, strict=True)])
    expected, mean, worst = losses.mean(axis=0), float(means.mean()), losses.max(axis=1)
    each = worst / means
    loss, variance = _estimated(weak, fresh, gain, codes)
    believed = _shrunk(loss, variance)
    surely = float((loss - SURELY * np.sqrt(variance) > 2 * mean).sum())
    n, segments, draws = int(np.bincount(codes).min()), len(expected), {"draws": len(weak)}
    lows, highs = (float(each.min()), float(worst.min())), (float(each.max()), float(worst.max()))
    return [
        Measurement("worst_segment_over_mean", float(expected.max()) / mean, n, where=where, conditions=draws),
        Measurement("worst_segment_over_mean_one_draw", float(each.mean()), n, lows[0], highs[0], where=where),
        Measurement("worst_segment_over_mean_shrunk", float(believed.max()) / mean, n, where=where),
        Measurement("mean_loss", mean, len(gain), where=where),
        Measurement("worst_segment_loss", float(expected.max()), n, where=where),
        Measurement("worst_segment_loss_one_draw", float(worst.mean()), n, lows[1], highs[1], where=where),
        Measurement("gap_recovered", 1 - mean / float(gain.mean()), len(gain), where=where),
        Measurement("segments_surely_above_twice_mean", surely, segments, where=where, unit="segments"),
    ]


def _losses(weak: NDArray[np.float64], gain: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(codes, weak * gain) / np.bincount(codes)


def _estimated(
    weak: Sequence[NDArray[np.float64]],
    fresh: Sequence[NDArray[np.bool_]],
    gain: NDArray[np.float64],
    codes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each subject's loss over all draws, and the variance that its few questions give it."""
    counts = np.sum(fresh, axis=0)
    chance = np.sum([part * new for part, new in zip(weak, fresh, strict=True)], axis=0) / np.maximum(counts, 1)
    n = np.bincount(codes)
    loss = np.bincount(codes, chance * gain) / n
    return loss, np.bincount(codes, (chance * gain - loss[codes]) ** 2) / n**2


def _shrunk(loss: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """What to believe of each subject's loss: drawn to the mean as far as noise explains that they differ."""
    between = max(0.0, float(loss.var() - variance.mean()))
    return np.asarray(loss.mean() + between / (between + variance) * (loss - loss.mean()))


def _joined(one: Questions, other: Questions) -> Questions:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Questions(*(np.concatenate(pair) for pair in pairs))
