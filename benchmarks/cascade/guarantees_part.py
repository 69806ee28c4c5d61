"""Cascades with a guarantee on recorded answers: how often a target is missed, and what share of rows is sent on.

Whole sets as one batch, streams of batches of 4,096 (a miss after any batch counts), and thresholds learnt from 2,500
labelled rows of the traffic; beside them thresholds that a sample merely suggests, and what all labels would allow.
`stream_agreement`: the small model's answer stands where it is confident, and nine in ten of all must agree.
Seeds from 1,000 on: the settings were chosen on seeds below 100 of the same sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from classes import measure_digits
from recorded import Recorded, reached, recorded_in

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean, proportion
from roadworthy.route.cascades.batch import answer_batch
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.filters import fit_filter, sort_rows
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.frontier import ideal_delegation
from roadworthy.route.cascades.stream import Stream
from roadworthy.route.cascades.stream_confident import answer_predictions

DELTA = 0.1
TARGETS = (0.8, 0.9, 0.95)
ORDERS = ("shuffled", "clustered")
STREAMS = ("stream_", "stream_agreement_")
BATCH = 4096
SAMPLE = 2500
PUBLISHED = {"boolq": 0.577, "imdb": 0.776, "sst2": 0.246}


@dataclass(frozen=True)
class Run:
    """One run: the share of rows sent on (labelled ones among them), and whether a target was missed."""

    sent: float
    missed: bool


def measure(data: Path, seeds: int = 100) -> list[Measurement]:
    """All figures of the guarantees; prints its tables."""
    sets = recorded_in(data)
    ways = {
        "": in_one_batch,
        "stream_": in_a_stream,
        "stream_agreement_": agreeing_in_a_stream,
        "traffic_": from_a_sample,
        "plugin_": plug_in,
    }
    found: list[Measurement] = []
    print(f"share of rows sent to the large model (missed targets in {seeds} seeds, delta {DELTA}); published at 0.9")
    for way, run in ways.items():
        runs = {
            (one.name, order, target): [run(one, order, target, seed) for seed in range(1000, 1000 + seeds)]
            for one in sets
            for order in (ORDERS if way in ("", *STREAMS) else ORDERS[:1])
            for target in (TARGETS if way in ("", "stream_") else TARGETS[1:2])
        }
        show(way or "one batch", runs)
        found += [violations(f"{way}violations_over_delta", runs.values())]
        worst = max(runs, key=lambda cell: sum(r.missed for r in runs[cell]))
        where = f"{worst[0]} {worst[1]} {worst[2]:g}"
        found += [violations(f"{way}worst_violations_over_delta", [runs[worst]], where)]
        found += list(delegations(way, sets, runs))
    found += [
        Measurement(f"ideal_delegation_{one.name}", value, one.n, value, value)
        for one in sets
        for value in [ideal_delegation(one.scores, one.truth, 0.9, 0.9)]
    ]
    print("ideal: " + ", ".join(f"{m.name.split('_')[-1]} {m.value:.3f}" for m in found[-len(sets) :]))
    return found + measure_digits(DELTA, seeds)


def violations(name: str, cells: object, where: str = "") -> Measurement:
    """The share of runs that miss a target, over delta."""
    runs = [run for cell in cells for run in cell]  # type: ignore[attr-defined]
    share = proportion(name, sum(run.missed for run in runs), len(runs))
    return Measurement(name, share.value / DELTA, share.n, share.low / DELTA, share.high / DELTA, where=where)


def delegations(
    way: str, sets: Sequence[Recorded], runs: dict[tuple[str, str, float], list[Run]]
) -> Iterator[Measurement]:
    """Rows sent on at precision and recall 0.9; a stream also in clustered order, where every batch is another law."""
    for one in sets:
        orders = [order for order in ORDERS if (one.name, order, 0.9) in runs]
        together = [orders] if way not in STREAMS else [[order] for order in orders]
        for part in together:
            sent = [run.sent for order in part for run in runs[one.name, order, 0.9]]
            yield mean(f"{way}delegation_{one.name}", sent, where="clustered" if part == ["clustered"] else "")


def in_one_batch(one: Recorded, order: str, target: float, seed: int) -> Run:
    """The whole set at once."""
    rng = np.random.default_rng(seed)
    rows = one.ordered(order, rng)
    wanted = Target(precision=target, recall=target, delta=DELTA)
    found = answer_batch(rows.scores, lambda asked: rows.truth[asked], wanted, rng)
    return Run(float(found.by_last.mean()), min(reached(found.positive, rows.truth)) < target)


def in_a_stream(one: Recorded, order: str, target: float, seed: int) -> Run:
    """Batch after batch; the targets must be met by all rows so far after each."""
    rng = np.random.default_rng(seed)
    rows = one.ordered(order, rng)
    stream = Stream(Target(precision=target, recall=target, delta=DELTA))
    answers, missed = np.zeros(0, np.bool_), False
    for start in range(0, rows.n, BATCH):
        scores, truth = rows.scores[start : start + BATCH], rows.truth[start : start + BATCH]
        found = stream.answer(scores, lambda asked, truth=truth: truth[asked], rng)
        answers = np.concatenate([answers, found.positive])
        missed |= min(reached(answers, rows.truth[: len(answers)])) < target
    return Run(stream.tally.delegation, missed)


def agreeing_in_a_stream(one: Recorded, order: str, target: float, seed: int) -> Run:
    """As `in_a_stream`, for answers that agree with the large model: one kind of error, as with several classes."""
    rng = np.random.default_rng(seed)
    rows = one.ordered(order, rng)
    stream = Stream(Target(agreement=target, delta=DELTA))
    cheap = Cheap((rows.scores >= 0.5).astype(np.int64), np.maximum(rows.scores, 1 - rows.scores))
    same, missed = np.zeros(0, np.bool_), False
    for start in range(0, rows.n, BATCH):
        part, truth = np.arange(start, min(start + BATCH, rows.n)), rows.truth[start : start + BATCH].astype(np.int64)
        found = answer_predictions(stream, cheap.take(part), lambda asked, truth=truth: truth[asked], rng)
        same = np.concatenate([same, found.classes == truth])
        missed |= float(same.mean()) < target
    return Run(stream.tally.delegation, missed)


def from_a_sample(one: Recorded, _: str, target: float, seed: int) -> Run:
    """Thresholds from labelled rows, drawn with putting back; the whole set is the law they are drawn from."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, one.n, SAMPLE)
    wanted = Target(precision=target, recall=target, delta=DELTA)
    fit = fit_filter(one.truth[drawn], [one.scores[drawn]], wanted, rng)
    out = sort_rows(fit.levels, [one.scores])
    answers = out.yes | ((out.level < 0) & one.truth)
    return Run(float((out.level < 0).mean()), min(reached(answers, one.truth)) < target)


