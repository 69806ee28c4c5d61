"""Plans a rollout before its start: what each gate needs in each stage, whether it gets it, and what it would see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from roadworthy.core.errors import Missing
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.window import Window
from roadworthy.rollout.base import Gate
from roadworthy.rollout.control.freezes import read_freezes
from roadworthy.rollout.control.signal_names import names_of
from roadworthy.rollout.planning.forecast import HOUR, forecast
from roadworthy.rollout.planning.plan_warnings import warnings_of
from roadworthy.rollout.planning.planned_harm import exposures
from roadworthy.rollout.planning.rollout_plan import RolloutPlan, SignalPlan, StagePlan
from roadworthy.rollout.planning.stage_needs import Ahead, Asked, least_hours_over, signal_plan

# From a time, the first at which a candidate may get more traffic: that time itself unless a freeze is on.
Thaw = Callable[[float], float]
_STEP_SECONDS, _MOST_STEPS = 300.0, 288 * 400


def plan_rollout(plan: Rollout, gates: Sequence[Gate], stable: Window, at: float, seed: int = 0) -> RolloutPlan:
    """A rollout that starts at `at`, planned from recent rows of stable in time order, with the labels known by then.

    `gates` are those of `plan.hierarchy`, in its order. Raises Missing where there is no row, or none with the tag of a
    stage, and SpecError on a freeze that cannot be read.
    """
    if not stable.n:
        raise Missing(
            "there are no recent rows of stable to plan from: serve it for a while, or state what to expect with"
            " `--requests-per-hour`, `--error-rate` and `--base-rate`"
        )
    signals = [Asked(*given) for given in zip(names_of(plan.hierarchy), plan.hierarchy, gates, strict=True)]
    thaw = thaw_of(plan)
    zone = ZoneInfo(plan.timezone)
    ahead = [_ahead(stage, stable, at, zone) for stage in plan.stages]
    stages = tuple(_stages(ahead, signals, at, thaw, seed))
    coming = forecast(stable, at, zone)
    made = RolloutPlan(
        starts_at=at,
        timezone=plan.timezone,
        rows=coming.rows,
        span_hours=coming.span_hours,
        hourly=tuple(coming.hourly.tolist()),
        labels_an_hour=coming.labels_an_hour,
        label_delay_hours=coming.delay(0.5),
        label_delay_90_hours=coming.delay(0.9),
        stages=stages,
        false_rollback=sum(s.alpha * _tests(s, plan.stages) for s in signals),
        floor_hours=_floor_hours(plan.stages, at, thaw),
        likely_hours=_likely_hours(stages),
        exposures=exposures(ahead, signals, plan.look_hours, seed),
    )
    return replace(made, warnings=warnings_of(made, plan, ahead, signals, thaw(at)))


def thaw_of(plan: Rollout) -> Thaw:
    """When a candidate may get more traffic, to five minutes."""
    freezes = read_freezes(plan.freeze, plan.timezone)

    def thaw(at: float) -> float:
        for _ in range(_MOST_STEPS):
            if not any(freeze.holds(at) for freeze in freezes):
                break
            at = at + _STEP_SECONDS - at % _STEP_SECONDS
        return at

    return thaw


def _ahead(stage: Stage, stable: Window, at: float, zone: tzinfo) -> Ahead:
    """The rows that a stage is about, and their forecast."""
    tag, _, value = stage.where.partition("=")
    rows = stable.take(stable.tags[tag] == value) if tag in stable.tags else stable.take(slice(0, 0 if tag else None))
    if not rows.n:
        known = ", ".join(sorted(stable.tags)) or "none"
        raise Missing(f"none of {stable.n:,} recent rows has {stage.where!r}, which a stage is about (tags: {known})")
    return Ahead(stage, rows, forecast(rows, at, zone, (float(stable.at.min()), float(stable.at.max()))))


def _stages(ahead: Sequence[Ahead], signals: Sequence[Asked], at: float, thaw: Thaw, seed: int) -> Iterator[StagePlan]:
    """One after the other: a stage begins at the hour of the day at which the one before it will likely have ended."""
    now, shown = thaw(at), set[str]()
    for place in ahead:
        asked = [s for s in signals if s.speaks_in(place.stage)]
        found = tuple(signal_plan(s, place, now, s.name in shown, seed) for s in asked)
        likely = _until_promoted(place.stage, found)
        ends = now + HOUR * (place.stage.hours if likely is None else likely)
        yield StagePlan(
            name=place.name,
            mode=place.stage.mode,
            hours=place.stage.hours,
            at_most_hours=place.stage.at_most_hours,
            begins_hours=(now - at) / HOUR,
            likely_hours=likely,
            requests=least_hours_over(place, now)[0],
            labels=least_hours_over(place, now)[1],
            frozen_hours=(thaw(ends) - ends) / HOUR,
            signals=found,
        )
        shown |= {s.signal for s in found if s.fits in ("fits", "short")}
        now = thaw(ends)


def _until_promoted(stage: Stage, signals: Sequence[SignalPlan]) -> float | None:
    """Hours until every signal that may promote passes and the least are over."""
    hours = [stage.hours]
    for signal in signals:
        if signal.may != "promote" or signal.fits == "shown before":
            continue
        if signal.hours is None or signal.fits == "never":
            return None
        hours.append(signal.hours)
    return max(hours)


def _tests(asked: Asked, stages: Sequence[Stage]) -> int:
    """How often a signal begins to count anew; one over the whole rollout once."""
    spoken = sum(asked.speaks_in(stage) for stage in stages)
    return min(spoken, 1) if asked.lasts else spoken


def _floor_hours(stages: Sequence[Stage], at: float, thaw: Thaw) -> float:
    now = thaw(at)
    for stage in stages:
        now = thaw(now + HOUR * stage.hours)
    return (now - at) / HOUR


def _likely_hours(stages: Sequence[StagePlan]) -> float | None:
    last = stages[-1]
    if any(stage.likely_hours is None for stage in stages) or last.likely_hours is None:
        return None
    return last.begins_hours + last.likely_hours + last.frozen_hours
