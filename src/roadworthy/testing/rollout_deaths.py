"""Kills controllers in the middle of rollouts again and again, and looks whether what they wrote contradicts itself.

`python -m roadworthy.testing.rollout_deaths FOLDER DEPLOYMENT KILLS SEED` prints one line of JSON. It imports once and
forks for each life, so that a life costs what it does and not what Python does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct, field

from roadworthy.core.errors import BadData, Denied, Missing, Taken
from roadworthy.core.spec import Rollout, Stage
from roadworthy.registry.releases import Registry
from roadworthy.rollout.control.incident import Incident
from roadworthy.rollout.controller import Controller
from roadworthy.store.events import read_events, write_event
from roadworthy.store.state import State
from roadworthy.testing.rollout_faults import faults

STATE = ".roadworthy"
CHANCE = '''
"""A gate that decides by lot."""

from __future__ import annotations

import random
from dataclasses import dataclass

from roadworthy.core.measure import Verdict


@dataclass(frozen=True)
class Chance:
    def __call__(self, control, candidate):
        drawn = random.SystemRandom().random()
        return Verdict("fail" if drawn < 0.1 else "pass" if drawn < 0.5 else "wait", f"drew {drawn:.3f}")
'''
STAGES = (Stage("shadow"), Stage("canary", 0.2), Stage("canary", 0.5), Stage("holdback", 0.2))
PLAN = Rollout(stages=STAGES, gates=("chance.py:Chance",))


class Deaths(Struct):
    """How often somebody was killed, what was written meanwhile, and what contradicts itself."""

    kills: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    told: int = 0
    faults: list[str] = field(default_factory=list)


def torture(root: Path, deployment: str, kills: int, seed: int, life_seconds: float = 0.25) -> Deaths:
    """Two controllers at a time; one of them dies at a random moment, `kills` times. `root` has `chance.py`."""
    rng, found = Random(seed), Deaths()
    lives = [_fork(root, deployment, rng.random()) for _ in range(2)]
    try:
        while found.kills < kills:
            time.sleep(rng.uniform(0.0, life_seconds))
            _kill(lives.pop(0))
            found.kills += 1
            # The next one is born before anybody looks, so that most looks fall into somebody's work.
            lives.append(_fork(root, deployment, rng.random()))
            found.faults += _faults(root, deployment)
    finally:
        for life in lives:
            _kill(life)
    found.faults += _faults(root, deployment)
    with State.open(root / STATE, "process") as state:
        for event in read_events(state.engine, "rollout", deployment):
            found.steps[event.data["change"]] = found.steps.get(event.data["change"], 0) + 1
        found.told += _untold(state, deployment)
    return found


def strays(state: State, deployment: str) -> tuple[float, list[str]]:
    """For how many seconds a release answered, or was shown, after it should not have; and releases nobody knows."""
    known = {release.digest for release in Registry(state).list()}
    meant = [(change.at, change.digest) for change in Registry(state).history(deployment, "stable")]
    spans = _spans(state, deployment)
    late, unknown = 0.0, []
    for record in state.records.read():
        if record.release not in known:
            unknown.append(f"{record.id} was answered by {record.release!r}, which nobody registered")
        held = spans if record.arm != "stable" else _stable_spans(meant)
        ends = [until for release, since, until in held if release == record.release and since <= record.at]
        if not ends:
            unknown.append(f"{record.id} was on the arm {record.arm} of {record.release[:12]} before anybody said so")
        late = max(late, record.at - max(ends, default=record.at))
    return late, unknown


def live(root: Path, deployment: str, seed: float) -> None:
    """A controller that starts, looks and is interfered with by people, until it is killed."""
    rng = Random(seed)
    with State.open(root / STATE, "process") as state:

        def told(incident: Incident) -> None:
            write_event(state.engine, incident.at, "heard", deployment, {"id": incident.id})

        controller = Controller(state, Registry(state), root, told, lease_seconds=0.2)
        while True:
            try:
                _act(controller, deployment, rng)
            except (Taken, Missing, BadData, Denied, ValueError):
                continue  # somebody else was faster
            time.sleep(rng.uniform(0.0, 0.01))


def _act(controller: Controller, deployment: str, rng: Random) -> None:
    at, drawn = time.time(), rng.random()
    if drawn < 0.03:
        rng.choice([controller.abort, controller.promote, controller.pause])(deployment, at, "a person", "by lot")
    elif drawn < 0.05:
        controller.resume(deployment, at, "a person")
    elif drawn < 0.06:
        controller.rollback(deployment, at, "a person", "by lot")
    elif drawn < 0.3:
        digest = rng.choice(controller.registry.list()).digest
        controller.start(deployment, digest, PLAN, at, "a person", override="it is only a test")
    else:
        controller.look(deployment, at)


def _fork(root: Path, deployment: str, seed: float) -> int:
    child = os.fork()
    if not child:
        try:
            live(root, deployment, seed)
        finally:
            os._exit(1)
    return child


def _kill(life: int) -> None:
    os.kill(life, signal.SIGKILL)
    _, status = os.waitpid(life, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"a controller ended by itself with status {status}: what it printed says why")


def _faults(root: Path, deployment: str) -> list[str]:
    with State.open(root / STATE, "process") as state:
        return faults(state, deployment)


def _untold(state: State, deployment: str) -> int:
    """Tells what is left to tell, and counts the incidents that anybody heard of; a lost one is a fault."""
    heard: list[Incident] = []
    controller = Controller(state, Registry(state), on_incident=heard.append, holder="the last")
    time.sleep(0.3)
    controller._telling.tell(deployment)
    known = {event.data["id"] for event in read_events(state.engine, "heard", deployment)}
    known |= {incident.id for incident in heard}
    missing = {incident.id for incident in controller.incidents(deployment)} - known
    if missing:
        raise RuntimeError(f"nobody was told of the incidents {sorted(missing)}")
    return len(known)


def _spans(state: State, deployment: str) -> list[tuple[str, float, float]]:
    """From when until when each release was in a rollout, on either side of it."""
    found: list[tuple[str, float, float]] = []
    told = read_events(state.engine, "rollout", deployment)
    for begun in (event for event in told if event.data["change"] == "started"):
        rollout = begun.data["rollout"]
        ends = [e.at for e in told if e.data["rollout"]["id"] == rollout["id"] and "status" in e.data["rollout"]]
        until = ends[-1] if ends else float("inf")
        found += [(rollout[side], begun.at, until) for side in ("candidate", "control")]
    return found


def _stable_spans(meant: list[tuple[float, str | None]]) -> list[tuple[str, float, float]]:
    ends = [at for at, _ in meant[1:]] + [float("inf")]
    return [(digest, at, until) for (at, digest), until in zip(meant, ends, strict=True) if digest is not None]


if __name__ == "__main__":
    folder, name, kills, seed = sys.argv[1:]
    sys.stdout.write(msgspec.json.encode(torture(Path(folder), name, int(kills), int(seed))).decode() + "\n")
