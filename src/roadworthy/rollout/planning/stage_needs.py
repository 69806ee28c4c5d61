"""What each signal of a rollout needs in one stage, and whether the stage's hours are enough for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from roadworthy.core.spec import Signal, Stage
from roadworthy.core.window import Window
from roadworthy.rollout.base import Expected, Gate, Need
from roadworthy.rollout.control.hierarchy import is_asked
from roadworthy.rollout.control.signal_names import stage_name
from roadworthy.rollout.planning.forecast import HOUR, Forecast
from roadworthy.rollout.planning.replays import replayed_need
from roadworthy.rollout.planning.rollout_plan import Fits, SignalPlan

# A gate that asks for this much more time than its requests and labels take has a reason of its own.
_ITS_OWN = 1.01


@dataclass(frozen=True)
class Asked:
    """A signal of a rollout with the name and the gate that it goes by."""

    name: str
    signal: Signal
    leaf: Gate

    @property
    def lasts(self) -> bool:
        """Whether it judges the rows of the whole rollout, so that what it has shown stays shown."""
        return getattr(self.leaf, "rows_since", "stage") == "rollout"

    @property
    def alpha(self) -> float:
        """How often it fails an equally good candidate, at most."""
        return float(getattr(self.leaf, "alpha", 0.0)) if self.signal.may != "advise" else 0.0

    def speaks_in(self, stage: Stage) -> bool:
        """Whether it is asked in a stage of that mode."""
        return is_asked(self.signal, self.leaf, stage)

    def in_stage(self, share: float, seed: int) -> Gate:
        """The gate with what the controller fills in."""
        known: dict[str, Any] = {"share": share, "seed": seed}
        leaf: Any = self.leaf
        names = {f.name for f in fields(leaf) if f.init} if is_dataclass(leaf) else set[str]()
        made: Gate = replace(leaf, **{name: known[name] for name in known.keys() & names}) if names else leaf
        return made


@dataclass(frozen=True)
class Ahead:
    """What a stage has before it: the recent rows of stable that it is about, and how many will come."""

    stage: Stage
    rows: Window
    forecast: Forecast

    @property
    def name(self) -> str:
        """What the stage is called."""
        return stage_name(self.stage)

    @property
    def share(self) -> float:
        """The candidate's; in a holdback the others are the candidate's."""
        return 1 - self.stage.share if self.stage.mode == "holdback" else self.stage.share

    @property
    def paired(self) -> bool:
        """Whether both arms have every request."""
        return self.stage.mode == "shadow"

    @property
    def expected(self) -> Expected:
        """As a gate is told it."""
        an_hour, labels = self.forecast.requests_an_hour, self.forecast.labels_an_hour
        return Expected(self.rows, an_hour, self.share, self.paired, labels, self.forecast.delay(0.5))


def signal_plan(asked: Asked, ahead: Ahead, at: float, shown: bool, seed: int) -> SignalPlan:
    """What a signal needs in a stage that begins at `at`; nothing more where an earlier stage has `shown` it."""
    name, may = asked.name, asked.signal.may
    if shown and asked.lasts:
        return SignalPlan(name, may, "shown before", because="it judges the whole rollout, and has passed")
    need = _need(asked, ahead, seed)
    if need is None:
        return SignalPlan(name, may, "not known", because=f"not known from {ahead.rows.n:,} rows")
    requests = max(need.requests, _least(asked.signal, ahead))
    if not math.isfinite(requests + need.labels):
        because = need.because or "no number of requests is enough at this margin"
        return SignalPlan(name, may, "never", effect=need.effect, because=because)
    hours = _hours(need, requests, ahead, at)
    stage = ahead.stage
    fits: Fits = "fits" if hours <= stage.hours else "short" if hours <= stage.at_most_hours else "never"
    told = hours if math.isfinite(hours) else None
    return SignalPlan(name, may, fits, requests, need.labels, told, need.effect, need.because)


def _need(asked: Asked, ahead: Ahead, seed: int) -> Need | None:
    leaf = asked.in_stage(ahead.share, seed)
    own = getattr(leaf, "plan", None)
    if own is not None:
        told: Need = own(ahead.expected)
        return told
    return replayed_need(leaf, ahead.expected, np.random.default_rng(seed))


def _least(signal: Signal, ahead: Ahead) -> float:
    """The candidate's requests once both arms have `least`."""
    if ahead.paired:
        return float(signal.least)
    return signal.least * max(1.0, ahead.share / max(1 - ahead.share, 1e-9))


def _hours(need: Need, requests: float, ahead: Ahead, at: float) -> float:
    """By the traffic of the hours to come; a gate's own hours count where it has a reason beside rows to wait."""
    share, coming = ahead.share, ahead.forecast
    asked = coming.hours_until_requests(requests / share, at)
    labelled = coming.hours_until_labels(need.labels / share, at)
    flat = need.requests / (share * coming.requests_an_hour)
    if need.labels and coming.labels_an_hour:
        flat = max(flat, need.labels / (share * coming.labels_an_hour) + coming.delay(0.5))
    own = need.hours if need.hours > _ITS_OWN * flat else 0.0
    return max(asked, labelled, own)


def least_hours_over(ahead: Ahead, at: float) -> tuple[float, float]:
    """The candidate's requests and labels in the least hours of a stage that begins at `at`."""
    until = at + HOUR * ahead.stage.hours
    return ahead.share * ahead.forecast.requests(at, until), ahead.share * ahead.forecast.labels(at, until)
