"""Attributes one answer to its inputs, by whichever explainer is exact for the model, else within a budget of CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.insides import Columns, Explained
from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roadworthy.observe.base import Explainer

UNITS = {"1": "of the answer", "logit": "of the log odds"}


class Attribution(Struct, frozen=True, omit_defaults=True):
    """What each input did to one answer, against `rows` background rows: `baseline` plus the parts is `score`.

    `score` is the answer, or its log odds where `unit` is "logit". The largest part comes first. Those of an `exact`
    method have no interval but themselves, others one of 95 % for the chance in sampling.
    """

    method: str
    unit: Literal["1", "logit"]
    score: float
    baseline: float
    parts: tuple[Measurement, ...]
    rows: int
    cpu_seconds: float
    exact: bool = True

    def __str__(self) -> str:
        told = "; ".join(f"{part.where} {part.value:+.3g}" for part in self.parts[:5])
        return f"{told} {UNITS[self.unit]}, from {self.baseline:.3g} to {self.score:.3g} ({self.method})"


def attribute(
    explainers: Sequence[Explainer], model: Explained, row: Columns, background: Columns, seed: int = 0
) -> Attribution:
    """The attribution of the first explainer that can, for a row of columns (1, width). Raises BadData.

    The background says what an input is when it is "not known": its values are drawn from those rows whatever the other
    inputs are (the interventional value of Janzing et al. 2020), for exact and sampled methods alike.
    """
    if not len(next(iter(background.values()), ())):
        raise BadData("there are no background rows to set the prediction against: keep a profile of the release first")
    for explainer in explainers:
        found = explainer(model, row, background, np.random.default_rng(seed))
        if found is not None:
            return found
    raise BadData("no explainer fits this model: give one that samples")


def exact(
    method: str,
    unit: Literal["1", "logit"],
    baseline: float,
    by_input: Mapping[str, float],
    rows: int,
    cpu_seconds: float,
) -> Attribution:
    """An attribution without chance in it."""
    parts = [Measurement("attribution", v, rows, v, v, unit, name) for name, v in by_input.items()]
    score = baseline + math.fsum(by_input.values())
    return Attribution(method, unit, score, baseline, ranked(parts), rows, cpu_seconds)


def ranked(parts: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """The parts by size, the largest first; equal ones by name."""
    return tuple(sorted(parts, key=lambda part: (-abs(part.value), part.where)))


def by_owner(owners: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    """The values of features summed by the input that each belongs to: what attributions add up to, they keep."""
    found = dict.fromkeys(owners, 0.0)
    for owner, value in zip(owners, values.tolist(), strict=True):
        found[owner] += value
    return found


def table(attribution: Attribution, most: int = 10) -> list[str]:
    """The attribution as lines of plain text, a bar for each input."""
    largest = max((abs(part.value) for part in attribution.parts), default=0.0) or 1.0
    lines = [f"baseline {attribution.baseline:+.4g}, score {attribution.score:+.4g} {UNITS[attribution.unit]}"]
    for part in attribution.parts[:most]:
        bar = ("+" if part.value >= 0 else "-") * max(1, round(20 * abs(part.value) / largest))
        spread = "" if part.low == part.high else f" [{part.low:+.3g}, {part.high:+.3g}]"
        lines.append(f"{part.where:<20} {part.value:+9.4f}{spread} {bar}")
    left = attribution.parts[most:]
    if left:
        lines.append(f"{len(left)} more inputs {math.fsum(part.value for part in left):+.4f}")
    return lines
