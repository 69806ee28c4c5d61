"""Selective prediction and model uncertainty on digits and flights: errors among what is answered, and what it costs.

Digits: scikit-learn's 1,797 images; five nets with dropout are trained on four fifths of them and asked about the last
fifth, in turn, so that each image is answered by nets that never saw it. Flights: the example's own model, January to
April, asked about May to December. `python benchmarks/uncertainty/selective_part.py --data ../shared/data`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import numpy as np
from digit_nets import MEMBERS, Rows, dropout_in, ensemble_in, train, write_code
from strangers import costs, strangers
from tables import FLIGHTS

from roadworthy.core.bounds import lower_rate, upper_rate
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.risk_coverage import risk_coverage
from roadworthy.core.stats import proportion
from roadworthy.serve.engines.torch import Torch
from roadworthy.serve.selective.figures import share_in_time
from roadworthy.serve.selective.threshold import bound_at, certify
from roadworthy.serve.uncertainty.decomposition import as_probabilities
from roadworthy.serve.wrappers.energy import energies

FLAGGED, DELTA, SPLITS, FOLDS = 0.05, 0.05, 100, 5
# Both below what answering everything costs (1.7 % and 25 %): a risk that nothing can break would hold by itself.
DIGITS_RISK, FLIGHTS_RISK = 0.01, 0.20
DAY = 86_400.0


def measure(data: Path) -> list[Measurement]:
    """Every figure of the part. `data` is not needed by it: digits and flights come with the packages."""
    with tempfile.TemporaryDirectory(prefix="r7_selective_") as at:
        folder = Path(at)
        write_code(folder)
        found = [*_digits(folder), *strangers(folder), *costs(folder)]
    return [*found, *_flights()]


@dataclass(frozen=True)
class Asked:
    """The digits, answered by nets that never saw them: p and doubts of several kinds, and whether p was wrong."""

    wrong: Rows
    doubts: Mapping[str, Rows]


def _digits(folder: Path) -> list[Measurement]:
    asked = _cross_fitted(folder)
    found = [proportion("digits_accuracy", int((asked.wrong == 0).sum()), len(asked.wrong))]
    for kind, doubt in asked.doubts.items():
        where = "" if kind == "ensemble confidence" else kind
        found += [_accuracy_answered(asked.wrong, doubt, where)]
        curve = risk_coverage(-doubt, asked.wrong, kind)
        found += [_named(curve.aurc, "digits_aurc"), _named(curve.error_auroc, "digits_error_auroc")]
    doubt = asked.doubts["ensemble confidence"]
    return [*found, *_bounds("digits", -doubt, asked.wrong, DIGITS_RISK, len(asked.wrong) // 2)]


def _cross_fitted(folder: Path) -> Asked:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.data.astype(np.float32), digits.target
    order = np.random.default_rng(0).permutation(len(labels))
    parts: list[tuple[Rows, Rows, dict[str, Rows]]] = []
    for fold, held in enumerate(np.array_split(order, FOLDS)):
        seen = np.setdiff1d(order, held)
        place = folder / f"fold{fold}"
        train(place, images[seen], labels[seen], range(MEMBERS))
        rows = {"pixels": images[held]}
        mean = ensemble_in(place, folder)(rows)
        thinned = dropout_in(place, folder)(rows)
        one = Torch(place / "0.safetensors", "net.py:Net", output="logits", folder=folder)(rows)["logits"]
        doubts = {
            "ensemble confidence": 1 - mean["p"].max(axis=1),
            "ensemble entropy": mean["epistemic"] + mean["aleatoric"],
            "ensemble epistemic": mean["epistemic"],
            "dropout entropy": thinned["epistemic"] + thinned["aleatoric"],
            "dropout epistemic": thinned["epistemic"],
            "one net: confidence": 1 - as_probabilities(one[None])[0].max(axis=1),
            "one net: energy": energies(one),
        }
        parts.append((held, (mean["p"].argmax(axis=1) != labels[held]).astype(float), doubts))
    wrong, doubts = np.empty(len(labels)), {name: np.empty(len(labels)) for name in parts[0][2]}
    for held, missed, found in parts:
        wrong[held] = missed
        for name, values in found.items():
            doubts[name][held] = values
    return Asked(wrong, doubts)


def _accuracy_answered(wrong: Rows, doubt: Rows, where: str) -> Measurement:
    """Half of the rows, drawn 100 times, set the threshold at 5 % flagged; the other half is answered by it.

    No label goes into the threshold. The mean over the draws is that of one set of rows, so the interval is Wilson's
    for the rows answered once.
    """
    rng, right, answered = np.random.default_rng(1), 0, 0
    for _ in range(SPLITS):
        order = rng.permutation(len(wrong))
        half = len(wrong) // 2
        level = np.quantile(doubt[order[:half]], 1 - FLAGGED)
        kept = order[half:][doubt[order[half:]] <= level]
        right, answered = right + int((wrong[kept] == 0).sum()), answered + len(kept)
    n = round(answered / SPLITS / (1 - half / len(wrong)))
    name = "digits_accuracy_answered" + ("_by" if where else "")
    plain = proportion(name, round(right / answered * n), n, where)
    flagged = 1 - answered / SPLITS / (len(wrong) - half)
    return msgspec.structs.replace(plain, value=right / answered, conditions={"flagged": round(flagged, 4)})


def _bounds(name: str, sure: Rows, wrong: Rows, risk: float, rows: int) -> list[Measurement]:
    """How often a certified risk held over 100 splits, all the rows being the world that the guarantee is about.

    `rows` of them are labelled. `_in_draws` labels rows drawn with replacement, as the guarantee has it to the letter;
    `_on_the_rest` holds the risk against the errors among the rows left over alone. That is more than was promised:
    those errors are a sample themselves, and just the ones that the labelled rows lack. `_at_flagged` is the bound of
    Clopper and Pearson at 5 % flagged, whatever it comes to.
    """
    rng, coverages = np.random.default_rng(2), list[float]()
    splits, draws, rest, flagged, flagged_rest = (list[bool | None]() for _ in range(5))
    world = np.arange(len(sure))
    for k in range(SPLITS):
        order = rng.permutation(len(sure))
        splits.append(_held(sure, wrong, order[:rows], world, risk, k, coverages))
        rest.append(_held(sure, wrong, order[:rows], order[rows:], risk, k, []))
        draws.append(_held(sure, wrong, rng.integers(0, len(sure), rows), world, risk, k, []))
        flagged.append(_flagged_held(sure, wrong, order[:rows], world))
        flagged_rest.append(_flagged_held(sure, wrong, order[:rows], order[rows:]))
    told = {"risk": risk, "delta": DELTA, "rows": rows}
    return [
        _runs(f"{name}_risk_held", splits, told),
        _runs(f"{name}_risk_held_in_draws", draws, told),
        _runs(f"{name}_risk_held_on_the_rest", rest, told),
        _runs(f"{name}_bound_held_at_flagged", flagged, {**told, "flagged": FLAGGED}),
        _runs(f"{name}_bound_held_at_flagged_on_the_rest", flagged_rest, {**told, "flagged": FLAGGED}),
        Measurement(f"{name}_certified_coverage", float(np.mean(coverages)) if coverages else 0.0, len(coverages)),
    ]


def _held(
    sure: Rows, wrong: Rows, mine: Rows, other: Rows, risk: float, seed: int, coverages: list[float]
) -> bool | None:
    """Whether the risk that these rows certify holds on the others; None where they certify none."""
    try:
        found = certify(sure[mine], wrong[mine], risk, DELTA, Random(seed))
    except BadData:
        return None
    answered = wrong[other][sure[other] > found.threshold]
    coverages.append(len(answered) / len(other))
    return not len(answered) or float(answered.mean()) <= risk


def _flagged_held(sure: Rows, wrong: Rows, mine: Rows, other: Rows) -> bool:
    """A fifth of the rows sets the threshold at 5 % flagged, the rest bound its risk, and the others are the test."""
    fifth = len(mine) // 5
    level = float(np.quantile(sure[mine[:fifth]], FLAGGED))
    bound = bound_at(sure[mine[fifth:]], wrong[mine[fifth:]], level, DELTA).risk
    return float(wrong[other][sure[other] > level].mean()) <= bound


def _runs(name: str, held: list[bool | None], told: Mapping[str, float]) -> Measurement:
    """Runs in which nothing false was said: a refusal promises nothing. The exact interval of that share."""
    kept, n = sum(one is not False for one in held), len(held)
    refused = sum(one is None for one in held)
    low, high = lower_rate(kept, n, 0.025), upper_rate(kept, n, 0.025)
    return Measurement(name, kept / n, n, low, high, conditions={**told, "refused": refused})


def _flights() -> list[Measurement]:
    """The example's own model on May to December: flags and bounds, at random and in time."""
    at, known_at, labels, p = _scored_flights()
    sure, wrong = np.maximum(p, 1 - p), ((p >= 0.5) != labels).astype(float)
    curve = risk_coverage(sure, wrong)
    # The threshold comes from the first four weeks, and is kept.
    first = at < at.min() + 28 * DAY
    level = float(np.quantile(sure[first], FLAGGED))
    later, flagged = ~first, sure <= level
    found = [
        share_in_time("flights_accuracy", 1 - wrong[later], at[later]),
        share_in_time("flights_accuracy_answered", 1 - wrong[later & ~flagged], at[later & ~flagged]),
        share_in_time("flights_accuracy_flagged", 1 - wrong[later & flagged], at[later & flagged]),
        share_in_time("flights_flagged", flagged[later].astype(float), at[later]),
        _named(curve.aurc, "flights_aurc"),
        _named(curve.error_auroc, "flights_error_auroc"),
    ]
    some = np.random.default_rng(4).choice(len(sure), 40_000, replace=False)
    found += _bounds("flights", sure[some], wrong[some], FLIGHTS_RISK, 4000)
    return [*found, _in_time(at, known_at, sure, wrong)]


