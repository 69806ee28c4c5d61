"""How far label-free estimates of accuracy are off, and what a few audit labels add, on streams that really drift.

Elec2 and weather (`--data`), in chunks of 1,000 rows, a model trained on the first ones; and the flights project, month
by month. The audit's interval is looked at after every single label: it must hold the chunk's accuracy at all looks in
at least 95 % of the draws. The last line is a JSON list of Measurements; exit code 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.project import read_project
from roadworthy.core.stats import auc, binomial_survival, mean, proportion
from roadworthy.core.window import Window
from roadworthy.core.worse_slices import facets_of, worse_slices
from roadworthy.data.tables import read_sample
from roadworthy.observe.base import estimator
from roadworthy.observe.estimators.cbpe import Cbpe
from roadworthy.observe.quality.audit import Audit, trust
from roadworthy.observe.quality.confidence_sequences import drifting_bounds, sampled_bounds
from roadworthy.observe.quality.draws import Draw
from roadworthy.observe.quality.label_free import Calibrated, both

Floats = NDArray[np.float64]
REPO = Path(__file__).parents[1]
OUTPUT, CHUNK, ALPHA = "probability", 1000, 0.05
LABELS = (50, 100, 200)
ESTIMATORS = ("static", "cbpe", "doc", "atc")
# A bound that holds is called missed this rarely.
SURPRISE = 1e-3
# Rows to train on and rows of the reference, per stream.
STREAMS = {"elec2": (5000, 3000), "weather": (3000, 2000)}


@dataclass(frozen=True)
class Chunk:
    """A thousand rows: the window, the truth, and what calibrated confidence foretells of each row."""

    window: Window
    truth: float
    correct: Floats
    foretold: Floats


def stream(name: str, data: Path) -> tuple[NDArray[Any], Floats]:
    """The features and the labels of a recorded stream."""
    folder = data / "drift" / name
    if name == "elec2":
        return np.loadtxt(folder / "elec2_data.dat"), np.loadtxt(folder / "elec2_label.dat")
    features = np.loadtxt(folder / "NEweather_data.csv", delimiter=",")
    return features, np.loadtxt(folder / "NEweather_class.csv", delimiter=",")


def chunks(name: str, data: Path) -> tuple[Window, list[Chunk]]:
    """The reference, and the chunks after it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, labels = stream(name, data)
    trained, kept = STREAMS[name]
    model = HistGradientBoostingClassifier(random_state=0).fit(features[:trained], labels[:trained])
    stated = model.predict_proba(features)[:, 1]

    def window(rows: slice) -> Window:
        return Window({}, {OUTPUT: stated[rows]}, labels[rows], np.arange(len(labels), dtype=np.float64)[rows])

    reference = window(slice(trained, trained + kept))
    starts = range(trained + kept, len(labels) - CHUNK + 1, CHUNK)
    return reference, [chunk(reference, window(slice(start, start + CHUNK))) for start in starts]


def chunk(reference: Window, window: Window) -> Chunk:
    """A chunk with its truth."""
    rows = both(reference, window, OUTPUT, 0.5, 100)
    assert rows is not None
    correct = ((window.outputs[OUTPUT] >= 0.5) == window.labels).astype(np.float64)
    return Chunk(window, float(correct.mean()), correct, Calibrated.of(rows).right)


def label_free(name: str, reference: Window, parts: list[Chunk]) -> Iterator[Measurement]:
    """The mean absolute error of each estimator over the chunks, and how often its interval held the truth."""
    for each in ESTIMATORS:
        made = estimator.make(each)
        found = [made(reference, part.window, OUTPUT) for part in parts]
        errors = [abs(m.value - part.truth) for m, part in zip(found, parts, strict=True)]
        held = sum(m.low <= part.truth <= m.high for m, part in zip(found, parts, strict=True))
        yield mean("label_free_mae", errors, f"{name}, {each}")
        yield proportion("label_free_coverage", held, len(parts), f"{name}, {each}")


@dataclass
class Tally:
    """What so many draws of an audit gave."""

    off: list[float]
    width: list[float]
    missed: int = 0


