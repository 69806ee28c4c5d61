"""What is wrong with the plan of a rollout, in sentences: each names the stage or signal and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from roadworthy.core.spec import Rollout
from roadworthy.rollout.planning.rollout_plan import RolloutPlan
from roadworthy.rollout.planning.stage_needs import Ahead, Asked

_DAY_HOURS = 24.0
# A busiest hour this many times the quietest is a daily cycle.
_CYCLE = 1.5
MOST_FALSE_ROLLBACK = 0.10


def warnings_of(
    made: RolloutPlan, plan: Rollout, ahead: Sequence[Ahead], signals: Sequence[Asked], thawed: float
) -> tuple[str, ...]:
    """All that a person should know before the start, the worst first. `thawed` is when it may start."""
    found = [*_stuck(made, plan), *_stale(made, signals), *_labels(made), *_false_rollback(made), *_hours(made, plan)]
    return (*found, *_traffic(made), *_frozen(made, plan, thawed))


def _stuck(made: RolloutPlan, plan: Rollout) -> Iterator[str]:
    """Stages that cannot end well."""
    for stage in made.stages:
        if not any(s.may == "promote" for s in stage.signals):
            yield f"{stage.name}: no signal that may promote is asked in it, so nothing can pass it."
        for signal in stage.signals:
            if signal.may != "promote" or signal.fits != "never":
                continue
            if signal.hours is None:
                yield f"{stage.name}: {signal.signal} can never pass ({signal.because}); widen its margin."
            else:
                yield (
                    f"{stage.name}: {signal.signal} needs about {signal.hours:,.0f} hours and the stage gives up after"
                    f" {stage.at_most_hours:,.0f}; widen its margin, its share or `at_most_hours`."
                )
        unknown = [s.signal for s in stage.signals if s.may == "promote" and s.fits == "not known"]
        if unknown:
            yield f"{stage.name}: what {_listed(unknown)} needs is not known from the rows that there are."


def _stale(made: RolloutPlan, signals: Sequence[Asked]) -> Iterator[str]:
    """Signals whose pass counts no more when it comes."""
    labelled = {s.signal for stage in made.stages for s in stage.signals if s.labels}
    for asked in signals:
        limit = asked.signal.stale_hours
        if limit and asked.name in labelled and made.label_delay_hours > limit:
            yield (
                f"{asked.name}: a label takes {made.label_delay_hours:.3g} hours and `stale_hours` is {limit:g}: its"
                " pass is likely to count as stale."
            )


def _labels(made: RolloutPlan) -> Iterator[str]:
    """Stages that end before their labels come, or with too few."""
    for stage in made.stages:
        needed = [s.labels for s in stage.signals if s.labels]
        if not needed:
            continue
        if made.label_delay_hours > stage.hours:
            yield (
                f"{stage.name}: a label takes {made.label_delay_hours:.3g} hours (median), and the stage's least are"
                f" {stage.hours:g}: gates on labels see next to nothing of it before then."
            )
        elif stage.labels < min(needed):
            yield (
                f"{stage.name}: about {stage.labels:,.0f} labels of the candidate come in {stage.hours:g} hours, and no"
                f" gate on labels does with fewer than {min(needed):,.0f}."
            )


def _false_rollback(made: RolloutPlan) -> Iterator[str]:
    if made.false_rollback > MOST_FALSE_ROLLBACK:
        yield (
            f"The gates together may roll back up to {100 * made.false_rollback:.3g} of 100 good releases: give them"
            " smaller alphas, or let fewer of them block."
        )


def _hours(made: RolloutPlan, plan: Rollout) -> Iterator[str]:
    short = [s.name for s in made.stages if s.hours < _DAY_HOURS]
    if short:
        cycle = max(made.hourly) / max(min(made.hourly), 1e-9)
        told = f", and the busiest hour has {cycle:,.3g} times the traffic of the quietest" if _cyclic(made) else ""
        verb = "is shorter than a day and does" if len(short) == 1 else "are shorter than a day and do"
        yield f"{_listed(short)} {verb} not see the daily cycle{told}."
    for stage in made.stages:
        if 0 < stage.hours < plan.look_hours:
            yield f"{stage.name}: its {stage.hours:g} hours are less than the {plan.look_hours:g} between two looks."


def _cyclic(made: RolloutPlan) -> bool:
    return made.span_hours >= _DAY_HOURS and min(made.hourly) > 0 and max(made.hourly) > _CYCLE * min(made.hourly)


def _traffic(made: RolloutPlan) -> Iterator[str]:
    if made.span_hours < _DAY_HOURS:
        yield f"The rows span {made.span_hours:.3g} hours: traffic at other hours of the day is not known."


def _frozen(made: RolloutPlan, plan: Rollout, thawed: float) -> Iterator[str]:
    if thawed > made.starts_at:
        wait = (thawed - made.starts_at) / 3600
        yield f"A freeze is on: no candidate gets traffic for another {wait:.3g} hours ({_listed(plan.freeze)})."
    for stage in made.stages:
        if stage.frozen_hours:
            yield f"{stage.name} is likely to end in a freeze, and then waits {stage.frozen_hours:.3g} hours."


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
