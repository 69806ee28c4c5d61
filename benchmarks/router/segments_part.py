"""What the worst subject loses at half strong calls, with floors and without, and what noise alone would make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from figures import fitted, gains_of
from mmlu import Questions, even_rows
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.route.routers.budgets import Plan, Reference, plan
from roadworthy.route.routers.router import Router, Settings


def worst_segments(tuning: Questions, reported: Questions, seeds: int) -> list[Measurement]:
    """Losses against always asking the strong model, of each subject and on average, over draws of the labels.

    As many labels of each subject are drawn from both parts, so that a subject has as many questions as the published
    tables have. Beside: floors that know what each subject truly gains, which nobody does.
    """
    whole = _joined(tuning, reported)
    codes = np.unique(whole.subjects.astype(str), return_inverse=True)[1]
    truth = np.bincount(codes, whole.gain) / np.bincount(codes)
    sent: dict[str, list[NDArray[np.float64]]] = {"": [], "no floors": [], "true gains known": []}
    fresh: dict[str, list[NDArray[np.bool_]]] = {where: [] for where in sent}
    sureness, shares = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(100 + seed)
        router, gains, new = _drawn(whole, tuning, rng)
        usual = router.plan_for(0.5)
        floors = {"": usual, "no floors": replace(router, settings=Settings(times=None)).plan_for(0.5)}
        floors["true gains known"] = _knowing(router, truth)
        for where, found in floors.items():
            sent[where].append((gains < np.array(found.thresholds)[codes]).astype(np.float64))
            fresh[where].append(new)
        sureness.append(usual.sureness)
        shares.append(1 - float(sent[""][-1][new].mean()))
    told = [m for where, weak in sent.items() for m in _ratios(weak, fresh[where], whole.gain, codes, where)]
    told.append(Measurement("strong_share", float(np.mean(shares)), whole.n, min(shares), max(shares), where="floors"))
    told.append(Measurement("floor_sureness", float(np.mean(sureness)), seeds, min(sureness), max(sureness)))
    return told


def _drawn(
    whole: Questions, tuning: Questions, rng: np.random.Generator
) -> tuple[Router, NDArray[np.float64], NDArray[np.bool_]]:
    """A router of one draw of labels, the gains of all rows, and which rows are none of the draw's."""
    rows = whole.take(even_rows(whole.subjects.tolist(), rng))
    router = fitted(rows, tuning, with_subjects=True, settings=Settings(share=0.5, times=2.0)).router
    seen = set(rows.prompts.tolist())
    return router, gains_of(router, whole), np.array([prompt not in seen for prompt in whole.prompts])


def _knowing(router: Router, gains: NDArray[np.float64]) -> Plan:
    """The plan of whoever knows each subject's gain: what is left is what so few questions make of chance."""
    rows = router.file.reference
    reference = Reference.of(rows.gains.array(), rows.codes.array().astype(np.int64))
    return plan(reference, 0.5, gains, np.zeros(len(gains)))


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
    each = losses.max(axis=1) / means
    least, most = float(each.min()), float(each.max())
    expected = losses.mean(axis=0)
    recovered = 1 - means.mean() / gain.mean()
    n, draws = int(np.bincount(codes).min()), {"draws": len(weak)}
    loss, variance = _estimated(weak, fresh, gain, codes)
    believed = _shrunk(loss, variance)
    # The normal quantile of 0.05 / 57, one-sided.
    surely = int((loss - 3.13 * np.sqrt(variance) > 2 * means.mean()).sum())
    ratio = float(expected.max() / means.mean())
    return [
        Measurement("worst_segment_over_mean", ratio, n, where=where, conditions=draws),
        Measurement("worst_segment_over_mean_one_draw", float(each.mean()), n, least, most, where=where),
        Measurement("worst_segment_over_mean_shrunk", float(believed.max() / means.mean()), n, where=where),
        Measurement("mean_loss", float(means.mean()), len(gain), where=where),
        Measurement("worst_segment_loss", float(expected.max()), n, where=where),
        Measurement("gap_recovered", float(recovered), len(gain), where=where),
        Measurement(
            "segments_surely_above_twice_mean", float(surely), int(codes.max()) + 1, where=where, unit="segments"
        ),
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