def distrusted(name: str, reference: Window, parts: list[Chunk], seeds: int) -> Iterator[Measurement]:
    """How often 200 audit labels call CBPE untrustworthy: where it is far off, and where it is not (within 0.05)."""
    far, near = [], []
    for number, part in enumerate(parts):
        estimate = Cbpe()(reference, part.window, OUTPUT)
        off = abs(estimate.value - part.truth)
        for seed in range(min(seeds, 10)):
            order = np.random.default_rng((number, seed)).permutation(CHUNK)[:200]
            bounds = sampled_bounds(part.correct[order], CHUNK, ALPHA, part.foretold[order], part.foretold)
            low, high = float(bounds.low[-1]), float(bounds.high[-1])
            found = Measurement("accuracy", float(bounds.value[-1]), 200, low, high)
            alarm = trust(estimate, Audit(CHUNK, 200, 200, (found,))).decision == "fail"
            far += [alarm] if off > 0.15 else []
            near += [alarm] if off <= 0.05 else []
    yield proportion("distrusted_far_off", sum(far), len(far), name)
    yield proportion("distrusted_wrongly", sum(near), len(near), name)


def audited(name: str, parts: list[Chunk], seeds: int) -> Iterator[Measurement]:
    """Error, width and misses at any look of the audit, by the number of labels and the kind of interval."""
    for labels in LABELS:
        kinds = {kind: Tally([], []) for kind in ("combined", "alone", "any chance", "naive")}
        for number, part in enumerate(parts):
            for seed in range(seeds):
                rng = np.random.default_rng((number, seed))
                one_audit(part, labels, rng, kinds)
        for kind, tally in kinds.items():
            where, n = f"{name}, {labels} labels, {kind}", seeds * len(parts)
            yield mean("audit_mae", tally.off, where)
            yield mean("audit_width", tally.width, where)
            yield proportion("audit_coverage", n - tally.missed, n, where)


def one_audit(part: Chunk, labels: int, rng: np.random.Generator, kinds: dict[str, Tally]) -> None:
    """One draw of so many rows, and the bounds after each label."""
    order = rng.permutation(CHUNK)[:labels]
    values, guesses = part.correct[order], part.foretold[order]
    for kind, hints in (("combined", guesses), ("alone", None)):
        bounds = sampled_bounds(values, CHUNK, ALPHA, hints, None if hints is None else part.foretold)
        note(kinds[kind], bounds.value[-1], bounds.low, bounds.high, np.full(labels, part.truth))
    note(kinds["naive"], float(values.mean()), *wald(values), np.full(labels, part.truth))
    # Each row drawn by itself, as with unequal chances; looked at after every row, what is true being that of the rows
    # so far.
    chance = labels / CHUNK
    off = np.where(rng.random(CHUNK) < chance, (part.correct - part.foretold) / chance, 0.0)
    bounds = drifting_bounds(off, ALPHA, 1 / chance, 0.2 * CHUNK / chance)
    base = np.cumsum(part.foretold) / np.arange(1, CHUNK + 1)
    truth = np.cumsum(part.correct) / np.arange(1, CHUNK + 1)
    low, high = np.clip(base + bounds.low, 0, 1), np.clip(base + bounds.high, 0, 1)
    note(kinds["any chance"], float(np.clip(base[-1] + bounds.value[-1], 0, 1)), low, high, truth)


def note(tally: Tally, value: float, low: Floats, high: Floats, truth: Floats) -> None:
    """Add one draw; a miss at any look is a miss."""
    tally.off.append(abs(float(value) - float(truth[-1])))
    tally.width.append(float(high[-1] - low[-1]))
    tally.missed += bool(((low > truth + 1e-12) | (high < truth - 1e-12)).any())


def wald(values: Floats) -> tuple[Floats, Floats]:
    """The textbook interval after each label from the 30th on, which is meant to be looked at once."""
    t = np.arange(1, len(values) + 1)
    share = np.cumsum(values) / t
    half = np.where(t < 30, 1.0, 1.96 * np.sqrt(share * (1 - share) / t))
    return share - half, share + half


