"""The caretaker does at each look what an operator would: gates, detectors, retraining, the next candidate.

It reads records and moves rollouts; it does not know whether requests came over HTTP, nor that its clock is compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from roadworthy.cli.dialling import Dialling
from roadworthy.cli.experience import Experience
from roadworthy.cli.flows import DAY, train_candidate, with_code
from roadworthy.cli.profiling import profile_training
from roadworthy.core.artifact import Release
from roadworthy.core.profile import Reference
from roadworthy.core.spec import Scenario, Spec
from roadworthy.core.window import Window
from roadworthy.learn.retrain import due
from roadworthy.observe.alerting.minutes import sinks_of
from roadworthy.observe.alerts import Alert, raised_since
from roadworthy.observe.root_cause.change_log import note_retrain
from roadworthy.observe.watch import detectors_of, watch
from roadworthy.rollout.control.freezes import frozen

if TYPE_CHECKING:
    from roadworthy.registry.releases import Registry
    from roadworthy.rollout.controller import Controller, RolloutState
    from roadworthy.store.state import State


@dataclass
class Trial:
    """A candidate that went into a rollout: a retraining, or a scenario with what should become of it."""

    release: Release
    began_at: float
    scenario: Scenario | None = None
    ended: RolloutState | None = None
    ended_at: float = 0.0


@dataclass
class Caretaker:
    """Looks after one deployment. `began` is the time of its first request (Unix seconds)."""

    spec: Spec
    state: State
    registry: Registry
    controller: Controller
    experience: Experience
    began: float
    seed: int = 0
    say: Callable[[str], None] = lambda line: None
    trials: list[Trial] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.spec.application.name
        self.detectors = detectors_of(self.spec.monitor.detectors, self.spec.root, self.spec.monitor)
        self.reference = Reference.of(Window.of_sample(self.experience.known(self.began)))
        self.trained_at = self.watched_at = self.began
        self._sinks = sinks_of(self.spec.monitor, self.spec.root)
        self._dialling = Dialling(self.state, self.registry, self.name, self.spec.root, self._sinks)
        self.scenarios = sorted(self.spec.scenarios, key=lambda scenario: scenario.day)

    @property
    def trial(self) -> Trial | None:
        """The candidate whose rollout is running."""
        return self.trials[-1] if self.trials and self.trials[-1].ended is None else None

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to look after: never, while requests come."""
        return False

    def look(self, now: float) -> bool:
        """One look at everything. True when traffic or a dial changed, and the server should hear of it."""
        moved = self._look_at_rollout(now)
        self._look_for_drift(now)
        moved = bool(self._dialling.follow(now)) or moved
        return moved if self.trial else self._next_candidate(now) or moved

    def _look_at_rollout(self, now: float) -> bool:
        trial = self.trial
        if trial is None:
            return False
        before = self.controller.status(self.name)
        after = self.controller.look(self.name, now)
        if after.status != "running":
            trial.ended, trial.ended_at = after, now
            days = (now - trial.began_at) / DAY
            why = "every gate passed" if after.status == "promoted" else after.because
            outcome = f"{after.status.replace('_', ' ')} after {days:.1f} days, {after.touched} answered: {why}"
            self._tell(now, f"{trial.release.name} {trial.release.digest[:8]} {outcome}")
        return (after.status, after.stage) != (before.status, before.stage)

    def _look_for_drift(self, now: float) -> None:
        monitor = self.spec.monitor
        if now - self.watched_at < monitor.every_days * DAY:
            return
        self.watched_at = now
        found = watch(
            self.state, self.name, self.detectors, self.reference, now, monitor.window_days, sinks=self._sinks
        )
        self.alerts += found
        for alert in found:
            if alert.status == "raised":
                self._tell(now, f"alarm of {alert.detector}: {alert.because}")

    def _next_candidate(self, now: float) -> bool:
        plan = self.spec.rollout
        if frozen(plan.freeze, plan.timezone, now):
            return False
        if self.scenarios and now >= self.began + self.scenarios[0].day * DAY:
            return self._start(self._spoilt(self.scenarios[0], now), now, self.scenarios.pop(0))
        alarms = raised_since(self.state.engine, self.name, self.trained_at)
        wanted = due(self.trained_at, now, self.spec.retrain, alarms)
        if wanted.decision != "pass":
            return False
        known = self.experience.known(now)
        release = train_candidate(self.spec, self.registry, known, now, self.seed, wanted.because)
        note_retrain(self.state.engine, now, self.name, release.digest, wanted.because)
        self.trained_at, self.reference = now, profile_training(self.spec, self.state, release, known, now)
        return self._start(release, now)

    def _start(self, release: Release, now: float, scenario: Scenario | None = None) -> bool:
        self.controller.start(self.name, release.digest, self.spec.rollout, now, by=release.made_by)
        self.trials.append(Trial(release, now, scenario))
        return True

    def _spoilt(self, scenario: Scenario, now: float) -> Release:
        """What is live, with what the scenario puts in front of it: offline it scores the same."""
        live = self.registry.get(self.registry.alias(self.name, "stable") or "")
        spoilt = msgspec.structs.replace(
            live,
            name=scenario.name,
            preprocessing=(*scenario.preprocessing, *live.preprocessing),
            wrappers=(*scenario.wrappers, *live.wrappers),
            parent=live.digest,
            made_at=now,
            made_by=f"scenario {scenario.name}",
        )
        return self.registry.add(*with_code(spoilt, {}, self.spec.root))

    def _tell(self, now: float, line: str) -> None:
        self.say(f"{datetime.fromtimestamp(now, UTC):%-d %b}  {line}")
