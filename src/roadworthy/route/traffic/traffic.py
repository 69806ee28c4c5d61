"""Traffic: what two routed models answered, as columns, with the chances at which either was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.charges import FAILED, PURPOSES, Purpose, chances_of, gain_of, purposes, segment_of
from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.wire import Step

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Truth = Literal["labels", "strong"]
Right = Callable[[Mapping[str, Any], float], float]

_ROW = re.compile(r"\.\d+$")
_GIVEN: frozenset[Purpose] = frozenset(PURPOSES) & {"answer", "tried", "comparison", "explored"}


@dataclass(frozen=True)
class Traffic:
    """Rows (n,) that were drawn between two members. NaN is what was not seen.

    `weak_right` and `strong_right` say whether that member's answer was right, `chance_weak` and `chance_strong` how
    likely it was to be seen, which counts its being asked; `asked_*` tell of the asking alone, `*_usd` of the price.
    `wanted` is what the router wanted before any chance was drawn (and after its look at the answer), `took` whose
    answer went out; True is the strong one. Rows of one request share their `requests`.
    """

    weak: str
    strong: str
    requests: NDArray[np.object_]
    at: Floats
    inputs: Sequence[Mapping[str, Any]]
    segments: NDArray[np.object_]
    gains: Floats
    wanted: Flags
    took: Flags
    weak_right: Floats
    strong_right: Floats
    chance_weak: Floats
    chance_strong: Floats
    asked_weak: Floats
    asked_strong: Floats
    weak_usd: Floats
    strong_usd: Floats
    weak_confidence: Floats | None = None
    tags: Sequence[Mapping[str, str]] = ()
    truth: Truth = "labels"

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.at)

    @property
    def compared(self) -> Flags:
        """Where both answers are known, and whether they were right."""
        return ~np.isnan(self.weak_right) & ~np.isnan(self.strong_right)

    @property
    def comparison_weights(self) -> Floats:
        """How many rows each compared one stands for: 1 over the chance that both were asked; NaN elsewhere.

        One of both is always asked, so the chance of both is the sum of the two less one.
        """
        both = self.asked_weak + self.asked_strong - 1.0
        with np.errstate(divide="ignore"):
            return np.where(self.compared & (both > 0), 1.0 / both, np.nan)

    def take(self, rows: NDArray[Any]) -> Traffic:
        """Some of the rows (an index array, or a mask)."""
        columns = {
            name: getattr(self, name)[rows]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and value.shape == (self.n,)
        }
        places: list[int] = np.arange(self.n)[rows].tolist()
        tags = [self.tags[k] for k in places] if self.tags else ()
        return replace(self, inputs=[self.inputs[k] for k in places], tags=tags, **columns)


def right_of(output: str = "probability", threshold: float = 0.5) -> Right:
    """Is an answer right? A number is a probability of class 1, a vector names its greatest class, a text itself."""

    def right(outputs: Mapping[str, Any], label: float) -> float:
        value = outputs.get(output)
        if value is None or label != label:
            return math.nan
        return float(answer_in(value, threshold) == label)

    return right


def answer_in(value: Any, threshold: float = 0.5) -> Any:
    """What one row's output names: a class number, or the text that it is."""
    if isinstance(value, str):
        return value
    if np.ndim(value) == 0:
        return float(value >= threshold) if 0 <= value <= 1 else float(value)
    return float(np.argmax(value))


def traffic_of(
    records: Sequence[Record],
    weak: str,
    strong: str,
    output: str = "probability",
    threshold: float = 0.5,
    truth: Truth = "labels",
    right: Right | None = None,
) -> Traffic:
    """The routed rows among records, in time order. Raises BadData where there are none.

    Under the truth "labels" an answer is right where it agrees with the label, known for some rows only; under
    "strong" the strong member's answer is the truth, and the weak one's is judged where both were asked. `right` is
    another way to judge an answer (1.0 right, 0.0 wrong, or anything between) by the row's outputs and label.
    """
    judge = _Judge(weak, strong, right or right_of(output, threshold), output, threshold, truth)
    # A shadow's rows were nobody's answer, and were never compared.
    answered = (record for record in records if record.error is None and record.arm != "shadow")
    rows = [
        judge.row(record, chances)
        for record in sorted(answered, key=lambda record: record.at)
        if (chances := chances_of(record.path)) is not None
    ]
    if not rows:
        raise BadData(
            f"none of {len(records)} records was routed between {weak!r} and {strong!r}; "
            f"their path tells the chances at a step `router`"
        )
    columns = dict(zip(_Row._fields, zip(*rows, strict=True), strict=True))
    inputs, tags = list(columns.pop("inputs")), list(columns.pop("tags"))
    texts = {name: np.array(columns.pop(name), object) for name in ("requests", "segments")}
    numbers = {name: np.array(column) for name, column in columns.items()}
    return Traffic(weak, strong, inputs=inputs, tags=tags, truth=truth, **texts, **numbers)


