"""Elec2: coverage while electricity prices drift and labels come late, with alpha that follows and without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import convert, to_builtins
from numpy.typing import NDArray

from roadworthy.core.dials import Dial
from roadworthy.core.measure import Measurement
from roadworthy.core.record import Record
from roadworthy.core.stats import proportion
from roadworthy.serve.conformal.coverage import held_truth, worst_window
from roadworthy.serve.wrappers.adaptive import Adaptive
from roadworthy.serve.wrappers.adaptive import fit as fit_adaptive
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.lac import Lac

TARGET, TRAIN, FIT, WINDOW, DAY = 0.9, 5000, 3000, 500, 48
# Labels of so many half-hours; the bound of the issue is judged a day late.
DELAYS = (1, DAY, 100, 200)
CLASSES = ("down", "up")


@dataclass(frozen=True)
class Stream:
    """Probabilities (n, 2) and true classes (n,) of the rows that the model was not trained on."""

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    delay: int


def measure(data: Path) -> list[Measurement]:
    """Long-run coverage and worst window: adaptive at each delay, other rules a day late, and the static split."""
    found = []
    for delay in DELAYS:
        stream = stream_of(data, delay)
        name = "" if delay == DAY else f"_delay_{delay}"
        found += _told(f"elec2{{}}{name}", *followed(stream, Adaptive("aps", step=step_for(delay))))
    stream = stream_of(data, DAY)
    rules = {
        "static": ("aps", None),
        "static_lac": ("lac", None),
        "lac": ("lac", Adaptive("lac", step=step_for(DAY))),
        "dtaci": ("aps", Adaptive("aps", rule="dtaci")),
        "rolling": ("aps", Adaptive("aps", step=step_for(DAY), window=1000)),
    }
    for name, (plan, settings) in rules.items():
        found += _told(f"elec2{{}}_{name}", *followed(stream, settings, plan))
    plain = stream_of(data, DAY, past=False)
    found += _told("elec2{}_plain_model_static_lac", *followed(plain, None, "lac"))
    found += _told("elec2{}_plain_model", *followed(plain, Adaptive("aps", step=step_for(DAY))))
    last = stream.labels[DAY:] == stream.labels[:-DAY]
    found.append(proportion("elec2_accuracy_last_known_label", int(last.sum()), len(last)))
    right = stream.probabilities.argmax(axis=1) == stream.labels
    found.append(proportion("elec2_accuracy_model", int(right.sum()), len(right)))
    every = stream.labels[1:] == stream.labels[:-1]
    found.append(proportion("elec2_accuracy_last_label", int(every.sum()), len(every)))
    return found


def step_for(delay: int) -> float:
    """What a step does is seen a delay later: the longer that is, the smaller the step."""
    return min(0.01, 0.5 / delay)


def stream_of(data: Path, delay: int, past: bool = True) -> Stream:
    """Logistic regression on the first rows, on the prices and demands and, with `past`, on the labels known by then.

    Those are the labels of the same half-hour some days ago, and the mean of the last day and week that are known.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder = data / "drift" / "elec2"
    table = np.loadtxt(folder / "elec2_data.dat")[:, [1, 2, 4, 5, 6, 7]]
    labels = np.loadtxt(folder / "elec2_label.dat").astype(np.int64)
    days = [lag for lag in (DAY, 2 * DAY, 3 * DAY, 4 * DAY, 5 * DAY, 6 * DAY, 7 * DAY) if lag >= delay]
    known = [_before(labels, lag) for lag in days] + [_mean_before(labels, delay, span) for span in (DAY, 7 * DAY)]
    x = np.column_stack([table, *known]) if past else table
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:TRAIN], labels[:TRAIN])
    return Stream(model.predict_proba(x[TRAIN:]), labels[TRAIN:], delay)


def followed(stream: Stream, settings: Adaptive | None, plan: str = "aps") -> tuple[list[bool], float]:
    """Whether each set held the truth, and the mean size; the dial goes through its stored form after every label.

    Without settings, alpha stays where the fit put it.
    """
    sets = Aps(classes=CLASSES) if plan == "aps" else Lac(classes=CLASSES)
    p, labels = stream.probabilities, stream.labels
    more = {} if settings is None else {"rule": settings.rule, "step": settings.step, "window": settings.window}
    leaf = fit_adaptive(sets, labels[:FIT], {"probabilities": p[:FIT]}, TARGET, **more)
    rows: list[Record] = []
    dial: Dial | None = None
    threshold = leaf.threshold(leaf.stand(None))
    for k in range(FIT, len(labels)):
        late = len(rows) - stream.delay
        if settings is not None and late >= 0:
            dial = leaf.follow([rows[late]], dial, float(k))
            dial = convert(to_builtins(dial), Dial)
            threshold = leaf.threshold(leaf.stand(dial))
        held = leaf.sets.hold({"probabilities": p[[k]]}, threshold)["prediction_set"][0]
        outputs = {"probabilities": p[k]}
        rows.append(Record(str(k), float(k), "r", "stable", {}, outputs, prediction_set=held, label=float(labels[k])))
    return [bool(held_truth(row, CLASSES)) for row in rows], float(np.mean([len(r.prediction_set or ()) for r in rows]))


def _told(name: str, held: list[bool], size: float) -> list[Measurement]:
    worst = worst_window(held, WINDOW)
    return [
        proportion(name.format("_coverage"), sum(held), len(held)),
        Measurement(name.format("_worst_window"), worst.value, worst.n, conditions={"rows": WINDOW}),
        Measurement(name.format("_set_size"), size, len(held), unit="names"),
    ]


def _before(labels: NDArray[np.int64], lag: int) -> NDArray[np.float64]:
    return np.concatenate([np.full(lag, labels[:TRAIN].mean()), labels[:-lag]])


def _mean_before(labels: NDArray[np.int64], delay: int, span: int) -> NDArray[np.float64]:
    """The mean of the `span` labels that came last before row k, whose own is known `delay` rows later."""
    summed = np.concatenate([[0], np.cumsum(labels)])
    ends = np.arange(len(labels)) - delay + 1
    starts = ends - span
    found = (summed[np.maximum(ends, 0)] - summed[np.maximum(starts, 0)]) / span
    return np.where(starts >= 0, found, labels[:TRAIN].mean())
