"""What follows from the verdicts of a look: the next stage, the end, or nothing yet. It touches nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from roadworthy.core.measure import Decision, Verdict, worst
from roadworthy.rollout.control.freezes import frozen
from roadworthy.rollout.rollout_state import RolloutState


def decided(now: RolloutState, at: float) -> RolloutState:
    """The state that follows from the verdicts in `now`.

    A fail of a signal that may promote or block rolls back. Once all that may promote pass and the stage's hours are
    over the next stage begins, unless the rollout is paused or frozen. A stage that is not passed within
    `at_most_hours` is rolled back as inconclusive.
    """
    hours = now.running_hours(at)
    if failed := _of(now, "fail", ("promote", "block")):
        return replace(now, status="rolled_back", because=_reasons(failed))
    may_end = worst([v for v, role in _with_roles(now) if role == "promote"]) == "pass" and hours >= now.step.hours
    if now.paused_at is not None:
        return replace(now, because=f"paused: {now.paused_because}; {_standing(now, hours)}")
    if may_end:
        held = frozen(now.plan.freeze, now.plan.timezone, at)
        passed = _reasons(_of(now, "pass", ("promote",)))
        return replace(now, because=f"{held}, although it passes: {passed}") if held else next_stage(now, at, passed)
    if hours >= now.step.at_most_hours:
        open_signals = _reasons(_of(now, "wait", ("promote",))) or _nothing_open(now)
        return replace(now, status="rolled_back", because=f"inconclusive after {hours:.1f} h: {open_signals}")
    return replace(now, because=_standing(now, hours))


def next_stage(now: RolloutState, at: float, because: str) -> RolloutState:
    """The stage that comes after this one, or the end."""
    if now.stage + 1 == len(now.plan.stages):
        return replace(now, status="promoted", because=because)
    return replace(
        now, stage=now.stage + 1, stage_since=at, begun=(*now.starts, at), because=because, paused_seconds=0.0
    )


def _standing(now: RolloutState, hours: float) -> str:
    waits = _reasons(_of(now, "wait", ("promote",))) or _nothing_open(now)
    return f"{hours:.1f} of {now.step.hours:g} h: {waits}"


def _nothing_open(now: RolloutState) -> str:
    if any(role == "promote" for _, role in _with_roles(now)):
        return "every gate passes"
    return "no gate to ask, so nothing can pass"


def _of(now: RolloutState, decision: Decision, roles: Sequence[str]) -> list[Verdict]:
    return [verdict for verdict, role in _with_roles(now) if verdict.decision == decision and role in roles]


def _with_roles(now: RolloutState) -> list[tuple[Verdict, str]]:
    signals = now.plan.hierarchy
    return [(verdict, signals[place].may) for verdict, place in zip(now.verdicts, now.asked, strict=True)]


def _reasons(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(f"{verdict.of}: {verdict.because}" for verdict in verdicts)