def _in_time(at: Rows, known_at: Rows, sure: Rows, wrong: Rows) -> Measurement:
    """Certified on the labels known at the end of four weeks, held in the week after; each week begins another try.

    Weeks differ and rows within one depend on each other: what exchangeability promises is not promised here.
    """
    held: list[bool | None] = []
    for k, end in enumerate(np.arange(at.min() + 28 * DAY, at.max() - 7 * DAY, 7 * DAY)):
        mine = np.flatnonzero((at >= end - 28 * DAY) & (known_at < end))
        other = np.flatnonzero((at >= end) & (at < end + 7 * DAY))
        held.append(_held(sure, wrong, mine, other, FLIGHTS_RISK, k, []))
    return _runs("flights_risk_held_in_time", held, {"risk": FLIGHTS_RISK, "delta": DELTA})


def _scored_flights() -> tuple[Rows, Rows, Rows, Rows]:
    from roadworthy.cli.flows import read
    from roadworthy.core.project import read_project
    from roadworthy.serve.columns import dtype_of
    from roadworthy.serve.engines.onnx import Onnx

    spec = read_project(FLIGHTS / "roadworthy.yaml")
    sample = read(spec, "production")
    assert sample.labels is not None
    assert sample.at is not None
    assert sample.known_at is not None
    fields = spec.application.inputs
    columns = {name: sample.columns[name].astype(dtype_of(field)).reshape(-1, 1) for name, field in fields.items()}
    model = Onnx(FLIGHTS / "model" / "flights.onnx")
    parts = [model({n: c[k : k + 4096] for n, c in columns.items()}) for k in range(0, sample.n, 4096)]
    p = np.concatenate([part["probability"] for part in parts])
    known = ~np.isnan(sample.labels)
    return sample.at[known], sample.known_at[known], sample.labels[known] > 0.5, p[known]


def _named(one: Measurement, name: str) -> Measurement:
    return msgspec.structs.replace(one, name=name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    measured = measure(parser.parse_args().data)
    for one in measured:
        print(one, dict(one.conditions) or "")
    print(json.dumps(msgspec.to_builtins(measured)))
