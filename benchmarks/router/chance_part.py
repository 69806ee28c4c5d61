"""What chance alone makes of the worst subject, where somebody knows what every question is expected to gain.

Answers are drawn anew from a law: a row gains what the routers say, moved so that each subject gains what all answers
say of it (shrunk). Floors that know this law know all that labels could ever tell; which of a subject's questions go
wrong they do not. What is left of worst over mean is chance, in a single draw and for a ranking as good as this one.
The mean over draws of labels has less of it, and of that these worlds say nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.route.routers.budgets import Floors, Reference, plan
from roadworthy.route.routers.segments import Segments

WORLDS = 200


def by_chance(gains: NDArray[np.float64], codes: NDArray[np.int64], known: Segments, share: float) -> list[Measurement]:
    """Worst over mean, in answers drawn from the law, of floors that know the law: with its chance and without."""
    counts, noises = np.bincount(codes), np.array(known.noises)
    law = gains + (np.array(known.gains) - np.bincount(codes, gains) / counts)[codes]
    none = np.zeros(len(counts))
    told: list[Measurement] = []
    for where, floors in {
        "law known, losses equal": Floors(none, none, 1.0, 0.5, slack=0.0),
        "law known, chance too": Floors(none, noises, requests=len(codes), slack=0.0),
    }.items():
        thresholds = np.array(plan(Reference.of(law, codes), share, len(counts), floors).thresholds)
        told += _drawn(law, law < thresholds[codes], codes, noises, where)
    return told


def _drawn(
    law: NDArray[np.float64], weak: NDArray[np.bool_], codes: NDArray[np.int64], noises: NDArray[np.float64], where: str
) -> list[Measurement]:
    rng, counts = np.random.default_rng(0), np.bincount(codes)
    # A row gains 1, 0 or -1: of its subject's variance, and of its own mean.
    differ = np.clip(noises[codes] ** 2 + law**2, np.abs(law), 1.0)
    better = (differ + law) / 2
    worst, means = np.empty(WORLDS), np.empty(WORLDS)
    for k in range(WORLDS):
        chance = rng.random(len(codes))
        lost = weak * np.where(chance < better, 1.0, np.where(chance < differ, -1.0, 0.0))
        worst[k], means[k] = (np.bincount(codes, lost) / counts).max(), lost.mean()
    ratios, n = worst / means, int(counts.min())
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    return [
        Measurement("worst_segment_over_mean_one_draw", float(ratios.mean()), n, low, high, where=where),
        proportion("worlds_within_twice_mean", int((ratios <= 2).sum()), WORLDS, where=where),
        Measurement("expected_worst_over_mean", _expected(law, weak, codes), n, where=where),
        Measurement("mean_loss", float(means.mean()), len(codes), where=where),
        Measurement("worst_segment_loss_one_draw", float(worst.mean()), n, where=where),
    ]


def _expected(law: NDArray[np.float64], weak: NDArray[np.bool_], codes: NDArray[np.int64]) -> float:
    return float((np.bincount(codes, weak * law) / np.bincount(codes)).max() / (weak * law).mean())
