"""Calibration errors before and after: of a small net on digits, and of the flights model over eight later months.

`python benchmarks/uncertainty/calibration_part.py` prints the tables alone; `measure` is what the benchmark calls.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from tables import FLIGHTS

from roadworthy.core.calibration import debiased_error, top_label_error
from roadworthy.core.catalog import load
from roadworthy.core.measure import Measurement
from roadworthy.core.stats import mean
from roadworthy.serve.calibration.choosing import choose
from roadworthy.serve.calibration.following import Following, State
from roadworthy.serve.calibration.methods import apply, fit_by_name
from roadworthy.serve.calibration.paired import gain, row_log_losses

Floats = NDArray[np.float64]
SPLITS, TRAINED, CALIBRATED = 20, 500, 500
# What the half-life of labels was chosen on, and what is reported of it.
CHOSEN_ON, REPORTED = range(5, 8), range(8, 13)
HALF_LIVES = (2_500.0, 5_000.0, 10_000.0, 20_000.0)
NEW_YORK = np.timedelta64(5, "h")


class Flights(NamedTuple):
    """The lab's held-out rows, and May to December: labels, what the lab's model says, when asked, when known."""

    lab_labels: Floats
    lab_stated: Floats
    labels: Floats
    stated: Floats
    at: Floats
    known_at: Floats

    @property
    def months(self) -> NDArray[np.int64]:
        """The month of each row, in New York's winter."""
        months = (self.at.astype("datetime64[s]") - NEW_YORK).astype("datetime64[M]")
        return months.astype(np.int64) % 12 + 1


def measure(data: Path | None = None) -> list[Measurement]:
    """Print the tables and return the measurements; `data` is not needed."""
    return [*digits(SPLITS), *flights_measured(read_flights())]


