"""Columns that broke on their way here: gone, empty, stuck, in another unit, or with values nobody knew before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import proportion
from roadworthy.core.window import Window
from roadworthy.observe.drift.encoding import Columns, aligned, nulls_in
from roadworthy.observe.drift.two_sample import ks, ks_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_ROWS = 50
# A share of rows that no drift of the world changes at one go; half of them for a value that was hardly there.
JUMP, KNOWN_SHARE = 0.2, 0.02
NEW = 0.05
# Nearly no value of the one law is usual in the other: what a unit does, and the world seldom.
APART, ALONE = 0.5, 0.5
# Of the spread, how far the quantiles of a column may lie from those that another unit would give.
OFF_THE_LINE = 0.1
# Two bell curves are always a factor and an offset apart, so only conversions that people make count.
FACTORS = (
    {f"{10**k:,}": 10.0**k for k in (1, 2, 3, 6, 9)}
    | {"60, as minutes to an hour": 60.0, "3600, as seconds to an hour": 3600.0, "24, as hours to a day": 24.0}
    | {
        "2.54, as centimetres to an inch": 2.54,
        "25.4, as millimetres to an inch": 25.4,
        "12, as inches to a foot": 12.0,
    }
    | {"3.281, as feet to a metre": 3.281, "3.6, as km/h to m/s": 3.6, "2.237, as mph to m/s": 2.237}
    | {"2.205, as pounds to a kilogram": 2.205, "3.785, as litres to a gallon": 3.785}
)
CONVERSIONS = (
    *((f"times {name}", factor, 0.0) for name, factor in FACTORS.items()),
    *((f"divided by {name}", 1 / factor, 0.0) for name, factor in FACTORS.items()),
    ("from Fahrenheit to Celsius", 5 / 9, -160 / 9),
    ("from Celsius to Fahrenheit", 9 / 5, 32.0),
    ("from Celsius to Kelvin", 1.0, 273.15),
    ("from Kelvin to Celsius", 1.0, -273.15),
    ("with the other sign", -1.0, 0.0),
)
QUANTILES = np.linspace(0.05, 0.95, 19)


def faults(reference: Window, current: Window, moved: Sequence[str] = ()) -> list[Measurement]:
    """One Measurement a broken input: the share of rows that it concerns, and in words what happened to it.

    `moved` are the inputs that other tests found to have moved: where only one did, at one moment and far, the world
    is the less likely cause.
    """
    if min(reference.n, current.n) < LEAST_ROWS:
        return []
    names = tuple(reference.inputs)
    old, new = aligned(reference, current, names)
    found = [_gone(name, current.n) for name in old if name not in current.inputs]
    for name in (name for name in old if name in current.inputs):
        fault = _fault(name, old[name], new[name])
        found += [fault] if fault else []
    if not found and len(moved) == 1 and moved[0] in old:
        fault = _alone(moved[0], old, new, current.at)
        found += [fault] if fault else []
    return sorted(found, key=lambda m: -m.value)


def _fault(name: str, old: NDArray[Any], new: NDArray[Any]) -> Measurement | None:
    nulls = [nulls_in(side) for side in (old, new)]
    if nulls[1].mean() - nulls[0].mean() >= JUMP:
        return _share("null", name, nulls[1], f"{nulls[0].mean():.0%} null became {nulls[1].mean():.0%}")
    known = old[~nulls[0]], new[~nulls[1]]
    if min(map(len, known)) < LEAST_ROWS:
        return None
    stuck = _stuck(name, *known)
    if stuck or old.dtype == object:
        return stuck or _strange(name, *known)
    return _other_unit(name, known[0].astype(np.float64), known[1].astype(np.float64))


def _gone(name: str, n: int) -> Measurement:
    return Measurement(
        "fault", 1.0, n, 1.0, 1.0, where=name, conditions={"fault": "gone", "told": "the column is gone"}
    )


def _stuck(name: str, old: NDArray[Any], new: NDArray[Any]) -> Measurement | None:
    """One value that was rare is now common, such as a sentinel; or it is nearly the only one."""
    value, rows = max(Counter(new.tolist()).items(), key=lambda item: (item[1], str(item[0])))
    before = float(np.mean(old == value))
    share = rows / len(new)
    if not (share >= JUMP and before <= KNOWN_SHARE) and not (share >= 1 - KNOWN_SHARE and before <= 0.5):
        return None
    return _share("stuck", name, new == value, f"{value!r} was in {before:.1%} of rows and is in {share:.0%}")


def _strange(name: str, old: NDArray[Any], new: NDArray[Any]) -> Measurement | None:
    """More rows have a category that the reference never had than its rarest let expect (Good 1953)."""
    counts = Counter(old.tolist())
    expected = sum(n == 1 for n in counts.values()) / len(old)
    strange = np.array([value not in counts for value in new.tolist()])
    if strange.mean() < NEW + 3 * expected:
        return None
    top = Counter(new[strange].tolist()).most_common(1)[0][0]
    return _share("new category", name, strange, f"{top!r} and others not in the reference are in {strange.mean():.0%}")


def _other_unit(name: str, old: Floats, new: Floats) -> Measurement | None:
    """Hardly a value is usual any more, and all of them would be after a conversion."""
    apart = ks(np.sort(old), new)
    before, after = np.quantile(old, QUANTILES), np.quantile(new, QUANTILES)
    spread = float(np.ptp(after))
    if apart < APART or spread == 0:
        return None
    off = [np.abs(np.sort(factor * before + offset) - after).max() / spread for _, factor, offset in CONVERSIONS]
    best = int(np.argmin(off))
    if off[best] > OFF_THE_LINE:
        return None
    told = f"as if in another unit: {CONVERSIONS[best][0]}"
    conditions = {"fault": "unit", "told": told, "p": ks_p(apart, len(old), len(new))}
    return Measurement("fault", 1.0, len(new), apart, 1.0, where=name, conditions=conditions)


def _alone(name: str, old: Columns, new: Columns, at: Floats) -> Measurement | None:
    """The only column that moved did so far, and between two rows: before it was as ever."""
    if old[name].dtype == object:
        return None
    known = ~np.isnan(new[name])
    before, values = np.sort(old[name][~np.isnan(old[name])]), new[name][known]
    values = values[np.argsort(at[known], kind="stable")]
    if min(len(before), len(values)) < 2 * LEAST_ROWS or ks(before, values) < ALONE / 2:
        return None
    place = np.searchsorted(before, values) / len(before)
    edge = _break(place)
    earlier, later = values[:edge], values[edge:]
    if min(len(earlier), len(later)) < LEAST_ROWS or ks(before, later) < ALONE:
        return None
    if ks_p(ks(before, earlier), len(before), len(earlier)) < 0.01:
        return None
    told = f"it alone moved, by {ks(before, later):.2f}, from one row to the next, {len(later)} rows ago"
    return Measurement(
        "fault", len(later) / len(values), len(values), where=name, conditions={"fault": "alone", "told": told}
    )


def _break(place: Floats) -> int:
    """Where the mean of the values changes most (Page 1954)."""
    drift = np.abs(np.cumsum(place - place.mean()))
    return int(drift.argmax()) + 1


def _share(fault: str, name: str, rows: NDArray[np.bool_], told: str) -> Measurement:
    found = proportion("fault", int(rows.sum()), len(rows), name)
    conditions = {"fault": fault, "told": told}
    return Measurement("fault", found.value, found.n, found.low, found.high, where=name, conditions=conditions)
