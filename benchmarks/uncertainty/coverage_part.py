"""How often sets and intervals hold the truth over repeated splits: over all rows, in each class, in each segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tables
from numpy.typing import NDArray
from tables import Answers

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion, z_of
from roadworthy.serve.conformal.base import checked_scores
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.conformal.thresholds import promise, rank_of
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.cqr import Cqr
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.mondrian_class import fit as fit_classes
from roadworthy.serve.wrappers.mondrian_segment import fit as fit_segments
from roadworthy.serve.wrappers.normalised import Normalised
from roadworthy.serve.wrappers.raps import Raps, tuned

TARGET, SPLITS = 0.9, 100
# Chosen for speed alone: 77 thresholds a split.
FEWER = {"banking77": 40, "flights": 40}

# Given labelled rows to fit on: whether the truth of each test row is held.
Method = Callable[[Answers, Answers], NDArray[np.bool_]]


def measure(data: Path) -> list[Measurement]:
    """The mean coverage of each method on each table, and in how many splits it lies where theory puts it."""
    found: list[Measurement] = []
    for name, answers in _tables(data):
        methods = _interval_methods() if name == "diabetes" else _set_methods()
        for method, held in methods.items():
            found += _over_splits(name, method, held, answers, FEWER.get(name, SPLITS))
        found += _by_group(name, answers, FEWER.get(name, SPLITS))
    return found


def _tables(data: Path) -> Iterator[tuple[str, Answers]]:
    yield "digits", tables.digits()
    yield "breast_cancer", tables.breast_cancer()
    yield "diabetes", tables.diabetes()
    if (data / "text" / "banking77").is_dir():
        yield "banking77", tables.banking(data)
    yield "flights", tables.flights()


def _set_methods() -> dict[str, Method]:
    return {"lac": _plain(Lac()), "aps": _plain(Aps()), "raps": _raps}


def _interval_methods() -> dict[str, Method]:
    return {"absolute": _plain(Absolute()), "normalised": _plain(Normalised()), "cqr": _plain(Cqr())}


def _plain(leaf: Any) -> Method:
    def held(cal: Answers, test: Answers) -> NDArray[np.bool_]:
        fitted = fit(leaf, cal.labels, cal.outputs, TARGET)
        return np.asarray(fitted.true_scores(test.outputs, test.labels) <= fitted.threshold)

    return held


def _raps(cal: Answers, test: Answers) -> NDArray[np.bool_]:
    """A fifth of the rows chooses the penalty."""
    some = len(cal.labels) // 5
    first, rest = cal.take(np.arange(some)), cal.take(np.arange(some, len(cal.labels)))
    return _plain(tuned(Raps(), first.labels, first.outputs, TARGET))(rest, test)


def _over_splits(name: str, method: str, held: Method, answers: Answers, splits: int) -> list[Measurement]:
    rng, shares, inside = np.random.default_rng(0), [], 0
    for _ in range(splits):
        cal, test = _halves(answers, rng)
        share = float(held(cal, test).mean())
        n = len(cal.labels) - (len(cal.labels) // 5 if method == "raps" else 0)
        low, high = _expected(n, len(test.labels))
        inside += low <= share <= high
        shares.append(share)
    return [_mean(f"coverage_{name}_{method}", shares, n), _within(f"splits_within_{name}_{method}", inside, splits)]


def _by_group(name: str, answers: Answers, splits: int) -> list[Measurement]:
    """The worst class, or segment, of the marginal sets, and of those with a threshold for each."""
    groups = [("class", answers.labels.astype(np.int64).astype(str).astype(object))] if name != "diabetes" else []
    groups += [("segment", answers.segments)] if len(set(answers.segments.tolist())) > 1 else []
    leaf = Absolute() if name == "diabetes" else Lac()
    found: list[Measurement] = []
    for kind, of_row in groups:
        grouped = replace(answers, segments=of_row)
        found += _grouped(name, kind, leaf, grouped, splits)
    return found


def _grouped(name: str, kind: str, leaf: Any, answers: Answers, splits: int) -> list[Measurement]:
    rng, inside, seen = np.random.default_rng(1), 0, 0
    own: dict[str, list[float]] = {group: [] for group in sorted(set(answers.segments.tolist()))}
    plain: dict[str, list[float]] = {group: [] for group in own}
    rows: dict[str, int] = {}
    for _ in range(splits):
        cal, test = _halves(answers, rng, within_groups=True)
        marginal = _plain(leaf)(cal, test)
        held = _held_by_group(kind, leaf, cal, test)
        for group in own:
            mine = test.segments == group
            rows[group] = int((cal.segments == group).sum())
            low, high = _expected(rows[group], int(mine.sum()))
            share = float(held[mine].mean())
            own[group].append(share)
            plain[group].append(float(marginal[mine].mean()))
            inside, seen = inside + (low <= share <= high), seen + 1
    worst = min(own, key=lambda group: np.mean(own[group]) - rank_of(rows[group], TARGET) / (rows[group] + 1))
    least = min(float(np.mean(shares)) for shares in plain.values())
    return [
        _mean(f"coverage_{name}_worst_{kind}", own[worst], rows[worst], worst, len(own)),
        _within(f"groups_within_{name}_{kind}", inside, seen),
        Measurement(f"coverage_{name}_worst_{kind}_marginal", least, splits),
    ]


def _held_by_group(kind: str, leaf: Any, cal: Answers, test: Answers) -> NDArray[np.bool_]:
    scores = checked_scores(leaf, test.labels, test.outputs)
    if kind == "class":
        thresholds = np.array(fit_classes(leaf, cal.labels, cal.outputs, TARGET).thresholds)
        return np.asarray(scores <= thresholds[test.labels.astype(np.int64)])
    fitted = fit_segments(leaf, cal.labels, cal.outputs, "segment", cal.segments.tolist(), TARGET)
    return np.asarray(scores <= np.array([fitted.thresholds[one] for one in test.segments]))


def _halves(answers: Answers, rng: np.random.Generator, within_groups: bool = False) -> tuple[Answers, Answers]:
    """Two random halves; of each group, where a group must not run out of rows."""
    n = len(answers.labels)
    if not within_groups:
        order = rng.permutation(n)
        return answers.take(order[: n // 2]), answers.take(order[n // 2 :])
    first = np.zeros(n, np.bool_)
    for group in sorted(set(answers.segments.tolist())):
        members = rng.permutation(np.flatnonzero(answers.segments == group))
        first[members[: len(members) // 2]] = True
    return answers.take(first), answers.take(~first)


@cache
def _expected(n: int, test: int) -> tuple[float, float]:
    """Where the coverage of one split lies 95 times in 100: Beta of the rows of the fit, binomial of those tested."""
    k, drawn = rank_of(n, TARGET), np.random.default_rng(0)
    shares = drawn.binomial(test, drawn.beta(k, n + 1 - k, 20_000)) / test
    low, high = np.quantile(shares, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _mean(name: str, shares: list[float], n: int, where: str = "", groups: int = 1) -> Measurement:
    """The mean over splits, with what theory expects of it; the interval is that of the mean, for as many groups."""
    spread = z_of(1 - 0.01 / groups) * float(np.std(shares, ddof=1)) / np.sqrt(len(shares))
    value, expected = float(np.mean(shares)), promise(n, TARGET).value
    said = {"expected": expected, "splits": len(shares), "confidence": 1 - 0.01 / groups}
    return Measurement(name, value, n, value - float(spread), value + float(spread), where=where, conditions=said)


def _within(name: str, inside: int, splits: int) -> Measurement:
    return proportion(name, inside, splits, confidence=0.99)