def flights(folder: Path) -> Iterator[Measurement]:
    """Estimated against true AUC and accuracy of the flights model, month by month."""
    import onnxruntime

    spec = read_project(folder)
    session = onnxruntime.InferenceSession(str(spec.path(spec.model.file)))

    def window(table: str) -> Window:
        sample = read_sample(spec.path(table), spec.data.columns, spec.application.inputs)
        feed = {each.name: fed(sample.columns[each.name]) for each in session.get_inputs()}
        stated = np.asarray(session.run(None, feed)[-1], np.float64)[:, -1]
        return Window.of_sample(sample, {OUTPUT: stated})

    reference, production = window(spec.data.lab), window(spec.data.production)
    month = (production.at.astype("datetime64[s]").astype("datetime64[M]")).astype(str)
    for each in np.unique(month).tolist():
        part = production.take((month == each) & ~np.isnan(production.labels))
        stated = part.outputs[OUTPUT]
        right = int(((stated >= 0.5) == part.labels).sum())
        for true in (auc(part.labels, stated), proportion("accuracy", right, part.n)):
            metric: Any = true.name
            found = Cbpe(metric=metric)(reference, part, OUTPUT)
            yield msgspec.structs.replace(true, name=f"{metric}_true", where=each)
            yield msgspec.structs.replace(found, name=f"{metric}_cbpe", where=each, conditions={})


def fed(column: NDArray[Any]) -> NDArray[Any]:
    """A column as the model takes it."""
    if column.dtype == object:
        return np.array(["" if value is None else value for value in column], object).reshape(-1, 1)
    return column.astype(np.float32).reshape(-1, 1)


def costs() -> Iterator[Measurement]:
    """CPU of the slice finder on 100,000 rows of 16 columns with pairs (one slice is planted), and of one draw."""
    rng, n = np.random.default_rng(0), 100_000
    columns: dict[str, NDArray[Any]] = {f"x{k}": rng.normal(size=n) for k in range(10)}
    columns |= {f"c{k}": rng.choice(np.array([f"v{i}" for i in range(5 * k + 5)], object), n) for k in range(6)}
    planted = (columns["c1"] == "v3") & (columns["x2"] > 0.7)
    wrong = (rng.random(n) < np.where(planted, 0.2, 0.1)).astype(np.float64)
    taken = []
    for _ in range(3):
        begun = time.process_time()
        found = worse_slices(facets_of(columns), wrong)
        taken.append(time.process_time() - begun)
    hit = bool(found) and {"c1=v3", "x2"} <= {part.split(">")[0] for part in found[0].where.split(", ")}
    yield Measurement("slices_cpu_s", float(np.median(taken)), n, min(taken), max(taken), "s")
    yield Measurement("slice_found", float(hit), 1)
    draw, ids = Draw(0.01, "salt"), [f"{k:032x}" for k in range(100_000)]
    begun = time.process_time()
    drawn = sum(draw.drawn(id) for id in ids)
    yield Measurement("draw_us", (time.process_time() - begun) / len(ids) * 1e6, drawn, unit="us")


def missed(found: list[Measurement]) -> list[str]:
    """The bounds that are missed, in words."""
    told = []
    for m in found:
        errors = {"audit_coverage": 1 - m.value, "distrusted_wrongly": m.value}
        wrong = round(errors[m.name] * m.n) if m.n and m.name in errors and "naive" not in m.where else 0
        if binomial_survival(wrong, m.n, ALPHA) < SURPRISE:
            told.append(f"{m}: errors are shown to be more than {ALPHA:.0%}")
        if (m.name == "slices_cpu_s" and m.value > 3) or (m.name == "slice_found" and not m.value):
            told.append(f"{m}")
    return told


def show(found: list[Measurement]) -> None:
    """A line each."""
    for m in found:
        low, high = (m.low, m.high) if np.isfinite((m.low, m.high)).all() else (m.value, m.value)
        print(f"{m.name:22} {m.where:34} {m.value:9.4f} [{low:.4f}, {high:.4f}]  n={m.n:,}")


def main() -> None:
    """Measure, print the table, and say which bounds are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument("--flights", type=Path, default=REPO / "examples" / "flights")
    parser.add_argument("--seeds", type=int, default=40, help="draws of the audit of each chunk (default 40)")
    given = parser.parse_args()
    found = list(costs())
    for name in STREAMS:
        reference, parts = chunks(name, given.data)
        truths = [part.truth for part in parts]
        found.append(Measurement("accuracy", float(np.mean(truths)), len(parts), min(truths), max(truths), where=name))
        found += [*label_free(name, reference, parts), *audited(name, parts, given.seeds)]
        found += distrusted(name, reference, parts, given.seeds)
    if (given.flights / "model").is_dir():
        found += flights(given.flights)
    show(found)
    print(*(f"MISSED: {told}" for told in missed(found)), sep="\n")
    print(msgspec.json.encode([m for m in found if m.n]).decode())
    sys.exit(1 if missed(found) else 0)


if __name__ == "__main__":
    main()
