"""What a rollout must fulfil before it begins; each refusal says what it found and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData, SpecError, Taken
from roadworthy.core.spec import Field, Rollout, Stage
from roadworthy.rollout.control.freezes import frozen
from roadworthy.rollout.control.hierarchy import gates_of, on_stage
from roadworthy.rollout.control.signal_names import names_of, stage_name

DAY_HOURS = 24.0


def check_plan(plan: Rollout, root: Path) -> None:
    """Raises SpecError on stages that cannot follow each other, and on signals and freezes that cannot be read."""
    if not plan.stages:
        raise SpecError("a rollout needs at least one stage: write `stages` with a shadow or a canary")
    _check_comparable(plan.stages)
    _check_rising(plan.stages)
    _check_holdback(plan.stages)
    gates = gates_of(plan, root)
    frozen(plan.freeze, plan.timezone, 0.0)
    for stage in plan.stages if plan.hierarchy else ():
        if not any(plan.hierarchy[k].may == "promote" for k in on_stage(plan, stage, gates)):
            raise SpecError(
                f"the stage {stage_name(stage)!r} has no signal that may promote, so that it could never end:"
                f" let one of {', '.join(names_of(plan.hierarchy))} have a say in it"
            )


def check_freeze(plan: Rollout, at: float, override: str) -> None:
    """Raises Taken in a freeze window, unless there is a reason to ignore it."""
    held = frozen(plan.freeze, plan.timezone, at)
    if held and not override:
        raise Taken(f"{held}: wait until it is over, or give `override` a reason, which is recorded")


def check_fit(candidate: Release, control: Release) -> None:
    """Both must answer the same requests in the same form. Raises BadData, naming the field that differs."""
    if candidate.digest == control.digest:
        raise BadData(f"release {control.digest[:12]} is already stable: roll out another one")
    for side in ("inputs", "outputs"):
        new, old = getattr(candidate.signature, side), getattr(control.signature, side)
        for name in dict.fromkeys([*old, *new]):
            if _form(new.get(name)) != _form(old.get(name)):
                raise BadData(
                    f"`{name}` in the {side} of candidate {candidate.digest[:12]} is {_said(new.get(name))}, and stable"
                    f" {control.digest[:12]} has {_said(old.get(name))}: both must take and give the same"
                )


def warnings_of(plan: Rollout, root: Path) -> Iterator[str]:
    """What is allowed and seldom meant: a stage that may end before it has seen a whole day, judged by labels."""
    signals = zip(names_of(plan.hierarchy), gates_of(plan, root), strict=True)
    late = [name for name, leaf in signals if getattr(leaf, "rows_since", "stage") == "rollout"]
    short = [stage_name(stage) for stage in plan.stages if stage.hours < DAY_HOURS]
    if late and short:
        yield f"{', '.join(short)} may end before a whole day was seen, and {', '.join(late)} waits for late labels"


def _check_comparable(stages: tuple[Stage, ...]) -> None:
    for stage in stages:
        if stage.share >= 1 and stage.mode not in ("shadow", "holdback"):
            raise SpecError(
                f"a {stage.mode} with `share` {stage.share!r} leaves stable no requests to be compared with, so that no"
                " gate can pass it; end with a share below 1, the last passed stage promotes to all"
            )


def _check_rising(stages: tuple[Stage, ...]) -> None:
    reached: dict[str, Stage] = {}
    for stage in stages:
        if stage.mode == "holdback":
            continue
        before = reached.get(stage.where)
        if before is not None and _answered(stage) < _answered(before):
            raise SpecError(
                f"the stages go down from {stage_name(before)!r} to {stage_name(stage)!r}: callers would be taken off"
                " the candidate again; put them in the order of their shares"
            )
        reached[stage.where] = stage


def _answered(stage: Stage) -> float:
    """The share of the callers whom the candidate answers."""
    return 0.0 if stage.mode == "shadow" else stage.share


def _check_holdback(stages: tuple[Stage, ...]) -> None:
    places = [k for k, stage in enumerate(stages) if stage.mode == "holdback"]
    if not places:
        return
    if len(places) > 1 or places[0] != len(stages) - 1:
        raise SpecError("a holdback begins when the candidate has become stable: write one, as the last stage")
    if len(stages) == 1:
        raise SpecError("a holdback alone would make the candidate stable unseen: put a shadow or a canary before it")


def _form(field: Field | None) -> tuple[Any, ...]:
    """What a caller notices. Ranges and known categories may move with every training."""
    return () if field is None else (field.kind, field.unit, field.nullable, field.width)


def _said(field: Field | None) -> str:
    if field is None:
        return "missing"
    null = ", nullable" if field.nullable else ""
    return f"{field.kind} of width {field.width}{f' in {field.unit}' if field.unit else ''}{null}"
