"""Flights: the base rate collapses at the end of summer. When is that seen, how often is it seen where it is not?

January to April is where nothing is to be found: the model's own months. Rows that a model learnt from would be too
calm, so each row there is answered by a model that learnt from the other folds; and once more, the lab's own model
answers the rows that the lab held out. Labels count when the flight has landed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.catalog import load
from roadworthy.core.measure import Measurement
from roadworthy.core.profile import Reference
from roadworthy.core.sample import Sample
from roadworthy.core.window import Window
from roadworthy.observe.detectors.calibration import Calibration
from roadworthy.observe.drift.drift_kind import Kinds, lines

Floats = NDArray[np.float64]
Rule = Callable[[Floats, Floats, Floats], bool]
PROJECT = Path(__file__).resolve().parents[2] / "examples" / "flights"
DAY = 86400.0
WINDOW_DAYS = 7
# One false alarm a month, looked for every day: what each look may spend, whatever the looks share.
ALPHA = 1 / 30
FOLDS = 3
AT_MOST_DAYS, AT_MOST_FALSE = 5.0, 1
MONTHS = {"July": 7, "August": 8, "September": 9, "October": 10}
NEW_YORK = 4 * 3600.0


def table(name: str) -> Sample:
    """One of the project's tables, with the times at which its labels became known."""
    sample: Sample = load("prepare.py:read", PROJECT)(PROJECT / "data" / f"{name}.parquet")
    return sample


def onnx_answers(sample: Sample) -> Floats:
    """What the lab's model says, 20,000 rows at a time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(PROJECT / "model" / "flights.onnx"), options)
    return np.concatenate([session.run(["probabilities"], feed(part))[0][:, 1] for part in sample.chunks(20_000)])


def feed(sample: Sample) -> dict[str, Any]:
    """Text as it is, numbers as float32, each (n, 1)."""
    return {
        name: (values if values.dtype == object else values.astype(np.float32)).reshape(-1, 1)
        for name, values in sample.columns.items()
    }


def trained_answers(learnt: Sample, asked: Sample) -> Floats:
    """What the project's own training makes of some rows and says to others."""
    fitted = load("train.py:fit", PROJECT)(learnt, 60, 0)
    return np.asarray(load("train.py:predict", PROJECT)(fitted, asked))


def crossed(history: Sample) -> Floats:
    """Every row of January to April, answered by a model that learnt from the other folds."""
    answers, fold = np.empty(history.n), np.random.default_rng(0).integers(0, FOLDS, history.n)
    for k in range(FOLDS):
        answers[fold == k] = trained_answers(history.take(fold != k), history.take(fold == k))
    return answers


@dataclass(frozen=True)
class Packaged:
    """The detector of the package, with its own bound; without a reference it takes rows for independent."""

    reference: Reference

    def __call__(self, labels: Floats, stated: Floats, at: Floats) -> bool:
        seen = Window({}, {"probability": stated}, labels, at)
        return Calibration(alpha=ALPHA)(self.reference, seen).decision == "fail"


