"""Training/serving skew: does what is served look like what the model was trained on, by schema, row and distribution?

The three checks of TensorFlow Data Validation (Breck et al. 2019, "Data validation for machine learning").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Decision, Measurement, Requirement, Verdict, judge, worst
from roadworthy.core.spec import Field
from roadworthy.core.stats import chi2_survival, nothing, proportion, z_of
from roadworthy.data.compared import compare, null, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]

Check = Literal["schema", "feature", "distribution"]
# A chi-square is close enough when each bin expects this many rows.
FILLED = 5.0
MOST_EXAMPLES = 5
# With more distinct values than this in training, a new one is nothing strange.
MOST_VALUES = 200


class Skew(Struct, frozen=True):
    """One thing that was checked of one column: `what` it was, how large, and whether that is too much."""

    check: Check
    column: str
    what: str
    measured: Measurement
    verdict: Verdict
    examples: tuple[str, ...] = ()


class SkewReport(Struct, frozen=True):
    """All that was checked of `training` against `serving` rows, of which `joined` are the same request."""

    training: int
    serving: int
    joined: int
    found: tuple[Skew, ...]

    @property
    def decision(self) -> Decision:
        """One failed check fails, else one that waits waits."""
        return worst([skew.verdict for skew in self.found])


@dataclass(frozen=True)
class Tolerance:
    """How much is let through. Rows that break the schema or differ: `share`, shown with 95 % confidence.

    Numbers that are `relative` or `absolute` near are the same. Distributions may differ by chance (`alpha`, over all
    columns together: Holm 1979) and by `distance`: L-infinity for categories, Jensen-Shannon (bits) for numbers.
    """

    share: float = 0.01
    relative: float = 1e-5
    absolute: float = 1e-9
    alpha: float = 0.01
    categories: float = 0.02
    numbers: float = 0.01
    bins: int = 20
    least_rows: int = 50


def skew(
    training: Columns,
    serving: Columns,
    fields: Mapping[str, Field],
    training_ids: Sequence[str] = (),
    serving_ids: Sequence[str] = (),
    tolerance: Tolerance | None = None,
) -> SkewReport:
    """The three checks; rows are compared one by one where both sides say their ids."""
    tolerance = tolerance or Tolerance()
    found = list(schema_skew(serving, fields, training, tolerance))
    joined = 0
    if len(training_ids) and len(serving_ids):
        joined, rows = feature_skew(training, training_ids, serving, serving_ids, tolerance)
        found += rows
    found += distribution_skew(training, serving, tolerance)
    return SkewReport(_rows(training), _rows(serving), joined, tuple(found))


def schema_skew(
    serving: Columns, fields: Mapping[str, Field], training: Columns, tolerance: Tolerance
) -> tuple[Skew, ...]:
    """Columns that are missing or extra, and values of another type, outside of the domain or range, or absent.

    Where a category lists no values, those of the training rows are taken, if they are few.
    """
    found = []
    for name in dict.fromkeys([*fields, *serving]):
        if name not in fields or name not in serving:
            what = "extra column" if name in serving else "missing column"
            told = f"{name!r} is {'not in the schema' if name in serving else 'in the schema, and is not served'}"
            found.append(_skew("schema", name, what, nothing(what, where=name), Verdict("fail", told, what)))
        elif serving[name].ndim == 1:
            found += _checked(name, serving[name], fields[name], training.get(name), tolerance)
    return tuple(found)


def feature_skew(
    training: Columns, training_ids: Sequence[str], serving: Columns, serving_ids: Sequence[str], tolerance: Tolerance
) -> tuple[int, tuple[Skew, ...]]:
    """How many ids are on both sides, and for each column how many of those rows differ, with examples.

    A column of only one side is left to the schema. An id that comes twice is taken at its last row.
    """
    place = {id: k for k, id in enumerate(training_ids)}
    pairs = {id: (place[id], k) for k, id in enumerate(serving_ids) if id in place}
    ids = list(pairs)
    old, new = np.array(list(pairs.values()), np.int64).reshape(len(pairs), 2).T
    found = []
    for name in [name for name in training if name in serving]:
        before, after = training[name][old], serving[name][new]
        each = compare(before, after, tolerance.relative, tolerance.absolute)
        odd = np.flatnonzero(~each.match)
        differs = proportion("differs", len(odd), len(ids), name)
        counts = (
            f"{each.differ.sum()} differ, {each.missing.sum()} are null and {each.extra.sum()} only there in serving"
        )
        verdict = _judged(differs, tolerance.share, counts)
        examples = [f"{ids[k]}: {shown(before[k])} in training, {shown(after[k])} served" for k in odd[:MOST_EXAMPLES]]
        found.append(_skew("feature", name, "differs", differs, verdict, tuple(examples)))
    return len(ids), tuple(found)


def distribution_skew(training: Columns, serving: Columns, tolerance: Tolerance) -> tuple[Skew, ...]:
    """L-infinity of categories and Jensen-Shannon divergence of numbers; nulls are left to the schema.

    An alarm needs both: more than is let through, and more than chance gives at so many rows. With n and m rows of one
    law in B bins, 8 n m / (n + m) times the divergence (nats) follows a chi-square with B - 1 degrees of freedom.
    """
    found = []
    for name in [name for name in training if name in serving and training[name].ndim == serving[name].ndim == 1]:
        old, new = training[name][~null(training[name])], serving[name][~null(serving[name])]
        if (old.dtype == object) == (new.dtype == object):
            found.append(_distance(name, old, new, tolerance))
    ranked = sorted((m for m in found if m.n), key=lambda m: float(m.conditions["p"]))
    surprising = set()
    for k, m in enumerate(ranked):
        if float(m.conditions["p"]) * (len(ranked) - k) > tolerance.alpha:
            break
        surprising.add(m.where)
    return tuple(_far(m, m.where in surprising, tolerance) for m in found)


def _rows(columns: Columns) -> int:
    return next((len(values) for values in columns.values()), 0)


def _skew(
    check: Check, column: str, what: str, measured: Measurement, verdict: Verdict, examples: tuple[str, ...] = ()
) -> Skew:
    return Skew(check, column, what, measured, verdict, examples)


def _judged(measured: Measurement, at_most: float, told: str) -> Verdict:
    judged = judge(measured, Requirement(measured.name, at_most=at_most, where=measured.where))
    return Verdict(judged.decision, f"{measured}: {told}", measured.name, (measured,))


def _checked(
    name: str, values: NDArray[Any], field: Field, training: NDArray[Any] | None, tolerance: Tolerance
) -> list[Skew]:
    """The checks of one column against what is declared of it."""
    gone = null(values)
    there = values[~gone]
    wanted_text = field.datatype == "BYTES"
    found = [_presence(name, gone, field, training, tolerance)]
    if len(there) and (there.dtype == object) != wanted_text:
        told = f"{name!r} is served as {'text' if there.dtype == object else 'numbers'}, the schema says {field.kind}"
        found.append(_skew("schema", name, "type", proportion("type", len(there), len(there), name), _fail(told)))
        return found
    odd = _odd(there, field, None if training is None else training[~null(training)])
    for what, rows in odd.items():
        examples = [shown(value) for value in dict.fromkeys(there[rows].tolist())][:MOST_EXAMPLES]
        measured = proportion(what, int(rows.sum()), len(there), name)
        told = f"such as {', '.join(examples)}" if examples else "none found"
        found.append(_skew("schema", name, what, measured, _judged(measured, tolerance.share, told), tuple(examples)))
    return found


def _fail(told: str) -> Verdict:
    return Verdict("fail", told, "type")


def _presence(
    name: str, gone: NDArray[np.bool_], field: Field, training: NDArray[Any] | None, tolerance: Tolerance
) -> Skew:
    """More nulls than in training; in a column that must have none, any that are shown to be more than let through."""
    now = proportion("null", int(gone.sum()), len(gone), name)
    if not field.nullable:
        return _skew("schema", name, "null", now, _judged(now, tolerance.share, "the schema allows none"))
    if training is None or not len(training):
        return _skew("schema", name, "null", now, Verdict("pass", f"{now}: the schema allows them", "null", (now,)))
    before = proportion("null", int(null(training).sum()), len(training), name)
    # The interval of a difference from those of its parts (Newcombe 1998, method 10).
    more = now.value - before.value
    low = more - math.hypot(now.value - now.low, before.high - before.value)
    high = more + math.hypot(now.high - now.value, before.value - before.low)
    measured = Measurement("more null", more, now.n, low, high, where=name)
    return _skew("schema", name, "null", measured, _judged(measured, 5 * tolerance.share, f"{before.value:.1%} before"))


def _odd(there: NDArray[Any], field: Field, training: NDArray[Any] | None) -> dict[str, NDArray[np.bool_]]:
    """Which values break the schema, by how."""
    if field.kind == "text":
        return {}
    if there.dtype == object:
        allowed = set(field.values or ([] if training is None else training.tolist()))
        closed = bool(field.values) or 0 < len(allowed) <= MOST_VALUES
        return {"outside domain": np.array([v not in allowed for v in there.tolist()], bool)} if closed else {}
    found = {}
    if field.kind in ("integer", "boolean"):
        found["not whole"] = there != np.round(there)
    low, high = field.low, field.high
    if low is not None or high is not None:
        slack = 1e-6 * max(abs(low or 0.0), abs(high or 0.0))
        below = there < -math.inf if low is None else there < low - slack
        above = there > math.inf if high is None else there > high + slack
        found["outside range"] = below | above
    return found


def _distance(name: str, old: NDArray[Any], new: NDArray[Any], tolerance: Tolerance) -> Measurement:
    what = "L-infinity" if old.dtype == object else "Jensen-Shannon"
    unit = "1" if old.dtype == object else "bits"
    if min(len(old), len(new)) < tolerance.least_rows:
        return nothing(what, unit, name)
    counts = _categories(old, new) if old.dtype == object else _numbers(old, new, tolerance.bins)
    both, n, m = counts.sum(axis=0), float(len(old)), float(len(new))
    thin = both * min(n, m) / (n + m) < FILLED
    counts = np.column_stack([counts[:, ~thin], counts[:, thin].sum(axis=1)])
    counts = counts[:, counts.sum(axis=0) > 0]
    p, q = counts[0] / n, counts[1] / m
    return _furthest(name, p, q, n, m) if old.dtype == object else _divergence(name, p, q, n, m)


def _furthest(name: str, p: NDArray[np.float64], q: NDArray[np.float64], n: float, m: float) -> Measurement:
    """The largest change of a share, with the chance of any as large (Bonferroni over the categories)."""
    pooled = (p * n + q * m) / (n + m)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-300))
    top = int(np.argmax(np.abs(p - q)))
    chance = min(1.0, len(p) * chi2_survival(float(np.max(np.abs(p - q) / spread)) ** 2, 1))
    value, half = float(abs(p - q)[top]), z_of(0.95) * float(spread[top])
    conditions = {"p": chance}
    return Measurement("L-infinity", value, int(m), max(0.0, value - half), value + half, "1", name, conditions)


def _divergence(name: str, p: NDArray[np.float64], q: NDArray[np.float64], n: float, m: float) -> Measurement:
    """Jensen-Shannon divergence in bits, with its interval by the normal approximation to a chi-square."""
    middle = (p + q) / 2
    parts = [np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0) / middle), 0.0).sum() / 2 for x in (p, q)]
    nats, scale, freedom = float(sum(parts)), 8 * n * m / (n + m), max(1, len(p) - 1)
    centre = max(0.0, nats * scale - freedom)
    half = z_of(0.95) * math.sqrt(2 * (freedom + 2 * centre))
    low, high = max(0.0, centre - half) / scale, max((centre + half) / scale, nats)
    conditions = {"p": chi2_survival(nats * scale, freedom)}
    bits = 1 / math.log(2)
    return Measurement(
        "Jensen-Shannon", nats * bits, int(m), low * bits, min(1.0, high * bits), "bits", name, conditions
    )


def _numbers(old: NDArray[Any], new: NDArray[Any], bins: int) -> NDArray[np.float64]:
    """Counts in quantiles of both together: one far value moves no edge, and ties stay in one bin."""
    most = max(2, min(bins, min(len(old), len(new)) // 10))
    edges = np.unique(np.quantile(np.concatenate([old, new]), np.linspace(0, 1, most + 1)[1:-1], method="nearest"))
    parts = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (old, new)]
    return np.array(parts, np.float64)


def _categories(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.float64]:
    before, after = Counter(old.tolist()), Counter(new.tolist())
    names = list(dict.fromkeys([*before, *after]))
    return np.array([[counter[name] for name in names] for counter in (before, after)], np.float64)


def _far(measured: Measurement, surprising: bool, tolerance: Tolerance) -> Skew:
    least = tolerance.categories if measured.name == "L-infinity" else tolerance.numbers
    if not measured.n:
        told = f"fewer than {tolerance.least_rows} rows on one side"
        return _skew("distribution", measured.where, measured.name, measured, Verdict("wait", told, measured.name))
    decision: Decision = "fail" if surprising and measured.value >= least else "pass"
    chance = f"p {measured.conditions['p']:.2g}"
    told = f"{measured}, {chance}, {least:g} is let through"
    return _skew("distribution", measured.where, measured.name, measured, Verdict(decision, told, measured.name))
