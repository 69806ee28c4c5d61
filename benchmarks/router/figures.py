"""How well routers fitted to 1,500 judged questions route the others, over several draws of the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mmlu import PROMPT, Questions, random_rows
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.route.routers.curve import Curve, curve_of
from roadworthy.route.routers.fitting import RouterFit, fit
from roadworthy.route.routers.logistic import sigmoid
from roadworthy.route.routers.router import Router, Settings

FLAT = Settings(times=None, odd_below=0.0)
FOLDS = 5


def gains_of(router: Router, questions: Questions, prompts: Sequence[str] | None = None) -> NDArray[np.float64]:
    """The expected gain of each question."""
    given = questions.prompts.tolist() if prompts is None else prompts
    chances = sigmoid(router.odds({PROMPT: given}, questions.subjects.tolist()))
    return np.asarray(chances[:, 0] - chances[:, 1])


def fitted(rows: Questions, tuning: Questions, with_subjects: bool, settings: Settings = FLAT) -> RouterFit:
    """A router of these labels; the prompts of the tuning part are its traffic, their labels are not looked at."""
    subjects = tuning.subjects.tolist() if with_subjects else ()
    traffic = {PROMPT: tuning.prompts.tolist()}
    labelled = rows.labelled(with_subjects)
    return fit(labelled, tag="subject", traffic=traffic, traffic_segments=subjects, settings=settings)


def over_draws(tuning: Questions, reported: Questions, seeds: int) -> tuple[list[Measurement], list[RouterFit]]:
    """APGR and CPT with and without the subject known, flips under typos, calibration; and the fits without."""
    curves: dict[str, list[Curve]] = {"": [], "subject known": [], "with tuning rows": []}
    flips: dict[tuple[str, str], list[float]] = {}
    fits, shares = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = reported.take(random_rows(reported.n, rng))
        rest = reported.without(rows)
        typed = {form: rest.mistyped(form, rng) for form in ("swap", "keyboard")}
        for where, known in (("", False), ("subject known", True)):
            found = fitted(rows, tuning, known)
            router = found.router
            gains = gains_of(router, rest)
            curves[where].append(curve_of(gains, rest.strong, rest.weak, resamples=100, rng=rng))
            bar = router.threshold_for(0.5, next(iter(router.file.segments.names), ""))
            for form, texts in typed.items():
                changed = (gains >= bar) != (gains_of(router, rest, texts) >= bar)
                flips.setdefault((form, where), []).append(float(changed.mean()))
            if not known:
                fits.append(found)
                shares.append(float((gains >= bar).mean()))
                both = np.append(gains, gains_of(router, tuning))
                strong, weak = np.append(rest.strong, tuning.strong), np.append(rest.weak, tuning.weak)
                curves["with tuning rows"].append(curve_of(both, strong, weak, resamples=100, rng=rng))
    told = [
        _mean(name, [getattr(curve, name) for curve in found], where)
        for where, found in curves.items()
        for name in ("apgr", "cpt50", "cpt80")
    ]
    n = curves[""][0].n
    for (form, where), values in flips.items():
        name = "flips_under_typos" if form == "swap" else "flips_under_keyboard_typos"
        told.append(_of_seeds(name, values, n, where))
    told.append(Measurement("ideal_apgr", curves[""][0].ideal_apgr, n))
    told.append(_of_seeds("sent_of_half", shares, n, ""))
    return told, fits


def held_out(tuning: Questions, reported: Questions) -> tuple[list[Measurement], list[tuple[Router, Questions]]]:
    """The same for subjects of which no label and no prompt was seen, five groups of them in turn."""
    names = np.unique(reported.subjects.astype(str))
    groups = np.array_split(np.random.default_rng(7).permutation(names), FOLDS)
    gains, rows, routers, each = [], [], [], []
    for k, group in enumerate(groups):
        inside, rng = np.isin(reported.subjects.astype(str), group), np.random.default_rng(k)
        known = reported.take(~inside)
        traffic = tuning.take(~np.isin(tuning.subjects.astype(str), group))
        router = fitted(known.take(random_rows(known.n, rng)), traffic, with_subjects=False).router
        rest = reported.take(inside)
        # Thresholds and gains are compared within a fold only: each fold has a router of its own.
        gains.append(np.argsort(np.argsort(gains_of(router, rest))) / rest.n)
        rows.append(rest)
        routers.append((router, rest))
        each.append(curve_of(gains[-1], rest.strong, rest.weak, resamples=0).apgr.value)
    strong, weak = (np.concatenate([getattr(part, name) for part in rows]) for name in ("strong", "weak"))
    curve = curve_of(np.concatenate(gains), strong, weak)
    where = "subjects held out"
    told = [replace(m, where=where) for m in (curve.apgr, curve.cpt50, curve.cpt80)]
    told.append(Measurement("apgr_worst_group", min(each), min(part.n for part in rows), where=where))
    return told, routers


def _mean(name: str, found: Sequence[Measurement], where: str) -> Measurement:
    """The mean over draws; its interval is that of one draw's rows, of which the draws share most."""
    columns: list[Callable[[Measurement], float]] = [lambda m: m.value, lambda m: m.low, lambda m: m.high]
    value, low, high = (float(np.mean([column(m) for m in found])) for column in columns)
    spread = float(np.std([m.value for m in found]))
    return Measurement(name, value, found[0].n, low, high, where=where, conditions={"draws": len(found), "sd": spread})


def _of_seeds(name: str, values: Sequence[float], n: int, where: str) -> Measurement:
    """The mean over draws, between the least and the greatest of them."""
    return Measurement(
        name, float(np.mean(values)), n, min(values), max(values), where=where, conditions={"draws": len(values)}
    )
