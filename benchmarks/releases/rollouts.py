"""One rollout, live: a server process of its own, requests over HTTP on a compressed clock, outcomes as they came."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from candidates import Candidate
from models import Workshop
from truth import FOLLOWING_DAYS, Truth, truth

from roadworthy.cli.flows import controller_of, with_code
from roadworthy.cli.replaying import HOUR, Tally, Traffic, send
from roadworthy.cli.services import OverHttp, Server
from roadworthy.core.artifact import Release
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.learn.base import Trained
from roadworthy.learn.retrain import candidate as release_of
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.store.state import State

# How many requests are under way at a time: a busy quarter of an hour at one of the airports.
IN_FLIGHT = 16
# Longer than all stages may take together, for the last candidates up to the end of the year.
REPLAYED_DAYS = 42.0


class Ended(NamedTuple):
    """What became of a candidate, and what it really was."""

    candidate: Candidate
    outcome: str
    stage: int
    mode: str
    signals: tuple[str, ...]
    because: str
    exposed: int
    hours: float
    requests: int
    failed: int
    truth: Truth


def roll_out(root: Path, candidate: Candidate) -> Ended:
    """The whole of it, in a state directory that is thrown away afterwards."""
    spec = read_project(root)
    workshop = Workshop(spec, root / "models")
    directory = root / "states" / candidate.name.replace(" ", "-")
    shutil.rmtree(directory, ignore_errors=True)
    with State.open(directory, spec.serving.durability, spec.log) as state:
        registry = Registry(state)
        releases = (_stable(workshop, registry, candidate), _candidate(workshop, registry, candidate))
        rows = workshop.stretch(candidate.day, candidate.day + FOLLOWING_DAYS)
        known = truth(spec, registry, releases, rows, candidate.slice)
        began = workshop.time(candidate.day)
        registry.point(spec.application.name, "stable", releases[0].digest, began - 1, "benchmark", "a week old")
        replayed = workshop.stretch(candidate.day, candidate.day + REPLAYED_DAYS)
        rollout = Rollout(spec, state, controller_of(spec, state, registry), Traffic(replayed, spec.signature), began)
        ended, at, tally = asyncio.run(rollout(releases[1].digest))
    shutil.rmtree(directory)
    outcome = ended.status.replace("_", " ")
    hours, done = (at - began) / HOUR, (tally.answered + tally.failed, tally.failed)
    step = ended.step
    return Ended(
        candidate, outcome, ended.stage, step.mode, _signals(ended), ended.because, ended.touched, hours, *done, known
    )


@dataclass(frozen=True)
class Rollout:
    """Replays the days after `began` until the controller has decided."""

    spec: Spec
    state: State
    controller: Controller
    traffic: Traffic
    began: float

    async def __call__(self, digest: str) -> tuple[RolloutState, float, Tally]:
        """The rollout as it ended, when that was, and what was asked."""
        server = Server(self.spec, state=self.state.directory)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, server.start)
        service = OverHttp(server)
        try:
            await service.connect()
            self.controller.start(self.spec.application.name, digest, self.spec.rollout, self.began, "benchmark")
            await service.settle()
            return await self._live_through(service)
        finally:
            service.close()
            await loop.run_in_executor(None, server.stop)

    async def _live_through(self, service: OverHttp) -> tuple[RolloutState, float, Tally]:
        name, length, tally = self.spec.application.name, self.spec.rollout.look_hours * HOUR, Tally()
        now = self.began
        for start in np.arange(self.began, float(self.traffic.at[-1]), length):
            now = float(start + length)
            await send(service.ask, self.traffic.between(start, now), tally, IN_FLIGHT, service.patience)
            await service.settle()
            self.state.records.write_labels(self.traffic.outcomes(self.began, now))
            before = self.controller.status(name)
            after = self.controller.look(name, now)
            if after.status != "running":
                break
            if after.stage != before.stage:
                await service.settle()
        return self.controller.status(name), now, tally


def _signals(ended: RolloutState) -> tuple[str, ...]:
    """Which signals stopped it, or else which never passed; in brackets those that only advised against it."""
    roles = [ended.plan.hierarchy[place].may for place in ended.asked]
    told = list(zip(ended.verdicts, roles, strict=True))
    failed = [v.of for v, may in told if v.decision == "fail" and may != "advise"]
    open_ones = [f"{v.of} open" for v, may in told if v.decision == "wait" and may == "promote"]
    advised = [f"({v.of})" for v, may in told if v.decision == "fail" and may == "advise"]
    return (*(failed or open_ones), *advised)


def _stable(workshop: Workshop, registry: Registry, candidate: Candidate) -> Release:
    at = workshop.time(candidate.stable.day)
    trained = Trained(workshop.file(candidate.stable), "onnx", note=candidate.stable.name)
    return registry.add(*release_of(trained, workshop.spec, "", "", at, "benchmark"))


def _candidate(workshop: Workshop, registry: Registry, candidate: Candidate) -> Release:
    wrappers = _wrappers(workshop, candidate)
    trained = Trained(workshop.file(candidate.recipe), "onnx", wrappers, candidate.name)
    release, files = release_of(trained, workshop.spec, "", "", workshop.time(candidate.day), "benchmark")
    return registry.add(*with_code(release, files, workshop.spec.root))


def _wrappers(workshop: Workshop, candidate: Candidate) -> tuple[object, ...]:
    if not candidate.recalibrated:
        return candidate.plans
    line = workshop.recalibrated(candidate.recipe, candidate.day)
    plan = {"calibrated": {"slope": round(line.slope, 6), "intercept": round(line.intercept, 6)}}
    return (*candidate.plans, plan)
