"""The view of a rollout: who answers, how far each stage and each gate has come, and what is left. It asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Decision, Measurement, Verdict
from roadworthy.rollout.base import Gate
from roadworthy.rollout.control.signal_names import names_of, stage_name
from roadworthy.rollout.planning.rollout_plan import RolloutPlan
from roadworthy.rollout.rollout_state import RolloutState, Status
from roadworthy.rollout.views.course import soonest
from roadworthy.store.events import Event

_HOUR = 3600.0
# The last steps that are told of.
_STEPS = 8
_SAID: Mapping[str, str] = {
    "started": "started with",
    "running": "started with",
    "stage": "went on to",
    "not_judged": "gates could not be asked in",
    "judged_again": "gates are asked again in",
}


class Sharing(Struct, frozen=True):
    """What part of the requests one release answers; `role` is what it is to this rollout."""

    role: Literal["stable", "candidate"]
    release: str
    share: float


class StageView(Struct, frozen=True, omit_defaults=True):
    """One stage: `hours` so far (None before it began), of at least `least` and at most `most`."""

    name: str
    state: Literal["done", "running", "paused", "stopped", "to come", "not reached"]
    least: float
    most: float
    hours: float | None = None


class SignalView(Struct, frozen=True, omit_defaults=True):
    """What a signal says, with its evidence; `decision` is None where it was not asked in this stage.

    `course` is what the measurement that it hangs on was at earlier looks.
    """

    signal: str
    may: Literal["promote", "block", "advise"]
    decision: Decision | None = None
    because: str = ""
    evidence: tuple[Measurement, ...] = ()
    course: tuple[Measurement, ...] = ()


class Left(Struct, frozen=True, omit_defaults=True):
    """The hours until this stage is likely to end and until promotion, None where not known, and why so long."""

    stage_hours: float | None
    hours: float | None
    because: str


class Step(Struct, frozen=True, omit_defaults=True):
    """Something that happened to the rollout, by whom and why."""

    at: float
    what: str
    by: str = ""
    because: str = ""


class View(Struct, frozen=True, omit_defaults=True):
    """A rollout as it stands at `at`. `mirrored` of the requests are shown to a shadow, which answers nobody.

    `where` narrows the stage, and with it the candidate's share, to requests with a tag. `answered` counts the
    requests that the candidate has answered for users.
    """

    deployment: str
    id: str
    status: Status
    candidate: str
    control: str
    by: str
    at: float
    started_at: float
    timezone: str
    because: str
    traffic: tuple[Sharing, ...]
    stages: tuple[StageView, ...]
    signals: tuple[SignalView, ...]
    mirrored: float = 0.0
    where: str = ""
    answered: int = 0
    paused: str = ""
    problem: str = ""
    left: Left | None = None
    steps: tuple[Step, ...] = ()


def view_of(
    state: RolloutState,
    now: float,
    events: Sequence[Event] = (),
    courses: Mapping[int, Sequence[Measurement]] | None = None,
    plan: RolloutPlan | None = None,
    gates: Sequence[Gate] = (),
) -> View:
    """The view at `now`. What is not handed in is not shown, or guessed from the rest.

    `events` are those of the deployment of kind "rollout", `courses` those of signals by their place in the plan's
    hierarchy (`rollout.course`), `plan` what was planned before the start, `gates` those of the hierarchy: they tell
    which of them judge rows of all stages.
    """
    running = state.status == "running"
    signals = tuple(_signals(state, courses or {}))
    return View(
        deployment=state.deployment,
        id=state.id,
        status=state.status,
        candidate=state.candidate,
        control=state.control,
        by=state.by,
        at=now,
        started_at=state.started_at,
        timezone=state.plan.timezone,
        because=state.because,
        traffic=_traffic(state),
        stages=tuple(_stages(state, now, events)),
        signals=signals,
        mirrored=state.step.share if running and state.step.mode == "shadow" else 0.0,
        where=state.step.where if running else "",
        answered=state.touched,
        paused=(state.paused_because or "no reason was given") if running and state.paused_at is not None else "",
        problem=state.problem if running else "",
        left=_left(state, now, plan, gates) if running else None,
        steps=_steps(state, events),
    )


def _traffic(state: RolloutState) -> tuple[Sharing, ...]:
    """Who answers, stable first."""
    mode, share = state.step.mode, state.step.share
    if state.status != "running":
        mine = 1.0 if state.status == "promoted" else 0.0
    else:
        mine = 0.0 if mode == "shadow" else 1 - share if mode == "holdback" else share
    return Sharing("stable", state.control, 1 - mine), Sharing("candidate", state.candidate, mine)


def _stages(state: RolloutState, now: float, events: Sequence[Event]) -> Iterator[StageView]:
    ends = [*state.starts[1:], now if state.status == "running" else _ended_at(state, events)]
    for k, stage in enumerate(state.plan.stages):
        hours = _hours(state, k, ends[k]) if k <= state.stage else None
        yield StageView(stage_name(stage), _stage_state(state, k), stage.hours, stage.at_most_hours, hours)


def _stage_state(
    state: RolloutState, k: int
) -> Literal["done", "running", "paused", "stopped", "to come", "not reached"]:
    if k < state.stage or state.status == "promoted":
        return "done" if k <= state.stage else "not reached"
    if k > state.stage:
        return "to come" if state.status == "running" else "not reached"
    if state.status != "running":
        return "stopped"
    return "running" if state.paused_at is None else "paused"


def _hours(state: RolloutState, k: int, until: float | None) -> float | None:
    """How long a stage has lasted, less its pauses where it is the last; None where its end is not told."""
    if until is None:
        return None
    return max(0.0, state.running_hours(until) if k == state.stage else (until - state.starts[k]) / _HOUR)


def _ended_at(state: RolloutState, events: Sequence[Event]) -> float | None:
    ends = [e.at for e in _own(state, events) if e.data["rollout"].get("status", "running") != "running"]
    return ends[-1] if ends else None


def _signals(state: RolloutState, courses: Mapping[int, Sequence[Measurement]]) -> Iterator[SignalView]:
    places = state.asked or tuple(range(len(state.verdicts)))
    said = dict(zip(places, state.verdicts, strict=False))
    for k, (name, signal) in enumerate(zip(names_of(state.plan.hierarchy), state.plan.hierarchy, strict=True)):
        verdict, course = said.get(k), tuple(courses.get(k, ()))
        if verdict is None:
            yield SignalView(name, signal.may, because=_silent(state, signal.modes))
        else:
            yield SignalView(name, signal.may, verdict.decision, verdict.because, verdict.evidence, course)


def _silent(state: RolloutState, modes: Sequence[str]) -> str:
    if modes and state.step.mode not in modes:
        return f"asked in {' and '.join(modes)} only"
    return "not asked in this stage" if state.asked else "not asked yet"


def _left(state: RolloutState, now: float, plan: RolloutPlan | None, gates: Sequence[Gate]) -> Left:
    """By how the intervals narrow, else by what was planned; the stages to come by the plan, else by their least."""
    if state.paused_at is not None:
        return Left(None, None, "paused, so that no stage ends")
    so_far = max(0.0, state.running_hours(now))
    waits = [(max(0.0, state.step.hours - so_far), "the stage's least hours")]
    unknown = []
    for place, name, verdict in _open(state):
        hours = _until_pass(state, place, verdict, now, so_far, plan, gates)
        if hours is None:
            unknown.append(name)
        else:
            waits.append((hours, name))
    later = _later(state, plan)
    if unknown or not state.verdicts:
        whom = ", ".join(unknown) if unknown else "the gates"
        return Left(None, None, f"not known: {whom} cannot tell from the rows so far")
    hours, by = max(waits)
    return Left(
        hours, hours + later, f"waiting for {by}" if hours else "every gate passes: the next look ends the stage"
    )


def _open(state: RolloutState) -> Iterator[tuple[int, str, Verdict]]:
    """The signals that hold the stage up."""
    names, hierarchy = names_of(state.plan.hierarchy), state.plan.hierarchy
    for place, verdict in zip(state.asked or range(len(state.verdicts)), state.verdicts, strict=False):
        if hierarchy[place].may == "promote" and verdict.decision != "pass":
            yield place, names[place], verdict


def _until_pass(
    state: RolloutState,
    place: int,
    verdict: Verdict,
    now: float,
    so_far: float,
    plan: RolloutPlan | None,
    gates: Sequence[Gate],
) -> float | None:
    times = soonest(verdict)
    if times is not None:
        whole = bool(gates) and getattr(gates[place], "rows_since", "stage") == "rollout"
        gathered = (now - state.started_at) / _HOUR if whole else so_far
        return (times - 1) * gathered
    if plan is None:
        return None
    name = names_of(state.plan.hierarchy)[place]
    need = next((s.hours for s in plan.stages[state.stage].signals if s.signal == name), None)
    return None if need is None or need <= so_far else need - so_far


def _later(state: RolloutState, plan: RolloutPlan | None) -> float:
    """The hours of the stages to come."""
    least = [stage.hours for stage in state.plan.stages[state.stage + 1 :]]
    if plan is None:
        return sum(least)
    likely = [stage.likely_hours for stage in plan.stages[state.stage + 1 :]]
    return sum(floor if hours is None else max(floor, hours) for floor, hours in zip(least, likely, strict=True))


def _own(state: RolloutState, events: Sequence[Event]) -> list[Event]:
    return [e for e in events if e.kind == "rollout" and e.data.get("rollout", {}).get("id") == state.id]


def _steps(state: RolloutState, events: Sequence[Event]) -> tuple[Step, ...]:
    """The last things that happened, oldest first."""
    steps = []
    for event in _own(state, events)[-_STEPS:]:
        told, change = event.data["rollout"], str(event.data["change"])
        said = _SAID.get(change, f"{change.replace('_', ' ')} in")
        what = f"{said} {stage_name(state.plan.stages[int(told.get('stage', 0))])}"
        because = told.get("paused_because") if change == "paused" else told.get("problem") or told.get("because")
        steps.append(Step(event.at, what, str(event.data.get("by", "")), str(because or "")))
    return tuple(steps)
