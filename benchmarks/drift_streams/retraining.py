"""Elec2 and weather: when to train again, by an alarm or by the calendar, and what "predict the last label" scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import proportion
from roadworthy.core.window import Window
from roadworthy.observe.base import Listener, Stream
from roadworthy.observe.detectors.classifier import Classifier
from roadworthy.observe.detectors.outputs import Outputs
from roadworthy.observe.detectors.projections import Projections
from roadworthy.observe.streams.adwin import Adwin
from roadworthy.observe.streams.e_detector import EDetector

Floats = NDArray[np.float64]
Detector = Callable[[Window, Window], Verdict]
STREAMS: dict[str, Stream] = {"adwin": Adwin(), "e_detector": EDetector(alpha=1e-4, learn=1000)}


@dataclass(frozen=True)
class Data:
    """Rows in the order of time; a model learns from `learn` of them, and is looked at every `every` rows."""

    name: str
    x: Floats
    y: Floats
    learn: int
    every: int

    @property
    def detectors(self) -> dict[str, Detector]:
        columns = tuple(f"x{k}" for k in range(self.x.shape[1]))
        return {"classifier": Classifier(), "outputs": Outputs(), "projections": Projections(columns=columns)}


def read(folder: Path) -> list[Data]:
    """Elec2 without the date and the price of the row itself, as its README says; weather as it is."""
    elec = np.loadtxt(folder / "drift" / "elec2" / "elec2_data.dat")[:, [1, 2, 4, 5, 6, 7]]
    labels = np.loadtxt(folder / "drift" / "elec2" / "elec2_label.dat")
    weather = np.loadtxt(folder / "drift" / "weather" / "NEweather_data.csv", delimiter=",")
    rain = np.loadtxt(folder / "drift" / "weather" / "NEweather_class.csv")
    return [Data("Elec2", elec, labels, 2016, 336), Data("weather", weather, rain, 1800, 180)]


def fitted(x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    """Gradient boosting of 40 small trees; where only one class is known, that one."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if len(np.unique(y)) < 2:
        return lambda rows: np.full(len(rows), float(y[0]))
    with threadpool_limits(1):
        made = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, random_state=0).fit(x, y)

    def predict(rows: Floats) -> Floats:
        with threadpool_limits(1):
            return np.asarray(made.predict_proba(rows)[:, 1])

    return predict


def lived(data: Data, alarm: Callable[[int, Floats], int | None], begun: Callable[[], None]) -> tuple[float, list[int]]:
    """Accuracy on all rows after the first ones, each predicted before it is learnt, and where it was trained again.

    `alarm` hears where a chunk begins and what was answered to it, and gives the row at which to train again.
    """
    at, hits, trained = data.learn, 0.0, []
    predict = fitted(data.x[:at], data.y[:at])
    begun()
    while at < len(data.y):
        answers = predict(data.x[at : at + data.every])
        row = alarm(at, answers)
        end = at + len(answers) if row is None else row + 1
        hits += float(((answers[: end - at] > 0.5) == data.y[at:end]).sum())
        at = end
        if row is not None and at < len(data.y):
            trained.append(at)
            predict = fitted(data.x[at - data.learn : at], data.y[at - data.learn : at])
            begun()
    return hits / (len(data.y) - data.learn), trained


def by_stream(data: Data, stream: Stream) -> tuple[float, list[int]]:
    """Trained again where the stream hears the errors rise; labels are known at once."""
    listeners: list[Listener] = []

    def alarm(at: int, answers: Floats) -> int | None:
        errors = (answers > 0.5) != data.y[at : at + len(answers)]
        return next((at + k for k, error in enumerate(errors) if listeners[-1].add(float(error))), None)

    return lived(data, alarm, lambda: listeners.append(stream.begin()))


def by_detector(data: Data, detector: Detector) -> tuple[float, list[int]]:
    """Trained again where a chunk is not like the first two after the last training; needs no labels."""
    reference: list[Window] = []

    def alarm(at: int, answers: Floats) -> int | None:
        seen = window(data.x[at : at + len(answers)], answers)
        if len(reference) < 2:
            reference.append(seen)
            return None
        moved = detector(joined(reference), seen).decision == "fail"
        return at + len(answers) - 1 if moved else None

    return lived(data, alarm, reference.clear)


def by_calendar(data: Data, chunks: int) -> tuple[float, list[int]]:
    """Trained again after so many chunks (0: never)."""
    seen: list[int] = []

    def alarm(at: int, answers: Floats) -> int | None:
        seen.append(at)
        return at + len(answers) - 1 if chunks and len(seen) % chunks == 0 else None

    return lived(data, alarm, lambda: None)


def window(x: Floats, answers: Floats) -> Window:
    at = np.zeros(len(x))
    return Window({f"x{k}": x[:, k] for k in range(x.shape[1])}, {"p": answers}, at * np.nan, at)


def joined(windows: Sequence[Window]) -> Window:
    inputs = {name: np.concatenate([w.inputs[name] for w in windows]) for name in windows[0].inputs}
    answers = np.concatenate([w.outputs["p"] for w in windows])
    return Window(inputs, {"p": answers}, np.full(len(answers), np.nan), np.zeros(len(answers)))


