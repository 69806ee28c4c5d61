"""The controller takes a rollout from stage to stage, promotes it or pulls it back, one transaction a step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, insert, update

from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData, Missing, SpecError, Taken
from roadworthy.core.measure import Verdict, worst
from roadworthy.core.record import Record
from roadworthy.core.spec import Field, Rollout
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.registry.releases import Registry
from roadworthy.rollout.base import Gate, gate
from roadworthy.rollout.traffic import RolloutState, Status, Traffic, all_of, encode, running_of, stable_of, traffic
from roadworthy.store.events import read_events
from roadworthy.store.metadata import aliases, events, rollouts
from roadworthy.store.state import State

__all__ = ["Controller", "RolloutState", "Traffic", "gates_of", "traffic"]


class Controller:
    """Runs the rollouts of the deployments in one state directory. It keeps nothing in memory between calls.

    Killed between two steps it goes on from the last one; two controllers on one rollout do each step once.
    """

    def __init__(self, state: State, registry: Registry, gates: Sequence[Gate]) -> None:
        self.state = state
        self.registry = registry
        self.gates = tuple(gates)

    def start(
        self, deployment: str, candidate: str, plan: Rollout, at: float, by: str, override: str = ""
    ) -> RolloutState:
        """Begin the first stage against what is stable now. `candidate` is a digest, or a unique prefix of one.

        Raises Missing without a stable release, Taken while another rollout runs or when this release was rolled back
        before (a reason in `override` lets it, and is recorded), BadData when it takes or gives something else,
        SpecError on a plan without a stage, or with one that leaves nothing to compare with.
        """
        _check_plan(plan)
        release = self.registry.get(candidate)
        control = self.registry.alias(deployment, "stable", at)
        if control is None:
            raise Missing(f"deployment {deployment!r} had no stable release at {at!r} to compare {candidate!r} with")
        _check_fit(release, self.registry.get(control), control)
        identity = hashlib.sha256(f"{deployment}\n{release.digest}\n{at!r}".encode()).hexdigest()[:16]
        because = f"started against {control[:12]}" + (f", although rolled back before: {override}" if override else "")
        new = RolloutState(identity, deployment, release.digest, control, plan, at, at, by, because=because)
        with self.state.engine.begin() as connection:
            self._check_free(connection, new, override)
            row = insert(rollouts).values(id=new.id, deployment=deployment, status=new.status)
            connection.execute(row.values(state=encode(new), updated_at=at))
            _log(connection, new, "started", at, by)
        return new

    def look(self, deployment: str, at: float) -> RolloutState:
        """Ask every gate about what is known at `at`, and take the step that follows, if any.

        One `fail` rolls back, and so does a server's word that it cannot load the candidate. When all pass and the
        stage's hours are over, the next stage begins, or the candidate becomes stable. A stage that is not passed
        within `at_most_hours` is rolled back as inconclusive. Without a running rollout it returns the last one.
        """
        old = self.status(deployment)
        if old.status != "running" or at < old.stage_since:
            return old
        unloadable = self._unloadable(old)
        if unloadable:
            return self._step(old, replace(old, status="rolled_back", because=unloadable), at, "controller")
        verdicts = self._verdicts(old, at)
        seen = replace(old, verdicts=verdicts, touched=self._touched(old, at))
        return self._step(old, _decide(seen, at), at, "controller")

    def promote(self, deployment: str, at: float, by: str, why: str) -> RolloutState:
        """Make the candidate stable by hand, whatever the gates say. Raises Missing when no rollout is running."""
        return self._end(deployment, "promoted", at, by, why)

    def abort(self, deployment: str, at: float, by: str, why: str) -> RolloutState:
        """Take the candidate off the traffic by hand. Raises Missing when no rollout is running."""
        return self._end(deployment, "aborted", at, by, why)

    def status(self, deployment: str) -> RolloutState:
        """The running rollout, or else the last one. Raises Missing where there never was one."""
        known = self.history(deployment)
        if not known:
            raise Missing(f"deployment {deployment!r} never had a rollout; begin one with `roadworthy rollout start`")
        return next((s for s in known if s.status == "running"), known[-1])

    def history(self, deployment: str) -> list[RolloutState]:
        """Every rollout of a deployment, oldest first."""
        with self.state.engine.execution_options(reading=True).connect() as connection:
            return all_of(connection, deployment)

    def _verdicts(self, now: RolloutState, at: float) -> tuple[Verdict, ...]:
        """Rows are read once: a gate that asks for the whole rollout (`rows_since`) gets the rows of all stages."""
        control = self._rows(now.control, now.started_at, at, ("stable",))
        candidate = self._rows(now.candidate, now.started_at, at, ("shadow", "canary"))
        found = [_ask(leaf, now, control, candidate) for leaf in self.gates]
        before = now.verdicts if len(now.verdicts) == len(found) else (None,) * len(found)
        return tuple(_lasting(leaf, was, new) for leaf, was, new in zip(self.gates, before, found, strict=True))

    def _unloadable(self, now: RolloutState) -> str:
        """Why a server could not load the candidate since the rollout began; nothing where none says so."""
        told = read_events(self.state.engine, "load_failed", now.deployment)
        failed = [e for e in told if e.data["release"] == now.candidate]
        if not failed:
            return ""
        rollouts_told = read_events(self.state.engine, "rollout", now.deployment)
        begun = min(e.seq for e in rollouts_told if e.data["rollout"]["id"] == now.id)
        return str(failed[-1].data["error"]) if failed[-1].seq > begun else ""

    def _touched(self, now: RolloutState, at: float) -> int:
        arms: tuple[Arm, ...] = ("canary",)
        return self.state.records.count(now.started_at, at, now.candidate, arms)

    def _rows(self, digest: str, since: float, at: float, arms: tuple[Arm, ...]) -> Window:
        return Window.of_all([_known_at(r, at) for r in self.state.records.read(since, at, digest, arms)])

    def _end(self, deployment: str, status: Status, at: float, by: str, why: str) -> RolloutState:
        if not why:
            raise ValueError("`why` must say why a rollout is ended by hand, got ''")
        old = self.status(deployment)
        if old.status != "running":
            raise Missing(f"no rollout of {deployment!r} is running: the last one was {old.status} ({old.because})")
        if at < old.stage_since:
            raise ValueError(f"`at` must not lie before the stage began ({old.stage_since!r}), got {at!r}")
        return self._step(old, replace(old, status=status, because=why, touched=self._touched(old, at)), at, by)

    def _step(self, old: RolloutState, new: RolloutState, at: float, by: str) -> RolloutState:
        """Write what changed, with its event and alias; if somebody else was faster, return what they wrote."""
        with self.state.engine.begin() as connection:
            if stable_of(connection, old.deployment) != old.control:
                why = f"stable is no longer {old.control[:12]}, which the candidate was compared with"
                new = replace(old, status="aborted", because=why)
            unchanged = (rollouts.c.id == old.id) & (rollouts.c.state == encode(old))
            row = update(rollouts).where(unchanged)
            if connection.execute(row.values(status=new.status, state=encode(new), updated_at=at)).rowcount:
                _note_change(connection, old, new, at, by)
                return new
        return self.status(old.deployment)

    def _check_free(self, connection: Connection, new: RolloutState, override: str) -> None:
        running = running_of(connection, new.deployment)
        if running is not None:
            raise Taken(
                f"deployment {new.deployment!r} is already rolling out {running.candidate[:12]} (rollout {running.id});"
                " wait for its end, or `roadworthy rollout abort` it"
            )
        for past in all_of(connection, new.deployment):
            if past.candidate == new.candidate and past.status == "rolled_back" and not override:
                raise Taken(
                    f"release {new.candidate[:12]} was rolled back before ({past.because});"
                    " release a changed one, or give `override` a reason, which is recorded"
                )


def gates_of(plan: Rollout, root: Path | None = None) -> tuple[Gate, ...]:
    """The gates that a plan names; `root` is the folder of the project, for gates in its files."""
    return tuple(gate.make(named, root) for named in plan.gates)


def _ask(leaf: Gate, now: RolloutState, control: Window, candidate: Window) -> Verdict:
    if getattr(leaf, "rows_since", "stage") == "stage" and candidate.arms is not None:
        arm = "shadow" if now.step.mode == "shadow" else "canary"
        control = control.take(control.at >= now.stage_since)
        candidate = candidate.take((candidate.at >= now.stage_since) & (candidate.arms == arm))
    found = leaf(control, candidate)
    # JSON has no NaN, and what was not measured says nothing that `because` does not.
    measured = tuple(m for m in found.evidence if math.isfinite(m.value))
    return replace(found, of=getattr(leaf, "catalog_name", type(leaf).__name__), evidence=measured)


def _lasting(leaf: Gate, was: Verdict | None, new: Verdict) -> Verdict:
    """What a gate over the whole rollout has shown stays shown, unless it now says the opposite.

    Its interval holds at all times together, so a bound that was reached once is reached; otherwise a few late labels
    of a shadow that is over could hold up a canary that adds no pairs.
    """
    whole = getattr(leaf, "rows_since", "stage") == "rollout"
    return was if whole and was is not None and was.decision == "pass" and new.decision == "wait" else new


def _decide(now: RolloutState, at: float) -> RolloutState:
    """The state that follows from the verdicts in `now`; it touches nothing."""
    hours, decision = (at - now.stage_since) / 3600, worst(now.verdicts)
    if decision == "fail":
        return replace(now, status="rolled_back", because=_reasons(now, "fail"))
    if decision == "pass" and hours >= now.step.hours:
        return _next_stage(now, at)
    if hours >= now.step.at_most_hours:
        open_gates = _reasons(now, "wait") or "every gate passes, but the stage is longer than it may be"
        return replace(now, status="rolled_back", because=f"inconclusive after {hours:.1f} h: {open_gates}")
    waits = _reasons(now, "wait") or ("every gate passes" if now.verdicts else "no gate to ask, so nothing can pass")
    return replace(now, because=f"{hours:.1f} of {now.step.hours:g} h: {waits}")


def _next_stage(now: RolloutState, at: float) -> RolloutState:
    passed = _reasons(now, "pass")
    if now.stage + 1 == len(now.plan.stages):
        return replace(now, status="promoted", because=passed)
    return replace(now, stage=now.stage + 1, stage_since=at, because=passed)


def _reasons(now: RolloutState, decision: str) -> str:
    return "; ".join(f"{v.of}: {v.because}" for v in now.verdicts if v.decision == decision)


def _note_change(connection: Connection, old: RolloutState, new: RolloutState, at: float, by: str) -> None:
    if new.status == "promoted":
        alias = insert(aliases).values(deployment=new.deployment, alias="stable", digest=new.candidate)
        connection.execute(alias.values(at=at, by=by, why=f"rollout {new.id}: {new.because}"))
    if (new.status, new.stage) != (old.status, old.stage):
        _log(connection, new, new.status if new.status != "running" else "stage", at, by)


def _log(connection: Connection, state: RolloutState, change: str, at: float, by: str) -> None:
    data = {"change": change, "by": by, "rollout": msgspec.to_builtins(state)}
    row = insert(events).values(at=at, kind="rollout", subject=state.deployment)
    connection.execute(row.values(data=msgspec.json.encode(data).decode()))


def _known_at(record: Record, at: float) -> Record:
    later = record.label_at is not None and record.label_at > at
    return replace(record, label=None, label_at=None) if later else record


def _check_plan(plan: Rollout) -> None:
    if not plan.stages:
        raise SpecError("a rollout needs at least one stage: write `stages` with a shadow or a canary")
    for stage in plan.stages:
        if stage.share >= 1 and stage.mode != "shadow":
            raise SpecError(
                f"a canary with `share` {stage.share!r} leaves stable no requests to be compared with, so that no gate"
                " can pass it; end with a share below 1, the last passed stage promotes to all"
            )


def _check_fit(candidate: Release, control: Release, digest: str) -> None:
    """Both must answer the same requests in the same form. Raises BadData, naming the field that differs."""
    if candidate.digest == digest:
        raise BadData(f"release {digest[:12]} is already stable: roll out another one")
    for side in ("inputs", "outputs"):
        new, old = getattr(candidate.signature, side), getattr(control.signature, side)
        for name in dict.fromkeys([*old, *new]):
            if _form(new.get(name)) != _form(old.get(name)):
                raise BadData(
                    f"`{name}` in the {side} of candidate {candidate.digest[:12]} is {_said(new.get(name))}, and stable"
                    f" {digest[:12]} has {_said(old.get(name))}: both must take and give the same"
                )


def _form(field: Field | None) -> tuple[Any, ...]:
    """What a caller notices. Ranges and known categories may move with every training."""
    return () if field is None else (field.kind, field.unit, field.nullable, field.width)


def _said(field: Field | None) -> str:
    if field is None:
        return "missing"
    null = ", nullable" if field.nullable else ""
    return f"{field.kind} of width {field.width}{f' in {field.unit}' if field.unit else ''}{null}"