def plug_in(one: Recorded, _: str, target: float, seed: int) -> Run:
    """No guarantee: the thresholds that just reach the targets on a sample of 10 %, which is answered by its labels."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(one.n, one.n // 10, replace=False)
    scores, truth = one.scores[drawn], one.truth[drawn]
    grid = np.quantile(scores, np.linspace(0, 1, 201))
    positive = truth.sum()
    low = max((t for t in grid if (truth & (scores < t)).sum() <= (1 - target) * positive), default=0.0)
    right = (truth & (scores >= low)).sum()
    high = min((t for t in grid if (~truth & (scores >= t)).sum() <= (1 - target) / target * right), default=1.1)
    known = (one.scores >= low) & (one.scores < high)
    known[drawn] = True
    answers = np.where(known, one.truth, one.scores >= high)
    return Run(float(known.mean()), min(reached(answers, one.truth)) < target)


def show(way: str, runs: dict[tuple[str, str, float], list[Run]]) -> None:
    """A line for each order, a column for each set and target."""
    print(f"\n{way.rstrip('_')}")
    orders = dict.fromkeys(order for _, order, _ in runs)
    for order in orders:
        cells = []
        for (name, mine, target), found in runs.items():
            if mine == order:
                sent, missed = np.mean([r.sent for r in found]), sum(r.missed for r in found)
                beside = f" [published {PUBLISHED[name]}]" if target == 0.9 and "agreement" not in way else ""
                cells.append(f"{name} {target:g}: {sent:.3f} ({missed}){beside}")
        print(f"  {order:10}" + "\n            ".join(cells))
