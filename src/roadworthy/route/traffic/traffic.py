"""Traffic: what two routed models answered, as columns, with the chances at which either was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.charges import PURPOSES, Purpose, chances_of, gain_of, purposes, segment_of
from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.wire import Step

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Truth = Literal["labels", "strong"]
Right = Callable[[Mapping[str, Any], float], float]

_COLUMNS: tuple[str, ...] = (
    "gains",
    "wanted",
    "took",
    "weak_right",
    "strong_right",
    "chance_weak",
    "chance_strong",
    "asked_weak",
)
_COLUMNS += ("asked_strong", "weak_usd", "strong_usd", "weak_confidence")
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
    judged = right_of(output, threshold) if right is None else right
    # A shadow's rows were nobody's answer, and were never compared.
    answered = (record for record in records if record.error is None and record.arm != "shadow")
    rows = [
        _row(record, chances, weak, strong, judged, output, threshold, truth)
        for record in sorted(answered, key=lambda record: record.at)
        if (chances := chances_of(record.path)) is not None
    ]
    if not rows:
        raise BadData(
            f"none of {len(records)} records was routed between {weak!r} and {strong!r}; "
            f"their path tells the chances at a step `router`"
        )
    columns = {name: np.array([row[name] for row in rows]) for name in _COLUMNS}
    requests, segments = (np.array([row[name] for row in rows], object) for name in ("requests", "segments"))
    at = np.array([row["at"] for row in rows], np.float64)
    inputs, tags = [row["inputs"] for row in rows], [row["tags"] for row in rows]
    return Traffic(weak, strong, requests, at, inputs, segments, **columns, tags=tags, truth=truth)


def request_id(record: Record) -> str:
    """The id of the request that a row came with."""
    return _ROW.sub("", record.id)


def _row(
    record: Record,
    chances: Mapping[str, float],
    weak: str,
    strong: str,
    right: Right,
    output: str,
    threshold: float,
    truth: Truth,
) -> dict[str, Any]:
    for name in (weak, strong):
        if name not in chances:
            raise BadData(f"record {record.id!r} was routed between {', '.join(chances)}, not to {name!r}")
    said = dict.fromkeys((weak, strong), "")
    usd = dict.fromkeys((weak, strong), math.nan)
    for step, purpose in zip(record.path, purposes(record.path, (weak, strong)), strict=True):
        if step.at in said and purpose in _GIVEN:
            # Whoever answers because the other one failed was not wanted.
            said[step.at] = "stand-in" if _stands_in(step, said) else purpose
            usd[step.at] = math.nan if step.usd is None else step.usd
    beside = {name[len(weak) + 1 :]: value for name, value in record.outputs.items() if name.startswith(f"{weak}.")}
    answers = {weak: beside if said[strong] else record.outputs, strong: record.outputs}
    found = {name: right(answers[name], _known(record.label)) if said[name] else math.nan for name in (weak, strong)}
    seen = {name: float(chances[name]) for name in (weak, strong)}
    if truth == "strong":
        both = said[weak] and said[strong] and output in beside
        same = both and answer_in(beside[output], threshold) == answer_in(record.outputs[output], threshold)
        found = {weak: float(same) if both else math.nan, strong: 1.0}
        seen = {weak: max(0.0, chances[weak] + chances[strong] - 1.0), strong: 1.0}
    gain = gain_of(record.path)
    return {
        "requests": request_id(record),
        "at": record.at,
        "inputs": record.inputs,
        "tags": record.tags,
        "segments": segment_of(record.path) or record.tags.get("segment", ""),
        "gains": math.nan if gain is None else gain,
        "wanted": _wanted(said[weak], said[strong]),
        "took": bool(said[strong]),
        "weak_right": found[weak],
        "strong_right": found[strong],
        "chance_weak": seen[weak],
        "chance_strong": seen[strong],
        "asked_weak": chances[weak],
        "asked_strong": chances[strong],
        "weak_usd": usd[weak],
        "strong_usd": usd[strong],
        "weak_confidence": _known(beside.get("confidence") if said[strong] else record.confidence),
    }


def _wanted(weak: str, strong: str) -> bool:
    """Was the strong member wanted? What was only explored or compared was not."""
    if strong in ("explored", "comparison", "stand-in"):
        return False
    return bool(strong) or weak in ("explored", "stand-in")


def _stands_in(step: Step, members: Iterable[str]) -> bool:
    return any(step.because.startswith(f"{name} failed: ") for name in members if name != step.at)


def _known(value: float | None) -> float:
    return math.nan if value is None else value