@dataclass(frozen=True)
class Shuffled:
    """The same rows in random order, where nothing drifts, and with a drift put into the last third."""

    x: Floats
    p: Floats
    errors: NDArray[np.bool_]
    change: int

    @classmethod
    def of(cls, data: Data, kind: str, seed: int) -> Shuffled:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(data.y))
        x, y = data.x[order], data.y[order]
        predict = fitted(x[: data.learn], y[: data.learn])
        x, y = x[data.learn :].copy(), y[data.learn :].copy()
        change = len(y) * 2 // 3
        if kind == "concept":
            flipped = rng.random(len(y) - change) < 0.3
            y[change:] = np.where(flipped, 1 - y[change:], y[change:])
        if kind == "inputs":
            # The last two columns trade places: quantities of the same kind, sent in another order.
            x[change:, [-1, -2]] = x[change:, [-2, -1]]
        p = predict(x)
        return cls(x, p, (p > 0.5) != y, change)

    def alarms_of_stream(self, stream: Stream) -> list[int]:
        listener = stream.begin()
        return [at for at, error in enumerate(self.errors) if listener.add(float(error))]

    def alarms_of_detector(self, detector: Detector, every: int) -> list[int]:
        windows = [window(self.x[k : k + every], self.p[k : k + every]) for k in range(0, len(self.p) - every, every)]
        reference = joined(windows[:3])
        said = [detector(reference, seen).decision == "fail" for seen in windows[3:]]
        return [(k + 4) * every for k, alarmed in enumerate(said) if alarmed]


def first_after(alarms: list[int], change: int) -> float:
    return next((float(at - change) for at in alarms if at >= change), float("inf"))


def watchers(
    data: Data,
) -> Iterator[tuple[str, Callable[[Shuffled], list[int]], Callable[[], tuple[float, list[int]]]]]:
    for name, stream in STREAMS.items():
        yield name, lambda s, m=stream: s.alarms_of_stream(m), lambda m=stream: by_stream(data, m)  # type: ignore[misc]
    for name, detector in data.detectors.items():
        yield (  # type: ignore[misc]
            name,
            lambda s, m=detector: s.alarms_of_detector(m, data.every),
            lambda m=detector: by_detector(data, m),
        )


def compared(data: Data, shuffles: int) -> list[Measurement]:
    """A table for one stream."""
    rest = len(data.y) - data.learn
    last = float((data.y[data.learn - 1 : -1] == data.y[data.learn :]).mean())
    print(f"\n{data.name}: {len(data.y):,} rows; trained on {data.learn:,}; looked at every {data.every}")
    print(f"{'':24}{'rows a false':>14}{'delay of':>12}{'delay of':>12}{'retrained':>11}{'accuracy':>10}")
    print(f"{'':24}{'alarm':>14}{'a concept':>12}{'inputs':>12}{'':>11}{'':>10}")
    found = [measured("predict_the_last_label", last, rest, data)]
    worlds: dict[str, list[Shuffled]] = {
        kind: [Shuffled.of(data, kind, seed) for seed in range(shuffles)] for kind in ("", "concept", "inputs")
    }
    for name, alarms, live in watchers(data):
        false = sum(len(alarms(world)) for world in worlds[""])
        total = sum(len(world.p) for world in worlds[""])
        delays = [
            float(np.median([first_after(alarms(world), world.change) for world in worlds[kind]]))
            for kind in ("concept", "inputs")
        ]
        accuracy, trained = live()
        gap = f"{total / false:,.0f}" if false else f"over {total:,}"
        told = "".join(f"{'never' if np.isinf(d) else f'{d:,.0f}':>12}" for d in delays)
        print(f"{name:24}{gap:>14}{told}{len(trained):11}{accuracy:10.3f}")
        found += [measured(name, accuracy, rest, data, len(trained)), false_share(name, false, total, data)]
    for name, chunks in (("never", 0), ("every 4 looks", 4), ("every look", 1)):
        accuracy, trained = by_calendar(data, chunks)
        print(f"{'retrained ' + name:24}{'':38}{len(trained):11}{accuracy:10.3f}")
        found.append(measured(f"retrained {name}", accuracy, rest, data, len(trained)))
    print(f"{'predict the last label':24}{'':49}{last:10.3f}")
    return found


def measured(name: str, accuracy: float, n: int, data: Data, retrained: int = 0) -> Measurement:
    found = proportion("accuracy", round(accuracy * n), n, where=f"{data.name}, {name}")
    conditions: dict[str, Any] = {"retrained": retrained}
    return Measurement("accuracy", found.value, n, found.low, found.high, where=found.where, conditions=conditions)


def false_share(name: str, alarms: int, n: int, data: Data) -> Measurement:
    found = proportion("false_alarms_a_1000_rows", alarms, n)
    low, high = 1000 * found.low, 1000 * found.high
    return Measurement("false_alarms_a_1000_rows", 1000 * found.value, n, low, high, where=f"{data.name}, {name}")