def by_day(labels: Floats, stated: Floats, at: Floats) -> bool:
    """The same question with a day as one value, because flights of one day share its weather (Student's interval)."""
    days = ((at - NEW_YORK) // DAY).astype(np.int64)
    days -= days.min(initial=0)
    rows, sums = np.bincount(days), np.bincount(days, labels - stated)
    rows, sums = rows[rows > 0], sums[rows > 0]
    k = len(rows)
    if k < 3:
        return False
    gap = sums.sum() / rows.sum()
    error = np.sqrt(((sums - gap * rows) ** 2).sum() * k / (k - 1)) / rows.sum()
    from scipy import stats

    return bool(abs(gap) - stats.t.ppf(1 - ALPHA / 2, k - 1) * error > Calibration().at_most)


def looks(rule: Rule, sample: Sample, answers: Floats, since: float, until: float) -> list[tuple[float, bool]]:
    """What the rule says each morning of the last seven days, with the labels known by then."""
    assert sample.at is not None
    assert sample.labels is not None
    assert sample.known_at is not None
    said = []
    for now in np.arange(since + DAY, until + DAY, DAY):
        rows = slice(*np.searchsorted(sample.at, [max(since, now - WINDOW_DAYS * DAY), now]))
        known = sample.known_at[rows] <= now
        stated = answers[rows][known].astype(np.float64)
        said.append((float(now), rule(sample.labels[rows][known], stated, sample.at[rows][known])))
    return said


def raised(said: Sequence[tuple[float, bool]]) -> list[float]:
    """When an alarm was raised that did not stand the day before."""
    days = pairwise([(0.0, False), *said])
    return [now for (_, yesterday), (now, today) in days if today and not yesterday]


def collapse(sample: Sample, since: float, until: float) -> tuple[float, float, float]:
    """The day at which the daily base rate splits best into two levels (least squares), and both levels."""
    assert sample.at is not None
    assert sample.labels is not None
    days = np.arange(since, until, DAY)
    edges = np.searchsorted(sample.at, days)
    rates = np.array([sample.labels[a:b].mean() for a, b in pairwise(edges)])
    splits = range(7, len(rates) - 7)
    error = [rates[:k].var() * k + rates[k:].var() * (len(rates) - k) for k in splits]
    best = splits[int(np.argmin(error))]
    return float(days[best]), float(rates[:best].mean()), float(rates[best:].mean())


def when(year: int, month: int, day: int) -> float:
    """Midnight in New York in summer, as Unix seconds."""
    return datetime.datetime(year, month, day, tzinfo=datetime.UTC).timestamp() + NEW_YORK


SPRING = (when(2013, 1, 1), when(2013, 5, 1))


def date(at: float) -> str:
    return datetime.datetime.fromtimestamp(at - NEW_YORK, datetime.UTC).strftime("%d %b")


def as_window(sample: Sample, answers: Floats, rows: NDArray[Any]) -> Window:
    picked = sample.take(rows)
    return Window.of_sample(picked, {"probability": answers[rows].astype(np.float64)})


def seen() -> tuple[list[Measurement], bool]:
    """The table, and whether the bounds hold for the detector of the package."""
    history, lab, production = table("history"), table("lab"), table("production")
    frozen = onnx_answers(production)
    fell, before, after = collapse(production, when(2013, 7, 1), when(2013, 11, 1))
    months = ", ".join(f"{name} {month_rate(production, month):.3f}" for name, month in MONTHS.items())
    print(
        f"\nflights: the daily base rate falls from {before:.3f} to {after:.3f} on {date(fell)} (best split of July to"
    )
    print(f"October); by month: {months}. Calibration within {Calibration().at_most:g} is looked at")
    print(f"daily over {WINDOW_DAYS} days, each look at alpha {ALPHA:.3f} (one false alarm a month).")
    nothing = Reference.of(Window({}, {}, np.empty(0), np.empty(0)))
    known = Reference.of(Window.of_sample(lab, {"probability": onnx_answers(lab).astype(np.float64)}))
    rules: dict[str, Rule] = {"`calibration`": Packaged(known), "rows independent": Packaged(nothing)}
    rules["a day is one value"] = by_day
    print(f"{'':58}" + "".join(f"{name:>22}" for name in rules))
    calm = {"cross-fitted, all rows": (history, crossed(history)), "the lab's held-out rows": (lab, onnx_answers(lab))}
    found, worst = [], dict.fromkeys(rules, 0)
    for name, (sample, answers) in calm.items():
        counts = {r: len(raised(looks(rule, sample, answers, *SPRING))) for r, rule in rules.items()}
        print(f"{'false alarms January to April, ' + name:58}" + "".join(f"{count:22}" for count in counts.values()))
        worst = {r: max(worst[r], counts[r]) for r in rules}
        found += [
            Measurement("false_alarms_january_to_april", float(n), 1, where=f"{name}, {r}") for r, n in counts.items()
        ]
    longest = dict.fromkeys(rules, 0.0)
    for name, sample, answers, since, event in events(history, production, frozen, fell):
        told = {}
        for r, rule in rules.items():
            alarms = raised(looks(rule, sample, answers, since, event + 30 * DAY))
            days = next(((now - event) / DAY for now in alarms if now > event), float("inf"))
            told[r] = f"{days:.0f} days ({sum(now <= event for now in alarms)} before)"
            longest[r] = max(longest[r], days) if event == when(2013, 9, 1) else longest[r]
            found.append(Measurement("days_to_calibration_alarm", days, 1, unit="days", where=f"{name}, {r}"))
        print(f"{name:58}" + "".join(f"{words:>22}" for words in told.values()))
    kind = named(lab, production, frozen)
    kept = longest["`calibration`"] <= AT_MOST_DAYS and worst["`calibration`"] <= AT_MOST_FALSE
    return found, kept and kind not in ("none", "cannot tell")


def events(
    history: Sample, production: Sample, frozen: Floats, fell: float
) -> Iterator[tuple[str, Sample, Floats, float, float]]:
    """A name, rows and answers, when the watch begins, and what should raise an alarm."""
    september = when(2013, 9, 1)
    yield f"frozen model watched from May: after {date(fell)}", production, frozen, when(2013, 5, 1), fell
    yield f"retrained 1 August, watched from then: after {date(fell)}", *retrained(history, production, 8), fell
    yield "frozen model watched from 1 September", production, frozen, september, september
    yield "retrained 1 September, watched from then", *retrained(history, production, 9), september


def retrained(history: Sample, production: Sample, month: int) -> tuple[Sample, Floats, float]:
    """What arrived from the first of a month on, and what a model says that learnt all outcomes known by then."""
    assert production.known_at is not None
    assert production.at is not None
    assert history.labels is not None
    began = when(2013, month, 1)
    known, later = production.take(production.known_at <= began), production.take(production.at >= began)
    assert known.labels is not None
    columns = {name: np.concatenate([history.columns[name], known.columns[name]]) for name in history.columns}
    learnt = Sample(columns, np.concatenate([history.labels, known.labels]))
    return later, trained_answers(learnt, later), began


def named(lab: Sample, production: Sample, frozen: Floats) -> str:
    """The kind of drift in the first week of September, against 2,000 of the lab's held-out rows."""
    assert production.at is not None
    began = when(2013, 9, 1)
    rows = np.flatnonzero((production.at >= began) & (production.at < began + 7 * DAY))
    held = np.sort(np.random.default_rng(0).choice(lab.n, 2000, replace=False))
    found = Kinds()(as_window(lab, onnx_answers(lab), held), as_window(production, frozen, rows))
    for line in lines(found):
        print(f"  {line}")
    return found.kind


def month_rate(sample: Sample, month: int) -> float:
    assert sample.at is not None
    assert sample.labels is not None
    rows = (sample.at >= when(2013, month, 1)) & (sample.at < when(2013, month + 1, 1))
    return float(sample.labels[rows].mean())
