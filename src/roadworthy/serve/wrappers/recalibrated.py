"""A calibration in force that follows late labels while the release stays as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace as changed

from roadworthy.core.catalog import write_plan
from roadworthy.core.dials import Dial
from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.following import Following, Guard, State, numbers_of, state_of, told, value_of
from roadworthy.serve.fold import Arrays, on_response, output_named


@wrapper("recalibrated")
@dataclass(frozen=True)
class Recalibrated:
    """A calibration that late labels turn, where they show that it gets better by that.

    `start` is the plan of what is in force at first: `calibrated`, `beta_calibrated` or `temperature`. What the model
    itself said is answered (and recorded) too, as the output `uncalibrated`; labels are held against that. The `guard`
    asks of "each" fit that it be shown to be better, or of "following" labels as such; either errs with probability at
    most `alpha`, however often one looks (`calibration/following.py`). The numbers in force stand in every path.
    """

    start: Any = "calibrated"
    dial: str = "calibration"
    uncalibrated: str = "uncalibrated"
    guard: Guard = "following"
    alpha: float = 0.1
    half_life: float = 5_000.0
    least_rows: int = 300
    block_hours: float = 24.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        for name in ("half_life", "least_rows", "block_hours"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")
        try:
            numbers_of(self._following.leaf)
        except SpecError as wrong:
            raise ValueError(f"`start`: {wrong}") from wrong

    def __call__(self, inner: Handler) -> Recalibrating:
        """The handler that calibrates what `inner` answers, by what its dial stands at."""
        return Recalibrating(self, inner)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs, calibrated as the release begins. Raises where they are no probabilities."""
        return _Both(self._following.leaf, self.uncalibrated).on_outputs(outputs)

    @classmethod
    def example(cls) -> tuple[Recalibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls({"calibrated": {"slope": 0.7}}), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def leaf(self, dial: Dial | None = None) -> Any:
        """The calibration in force: the one of the dial, or the one that the release began with."""
        start = self._following.leaf
        if dial is None:
            return start
        _refuse_other(dial, numbers_of(start), start)
        return replace(start, **{name: dial.value[name] for name in numbers_of(start)})

    def follow(self, rows: Sequence[Record], before: Dial | None, now: float, position: int = 0) -> Dial | None:
        """The dial after these labelled rows, in the order in which their labels became known; None without any."""
        said = [row for row in rows if row.error is None and row.label is not None and self._said(row)]
        if not said:
            return None
        following, state = self._following, self.state(before)
        labels = np.array([row.label for row in said], np.float64)
        outputs = np.array([row.outputs[self.uncalibrated] for row in said], np.float64)
        known_at = np.array([now if row.label_at is None else row.label_at for row in said], np.float64)
        state = following.after(state, labels, outputs, known_at)
        n = len(said) + (0 if before is None else before.n)
        return Dial(self.dial, now, value_of(state), n, told(state, following), position)

    def state(self, dial: Dial | None) -> State:
        """What was learnt up to this dial."""
        start = self._following.start
        if dial is None:
            return start
        _refuse_other(dial, value_of(start), self._following.leaf)
        return state_of(dial.value, start)

    def _said(self, row: Record) -> bool:
        """Whether the row tells what the model said before calibration, in numbers, and its label is a class."""
        found: Any = np.asarray(row.outputs.get(self.uncalibrated), np.float64)
        classes = found.size if found.ndim else 2
        return bool(np.isfinite(found).all()) and row.label in range(classes)

    @cached_property
    def _following(self) -> Following:
        leaf = wrapper.make(self.start)
        return Following(leaf, self.guard, self.alpha, self.half_life, self.least_rows, self.block_hours * 3600)


@dataclass(frozen=True)
class _Both:
    """A calibration that answers what it was given, too."""

    leaf: Any
    uncalibrated: str

    def on_outputs(self, outputs: Arrays) -> Arrays:
        given = output_named(outputs, self.leaf.output, "calibrate")
        return {**self.leaf.on_outputs(outputs), self.uncalibrated: given}


class Recalibrating:
    """The handler of a Recalibrated. One assignment turns it, so a request sees the old dial or the new one."""

    def __init__(self, settings: Recalibrated, inner: Handler) -> None:
        self.settings, self.inner, self.dial = settings, inner, settings.dial
        self._in_force = self._turned(None)

    def __repr__(self) -> str:
        return f"{self.settings!r}({self.inner!r})"

    async def __call__(self, request: Request) -> Response:
        """The inner answer, calibrated, with the numbers in force in its path."""
        both, step = self._in_force
        response = await on_response(both, self.inner, request)
        return changed(response, path=(*response.path, step))

    def turn(self, dial: Dial) -> None:
        """Answer by this dial from the next request on. Raises SpecError where it is that of another calibration."""
        self._in_force = self._turned(dial)

    def _turned(self, dial: Dial | None) -> tuple[_Both, Step]:
        leaf = self.settings.leaf(dial)
        numbers = ", ".join(f"{name.replace('_', ' ')} {getattr(leaf, name):.4g}" for name in numbers_of(leaf))
        since = "as released" if dial is None else f"{dial.n:,} labels, {_time(dial.at)}"
        return _Both(leaf, self.settings.uncalibrated), Step("recalibrated", f"{numbers}; {since}")


def _refuse_other(dial: Dial, needed: Iterable[str], start: Any) -> None:
    absent = [name for name in needed if name not in dial.value]
    if absent:
        has = ", ".join(dial.value) or "none"
        raise SpecError(f"dial {dial.name!r} has no value {absent[0]!r} for {write_plan(start)!r} (it has: {has})")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
