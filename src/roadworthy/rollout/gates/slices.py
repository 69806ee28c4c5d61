"""The slices gate: no slice of the requests (a carrier, a country) may be worse off with the candidate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from dataclasses import replace as with_fields
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected, Gate, Need, gate

_MOST_VALUES = 50
# Foretelling losses from the inputs (CUPED) of each of dozens of slices would cost more than it saves of their labels.
_WORSE = {"quality": {"margin": 0.1, "worse": 0.02, "least": 100, "covariates": ()}}
_SHOWN = 6


@gate("slices")
@dataclass(frozen=True)
class Slices:
    """Fails once another gate, asked about the rows of one slice alone, shows that slice to be worse.

    `gate` is the plan of a gate with an `alpha`. `by` names tags and inputs of few values, each value being a slice
    (`origin`, or `inputs.carrier`); empty means all of them. Over all slices and looks an equally good candidate fails
    with a chance of at most `alpha`: half of it is shared evenly by the slices seen in the first `first_rows` requests,
    the other half dealt to those that turn up later, 6 / (pi k)^2 of it to the k-th. Who gets how much is settled
    before any of the rows is judged by it, and later slices take nothing away from earlier ones.

    It passes when the gate passes on every slice that it has an answer on, which for many slices takes long: mostly it
    is asked to `block`, where a wait holds up nothing.
    """

    gate: Any = field(default_factory=lambda: dict(_WORSE))
    by: tuple[str, ...] = ()
    alpha: float = 0.05
    least: int = 50
    first_rows: int = 500

    def __post_init__(self) -> None:
        if "alpha" not in {f.name for f in fields(self._inner(0.5))}:  # type: ignore[arg-type]
            raise SpecError(f"`gate` of slices must be one with an `alpha` to share out, got {self.gate!r}")

    @property
    def rows_since(self) -> Literal["stage", "rollout"]:
        """The rows that the inner gate asks for."""
        found: Literal["stage", "rollout"] = getattr(self._inner(self.alpha), "rows_since", "stage")
        return found

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        if control.n + candidate.n < self.first_rows or not candidate.n:
            because = f"{control.n + candidate.n} of {self.first_rows} rows by which the slices are named"
            return Verdict("wait", because, "slices")
        asked = [
            (slice.name, self._inner(slice.alpha)(slice.control, slice.candidate))
            for slice in self._slices(control, candidate)
        ]
        if not asked:
            return Verdict("wait", f"no slice has {self.least} rows of each arm (by {self._by_words})", "slices")
        return self._together(asked)

    def plan(self, expected: Expected) -> Need:
        """The need of the slice that takes longest, among those that would be judged at all."""
        rows = expected.stable
        needs = [self._need_of(s, expected) for s in self._slices(rows, rows)] if rows.n >= self.first_rows else []
        return max(
            needs, key=lambda need: need.hours, default=Need(math.inf, hours=math.inf, because="no slice is known")
        )

    def _need_of(self, one: _Slice, expected: Expected) -> Need:
        part = one.control.n / expected.stable.n
        requests, labels = part * expected.requests_an_hour, part * expected.labels_an_hour
        asked = replace(expected, stable=one.control, requests_an_hour=requests, labels_an_hour=labels)
        plan: Any = getattr(self._inner(one.alpha), "plan", None)
        if plan is None:
            return Need(math.inf, hours=math.inf, because=f"what {self.gate!r} needs is not known")
        need: Need = plan(asked)
        return replace(
            need, requests=need.requests / part, labels=need.labels / part, because=f"{one.name}: {need.because}"
        )

    def _inner(self, alpha: float) -> Gate:
        made: Any = gate.make(self.gate)
        found: Gate = with_fields(made, alpha=alpha) if hasattr(made, "alpha") else made
        return found

    @property
    def _by_words(self) -> str:
        return ", ".join(self.by) or "every tag and input of few values"

    def _slices(self, control: Window, candidate: Window) -> Iterator[_Slice]:
        alphas = self._alphas(control, candidate)
        for name in dict.fromkeys(name for name, _ in alphas):
            before, after = _Sorted.by(control, name), _Sorted.by(candidate, name)
            for (column, value), alpha in alphas.items():
                sides = before.of(value), after.of(value)
                if column == name and min(side.n for side in sides) >= self.least:
                    yield _Slice(f"{name}={value}", alpha, *sides)

    def _alphas(self, control: Window, candidate: Window) -> dict[tuple[str, str], float]:
        """The alpha of each (column, value): an even part for the early ones, a falling one for the later."""
        seen = _in_order(control, candidate, _columns(control, candidate, self.by))
        start = np.sort(np.concatenate([control.at, candidate.at]))[self.first_rows - 1]
        early = [one for one, at in seen if at <= start]
        columns = {name for name, _ in early}
        crowded = {name for name in columns if sum(one[0] == name for one in early) > _MOST_VALUES}
        early = [one for one in early if one[0] not in crowded]
        late = [one for one, at in seen if at > start and one[0] not in crowded]
        shared = dict.fromkeys(early, self.alpha / 2 / max(1, len(early)))
        return shared | {one: self.alpha * 3 / (math.pi * k) ** 2 for k, one in enumerate(late, 1)}

    def _together(self, asked: list[tuple[str, Verdict]]) -> Verdict:
        named = {decision: [(name, v) for name, v in asked if v.decision == decision] for decision in ("fail", "wait")}
        evidence = tuple(m for name, v in _worst_first(asked)[:_SHOWN] if (m := _drawn(v, name)) is not None)
        count = f"{len(asked)} slices judged"
        if named["fail"]:
            worst = _worst_first(named["fail"])
            because = "; ".join(f"{name}: {v.because}" for name, v in worst[:3])
            return Verdict("fail", f"{because} ({len(worst)} of {count})", "slices", evidence)
        if named["wait"]:
            name, verdict = _worst_first(named["wait"])[0]
            because = f"{len(named['wait'])} of {count} are open, the least sure is {name}: {verdict.because}"
            return Verdict("wait", because, "slices", evidence)
        name, verdict = _worst_first(asked)[0]
        return Verdict(
            "pass", f"{count}, none is worse; the least sure is {name}: {verdict.because}", "slices", evidence
        )


@dataclass(frozen=True)
class _Slice:
    name: str
    alpha: float
    control: Window
    candidate: Window


@dataclass(frozen=True)
class _Sorted:
    """The rows with those of one value next to each other, so that a slice is a view and copies nothing."""

    rows: Window
    places: dict[str, tuple[int, int]]

    @classmethod
    def by(cls, rows: Window, name: str) -> _Sorted:
        values = _values(rows, name)
        numbers = {value: k for k, value in enumerate(dict.fromkeys(values))}
        code = np.array([numbers[value] for value in values], np.int64)
        ends = np.cumsum(np.bincount(code, minlength=len(numbers)))
        places = {value: (int(ends[k - 1]) if k else 0, int(ends[k])) for value, k in numbers.items()}
        return cls(rows.take(np.argsort(code, kind="stable")), places)

    def of(self, value: str) -> Window:
        return self.rows.take(slice(*self.places.get(value, (0, 0))))


def _columns(control: Window, candidate: Window, by: tuple[str, ...]) -> list[str]:
    if by:
        return [name for name in by if _column(control, name) is not None and _column(candidate, name) is not None]
    inputs = [f"inputs.{name}" for name, column in control.inputs.items() if column.dtype == object]
    named = [*control.tags, *(name for name in inputs if name.removeprefix("inputs.") not in control.tags)]
    return [name for name in named if _column(candidate, name) is not None]


def _column(rows: Window, name: str) -> NDArray[Any] | None:
    side = rows.inputs if name.startswith("inputs.") else rows.tags
    found = side.get(name.removeprefix("inputs."))
    return found if found is not None and found.ndim == 1 else None


def _values(rows: Window, name: str) -> list[str]:
    column = _column(rows, name)
    return [] if column is None else ["" if value is None else str(value) for value in column.tolist()]


def _in_order(control: Window, candidate: Window, columns: list[str]) -> list[tuple[tuple[str, str], float]]:
    """Each (column, value) with the time of its first row on either arm, in that order."""
    first: dict[tuple[str, str], float] = {}
    for name in columns:
        for rows in (control, candidate):
            # Backwards, so that the first row of a value has the last word.
            of_rows = dict(zip(reversed(_values(rows, name)), rows.at[::-1].tolist(), strict=True))
            for value, at in of_rows.items():
                if value:
                    first[name, value] = min(at, first.get((name, value), math.inf))
    return sorted(first.items(), key=lambda one: one[1])


def _worst_first(asked: list[tuple[str, Verdict]]) -> list[tuple[str, Verdict]]:
    return sorted(asked, key=lambda one: -_beyond(one[1]))


def _beyond(verdict: Verdict) -> float:
    """How far a slice is on the way to fail: its lower bound, or its evidence, against what fails it."""
    ways = [-math.inf]
    for m in verdict.evidence:
        if "fails_above" in m.conditions and math.isfinite(m.low):
            ways.append((m.low - m.conditions["fails_above"]) / max(m.high - m.low, 1e-12))
        elif "enough" in m.conditions:
            ways.append(math.log(max(m.value, 1e-300)) - math.log(m.conditions["enough"]))
    return max(ways)


def _drawn(verdict: Verdict, name: str) -> Measurement | None:
    """The measurement that decides a slice, under the slice's name."""
    with_bounds = [m for m in verdict.evidence if "fails_above" in m.conditions or "enough" in m.conditions]
    finite = [m for m in with_bounds or verdict.evidence if math.isfinite(m.value)]
    return replace(finite[0], where=name) if finite else None