def digits(splits: int) -> list[Measurement]:
    """The error of the likeliest class: trained on the first writers, calibrated and measured on the others, split."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    before, after, gains, taken = [], [], [], Counter[str]()
    for seed in range(splits):
        rng = np.random.default_rng(seed)
        calibrated, tested = np.split(rng.permutation(np.arange(TRAINED, len(labels))), [CALIBRATED])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a net that may not have converged is what one meets
            net = MLPClassifier((64,), max_iter=200, random_state=seed).fit(images[:TRAINED], labels[:TRAINED])
        choice = choose(labels[calibrated], net.predict_proba(images[calibrated]), "multiclass", rng=rng)
        stated = net.predict_proba(images[tested])
        honest = apply(choice.leaf(), stated)
        taken[choice.taken] += 1
        before.append(top_label_error(labels[tested], stated).value)
        after.append(top_label_error(labels[tested], honest).value)
        losses = row_log_losses(labels[tested], stated), row_log_losses(labels[tested], honest)
        gains.append(float((losses[0] - losses[1]).mean()))
    how = f"first {TRAINED} trained, {CALIBRATED} calibrated, {len(labels) - TRAINED - CALIBRATED} measured"
    print(f"\ndigits, {splits} random splits ({how}); taken: {dict(taken)}")
    found = [
        mean("digits_top_label_ece_before", before),
        mean("digits_top_label_ece_after", after),
        mean("digits_log_loss_gain", gains, unit="nats"),
    ]
    # Splits share images, so their spread is not that of new data.
    found = [msgspec.structs.replace(m, conditions={"interval": "over splits of the same images"}) for m in found]
    for m in found:
        print(f"  {m}")
    return found


def read_flights() -> Flights:
    """The flights, in the order of scheduled departure, with what the frozen model of the lab says."""
    read, answers, lab_test = (load(f"prepare.py:{name}", FLIGHTS) for name in ("read", "answers", "lab_test"))
    history, production = (read(FLIGHTS / "data" / f"{name}.parquet") for name in ("history", "production"))
    lab = history.take(lab_test(history.n))
    onnx = FLIGHTS / "model" / "flights.onnx"
    in_time = np.argsort(production.at, kind="stable")
    production = production.take(in_time)
    stated = answers(onnx, production)
    return Flights(lab.labels, answers(onnx, lab), production.labels, stated, production.at, production.known_at)


def answered(flights: Flights, following: Following, guarded: bool = True) -> tuple[Floats, list[str]]:
    """What each flight is answered, by labels known before it departs only; and when calibration changed."""
    order = np.argsort(flights.known_at, kind="stable")
    known = flights.known_at[order]
    found, changes, state, done = np.empty(len(known)), [], following.start, 0
    starts = np.flatnonzero(np.diff(np.floor(known / following.block_seconds), prepend=-1))
    for first, end in zip(starts, np.append(starts[1:], len(known)), strict=True):
        # A block is closed by the first label of the next one: until then the same numbers are in force.
        upto = int(np.searchsorted(flights.at, known[first]))
        found[done:upto] = _by(following, state, flights.stated[done:upto], guarded)
        done, before, rows = upto, state.changes, order[first:end]
        state = following.after(state, flights.labels[rows], flights.stated[rows], known[first:end])
        if state.changes > before:
            changes.append(str(known[first].astype("datetime64[s]"))[:10])
    found[done:] = _by(following, state, flights.stated[done:], guarded)
    return found, changes


def _by(following: Following, state: State, stated: Floats, guarded: bool) -> Floats:
    numbers = state.force if guarded or not state.next else state.next
    return apply(replace(following.leaf, **numbers), stated)


def flights_measured(flights: Flights) -> list[Measurement]:
    """The error by month of the model alone, with the lab's calibration frozen, and following labels."""
    frozen = fit_by_name("calibrated", flights.lab_labels, flights.lab_stated)
    tuned = {h: answered(flights, Following(frozen, half_life=h), False)[0] for h in HALF_LIVES}
    best = min(tuned, key=lambda h: by_month("", flights, tuned[h], CHOSEN_ON).value)
    guarded, changes = answered(flights, Following(frozen, half_life=best))
    each, times = answered(flights, Following(frozen, "each", half_life=best))
    answers = {
        "before": flights.stated,
        "frozen": apply(frozen, flights.stated),
        "refitted": guarded,
        "refitted_each_guarded": each,
        "refitted_unguarded": tuned[best],
    }
    print(
        f"\nflights, debiased calibration error by month; a half-life of {best:,.0f} labels was chosen on May to July"
    )
    print(f"  following labels began on {', '.join(changes) or 'no day'}; each guarded: {', '.join(times) or 'none'}")
    print(f"  {'':24}" + "".join(f"{month:>8}" for month in (*range(5, 13), "all")))
    found = []
    for name, stated in answers.items():
        months = [
            debiased_error(flights.labels[flights.months == m], stated[flights.months == m]) for m in range(5, 13)
        ]
        whole = debiased_error(flights.labels, stated)
        print(f"  {name:24}" + "".join(f"{m.value:8.3f}" for m in (*months, whole)))
        found += [msgspec.structs.replace(whole, name=f"flights_ece_{name}")]
        found += [by_month(f"flights_ece_by_month_{name}", flights, stated, REPORTED)]
    losses = {name: row_log_losses(flights.labels, stated) for name, stated in answers.items()}
    found.append(gain("flights_log_loss_gain_refitted_over_before", losses["before"], losses["refitted"], "nats"))
    found.append(gain("flights_log_loss_gain_frozen_over_before", losses["before"], losses["frozen"], "nats"))
    print("  intervals of errors take flights for independent, those of gains do not; by_month: August to December")
    for m in found:
        print(f"  {m}")
    return found


def by_month(name: str, flights: Flights, stated: Floats, months: range) -> Measurement:
    """The mean over months of the error in each, with bounds that hold for all months together."""
    rows, k = flights.months, len(months)
    each = [debiased_error(flights.labels[rows == m], stated[rows == m], confidence=1 - 0.05 / k) for m in months]
    value, low, high = (sum(getattr(one, part) for one in each) / k for part in ("value", "low", "high"))
    return Measurement(name, value, sum(one.n for one in each), low, high, where=f"months {months[0]} to {months[-1]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    print(msgspec.json.encode(measure(parser.parse_args().data)).decode())