def request_id(record: Record) -> str:
    """The id of the request that a row came with."""
    return _ROW.sub("", record.id)


class _Row(NamedTuple):
    """One row of a Traffic, named as its columns are."""

    requests: str
    at: float
    inputs: Mapping[str, Any]
    tags: Mapping[str, str]
    segments: str
    gains: float
    wanted: bool
    took: bool
    weak_right: float
    strong_right: float
    chance_weak: float
    chance_strong: float
    asked_weak: float
    asked_strong: float
    weak_usd: float
    strong_usd: float
    weak_confidence: float


class _Asked(NamedTuple):
    """What a member was asked for, "" where it gave no answer, and what that cost."""

    purpose: str = ""
    usd: float = math.nan


@dataclass(frozen=True)
class _Judge:
    """Tells of a record what the two members were asked for, and which of them was right."""

    weak: str
    strong: str
    right: Right
    output: str
    threshold: float
    truth: Truth

    def row(self, record: Record, chances: Mapping[str, float]) -> _Row:
        """The record as a row. Raises BadData where other members were drawn between."""
        for name in (self.weak, self.strong):
            if name not in chances:
                raise BadData(f"record {record.id!r} was routed between {', '.join(chances)}, not to {name!r}")
        asked = self._asked(record.path)
        weak, strong = asked[self.weak], asked[self.strong]
        beside = self._beside(record.outputs)
        rights = self._rights(record, beside if strong.purpose else record.outputs, weak.purpose, strong.purpose)
        sure = beside.get("confidence") if strong.purpose else record.confidence
        return _Row(
            request_id(record),
            record.at,
            record.inputs,
            record.tags,
            segment_of(record.path) or record.tags.get("segment", ""),
            _known(gain_of(record.path)),
            _wanted(weak.purpose, strong.purpose),
            bool(strong.purpose),
            *rights,
            *self._seen(chances[self.weak], chances[self.strong]),
            chances[self.weak],
            chances[self.strong],
            weak.usd,
            strong.usd,
            _known(sure),
        )

    def _asked(self, path: Sequence[Step]) -> dict[str, _Asked]:
        found = dict.fromkeys((self.weak, self.strong), _Asked())
        for step, purpose in zip(path, purposes(path, found), strict=True):
            if step.at in found and purpose in _GIVEN:
                # Whoever answers because the other one failed was not wanted.
                told = "stand-in" if _stands_in(step, found) else purpose
                found[step.at] = _Asked(told, _known(step.usd))
        return found

    def _beside(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the weak member said, where the strong one's answer went out."""
        prefix = f"{self.weak}."
        return {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}

    def _rights(self, record: Record, by_weak: Mapping[str, Any], weak: str, strong: str) -> tuple[float, float]:
        """Was the weak member right, and the strong one?"""
        if self.truth == "labels":
            label = _known(record.label)
            return (
                self.right(by_weak, label) if weak else math.nan,
                self.right(record.outputs, label) if strong else math.nan,
            )
        if not (weak and strong and self.output in by_weak):
            return math.nan, 1.0
        answers = (answer_in(outputs[self.output], self.threshold) for outputs in (by_weak, record.outputs))
        return float(next(answers) == next(answers)), 1.0

    def _seen(self, asked_weak: float, asked_strong: float) -> tuple[float, float]:
        """How likely it was to see whether each was right: under the truth "strong", where both were asked."""
        if self.truth == "labels":
            return asked_weak, asked_strong
        return max(0.0, asked_weak + asked_strong - 1.0), 1.0


def _wanted(weak: str, strong: str) -> bool:
    """Was the strong member wanted? What was only explored or compared was not."""
    if strong in ("explored", "comparison", "stand-in"):
        return False
    return bool(strong) or weak in ("explored", "stand-in")


def _stands_in(step: Step, members: Iterable[str]) -> bool:
    return any(step.because.startswith(f"{name} {FAILED}") for name in members if name != step.at)


def _known(value: float | None) -> float:
    return math.nan if value is None else value
