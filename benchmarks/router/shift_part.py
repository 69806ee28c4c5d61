"""Streams that are not what the router was fitted on: when does the watch sound, and what do its routes lose?"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from figures import fitted, gains_of
from mmlu import PROMPT, Questions, random_rows
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.route.routers.curve import curve_of
from roadworthy.route.routers.router import Router
from roadworthy.route.routers.watch import Watch

ALPHA = 0.01
STREAM = 2000
# Subjects of which the tuning part says that the strong model gains least: there the relation is another one.
LEAST_GAIN = 5


def shifts(
    data: Path, tuning: Questions, reported: Questions, routers: Sequence[tuple[Router, Questions]], runs: int
) -> list[Measurement]:
    """Alarms on streams that stay the same, on held-out subjects, on subjects of another relation, on other texts."""
    rng = np.random.default_rng(3)
    rows = reported.take(random_rows(reported.n, rng))
    router = fitted(rows, tuning, with_subjects=False).router
    rest = reported.without(rows)
    strange = signals_of(router, rest.prompts.tolist())
    false = sum(_alarm(router, rng.permutation(strange)[:STREAM], k) > 0 for k in range(runs))
    told = [proportion("false_alarms", false, runs, where=f"{STREAM} questions of the same subjects")]
    held = [*routers, _turned(tuning, reported)]
    for k, (other, stream) in enumerate(held):
        where = f"held-out subjects {k + 1}" if k < len(routers) else "subjects of the least gain"
        told += _judged(other, stream, where, rng)
    for where, texts in _texts(data).items():
        found = signals_of(router, texts[:STREAM])
        told.append(_first(_alarms(router, found, rng), len(found), where))
    return told


def signals_of(router: Router, prompts: Sequence[str]) -> NDArray[np.float64]:
    """What `Gain.signals` says of each prompt."""
    part, scales = router.file.before.parts[0], router.file.scales
    strange = (part.strangeness(prompts) - scales.middle[0]) / scales.spread[0]
    return np.column_stack([strange, router.odds({PROMPT: prompts})])


def _turned(tuning: Questions, reported: Questions) -> tuple[Router, Questions]:
    """A router that never saw the subjects in which the strong model gains least, and these as its stream."""
    names, codes = np.unique(tuning.subjects.astype(str), return_inverse=True)
    gains = np.bincount(codes, tuning.gain) / np.bincount(codes)
    group = names[np.argsort(gains)[:LEAST_GAIN]]
    inside = np.isin(reported.subjects.astype(str), group)
    known = reported.take(~inside)
    traffic = tuning.take(~np.isin(tuning.subjects.astype(str), group))
    router = fitted(known.take(random_rows(known.n, np.random.default_rng(11))), traffic, with_subjects=False).router
    return router, reported.take(inside)


def _judged(router: Router, stream: Questions, where: str, rng: np.random.Generator) -> list[Measurement]:
    """When it sounds, and accuracy above that of as many strong calls by chance, as the stream went."""
    strange, gains = signals_of(router, stream.prompts.tolist()), gains_of(router, stream)
    bar, excess, apgrs, alarms = router.threshold_for(0.5), [], [], []
    for seed in range(10):
        order = rng.permutation(stream.n)
        alarm = _alarm(router, strange[order], seed)
        alarms.append(alarm)
        after = np.arange(stream.n) >= (alarm or stream.n)
        strong = (gains[order] >= bar) | after
        won = float((strong * stream.gain[order]).mean()) - float(strong.mean()) * float(stream.gain.mean())
        excess.append(won)
        # After an alarm every row is the dear model's first.
        wanted = np.where(after, 2.0, gains[order])
        apgrs.append(curve_of(wanted, stream.strong[order], stream.weak[order], resamples=0).apgr.value)
    odd = float(np.mean(strange[:, 0] > np.quantile(router.reference_signals[0], 0.999)))
    value = float(np.mean(excess))
    sign = float(np.sign(stream.gain.mean()))
    return [
        _first(alarms, stream.n, where),
        Measurement("accuracy_over_random", value, stream.n, min(excess), max(excess), where=where),
        Measurement("apgr_over_random", sign * (float(np.mean(apgrs)) - 0.5), stream.n, where=where),
        Measurement("odd_requests", odd, stream.n, where=where),
    ]


def _alarms(router: Router, strange: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
    return [_alarm(router, rng.permutation(strange), seed) for seed in range(10)]


def _alarm(router: Router, strange: NDArray[np.float64], seed: int) -> int:
    watch = Watch(router.reference_signals, ALPHA, Random(seed))
    for row in strange.tolist():
        if watch.see(row):
            break
    return watch.alarmed_at


def _first(alarms: Sequence[int], n: int, where: str) -> Measurement:
    """The median request at which it sounded; n=0 where it did not in most orders."""
    heard = sorted(alarm or 10**9 for alarm in alarms)
    middle = heard[len(heard) // 2]
    if middle == 10**9:
        return Measurement("alarm_after", where=where, unit="requests", conditions={"rows": n})
    last = float("inf") if heard[-1] == 10**9 else heard[-1]
    return Measurement("alarm_after", middle, n, heard[0], last, "requests", where)


def _texts(data: Path) -> dict[str, list[str]]:
    with (data / "text" / "banking77" / "test.csv").open(newline="", encoding="utf-8") as lines:
        banking = [row["text"] for row in csv.DictReader(lines)]
    clinc = [text for text, _ in json.loads((data / "text" / "clinc150" / "data_full.json").read_text())["test"]]
    return {"banking77": banking, "clinc150": clinc}
