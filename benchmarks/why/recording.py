"""The base log: minutes of real traffic through a real server, with each fault really injected for some seconds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from project import inject, make
from traffic import Blend, drive

from roadworthy.core.record import Record
from roadworthy.core.spec import Rollout, Spec, Stage
from roadworthy.observe.root_cause.host import HostSample, Sampler, host_samples, sampling
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.state import State

SAMPLE_SECONDS = 0.5
BURNERS = 6


@dataclass(frozen=True)
class Scene:
    """So many seconds of one state of affairs. `kind` and `where` say what a diagnosis should name."""

    kind: str
    seconds: float
    where: str = ""
    fault: Mapping[str, Any] = field(default_factory=dict)
    blend: Blend = field(default_factory=Blend)
    canary: str = ""
    burners: int = 0


@dataclass(frozen=True)
class Part:
    """What was recorded of a scene: its rows, and the machine meanwhile."""

    scene: Scene
    rows: pl.DataFrame
    host: tuple[HostSample, ...]


def scenes(normal_seconds: float, seconds: float) -> list[Scene]:
    """Quiet stretches with the faults between them, in an order that spreads each kind over the run."""
    usual, canary = Blend(), "second"
    slow = [
        *(Scene("slow slice", seconds, f"tenant={name}", {"tags": {"tenant": name}, "seconds": extra})
          for name, extra in (("acme", 0.008), ("cobalt", 0.012), ("grove", 0.03))),
        Scene("slow slice", seconds, "region=asia", {"tags": {"region": "asia"}, "seconds": 0.015}),
        Scene("slow slice", seconds, "client=android", {"tags": {"client": "android"}, "seconds": 0.012}),
        Scene("slow slice", seconds, "region=us & tenant=birch",
              {"tags": {"tenant": "birch", "region": "us"}, "seconds": 0.03}),
        Scene("slow slice", seconds, "kind=chat", {"kind": "chat", "times": 6}),
        Scene("slow slice", seconds, "kind=sort", {"kind": "sort", "times": 5}),
    ]  # fmt: skip
    drifted = [
        Scene("slow release", seconds, "release=second", {"release": "second", "times": t}, canary=canary)
        for t in (3, 5)
    ]
    new = [Scene("slow release", seconds, "release=slow", canary="slow") for _ in range(2)]
    lost = [Scene("lost cache", seconds, "", {"cache": "off"}) for _ in range(3)]
    long = [Scene("long inputs", seconds, "text", blend=Blend(lengths=t)) for t in (3.0, 4.0, 6.0)]
    mixed = [
        Scene("mix shift", seconds, f"{what[:-1]}={value}", blend=usual.more_of(what, value, share))
        for what, value, share in (
            ("tenants", "fjord", 0.5), ("tenants", "heron", 0.4), ("kinds", "code", 0.45), ("tenants", "fjord", 0.4),
        )
    ]  # fmt: skip
    noisy = [Scene("noisy host", seconds, burners=BURNERS) for _ in range(3)]
    quiet = Scene("quiet", normal_seconds)
    quiet_canary = Scene("quiet canary", normal_seconds, canary=canary)
    order = [quiet]
    for group in (slow, lost, long, mixed, noisy):
        for scene in group:
            order += [scene, Scene("quiet", normal_seconds / 4)]
    order += [quiet_canary]
    for scene in drifted:
        order += [scene, Scene("quiet canary", normal_seconds / 2, canary=canary)]
    for scene in new:
        order += [Scene("quiet", normal_seconds / 2), scene]
    return order


def record(root: Path, normal_seconds: float, seconds: float, seed: int) -> list[Part]:
    """Play every scene through `roadworthy serve`, then read the log and the samples of the machine."""
    spec, server, digests = make(root)
    spans = []
    address = server.start()
    try:
        with State.open(spec.state) as state:
            _warm(address.url, seed)
            asked = 1_000_000
            gauges = Sampler(spec.state, own_seconds=lambda: _cpu_seconds(server.process.pid))
            with sampling(state, gauges, SAMPLE_SECONDS):
                controller = Controller(state, Registry(state))
                for k, scene in enumerate(scenes(normal_seconds, seconds)):
                    _route(controller, spec, digests, scene)
                    with _burning(scene.burners):
                        inject(root, **scene.fault)
                        time.sleep(0.3)  # what waited for the old state of affairs is answered by now
                        since = time.time()
                        rng = np.random.default_rng([seed, k])
                        asked += asyncio.run(drive(address.url, scene.blend, scene.seconds, rng, asked))
                        spans.append((scene, since, time.time()))
                    inject(root)
                    time.sleep(0.2)
            return [_part(state, digests, *span) for span in spans]
    finally:
        server.stop()


def _warm(url: str, seed: int) -> None:
    """Fill the cache, as it is in a server that has been up for a while."""
    asyncio.run(drive(url, Blend(repeated=1.0), 8.0, np.random.default_rng(seed), 0))


def _route(controller: Controller, spec: Spec, digests: Mapping[str, str], scene: Scene) -> None:
    """Begin or end a canary, so that the one of the scene runs."""
    name, now = spec.application.name, time.time()
    running, changed = [s for s in controller.history(name) if s.status == "running"], False
    if running and (not scene.canary or running[0].candidate != digests[scene.canary]):
        controller.abort(name, now, "benchmark", "the scene is over")
        running, changed = [], True
    if scene.canary and not running:
        plan = Rollout(stages=(Stage("canary", share=0.3, hours=100.0),))
        controller.start(name, digests[scene.canary], plan, now, "benchmark", "again")
        changed = True
    if changed:
        time.sleep(1.5)  # the server looks at the store twice a second, and loads what is new


@contextmanager
def _burning(processes: int) -> Iterator[None]:
    """Other people's work on the same cores."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def _part(state: State, digests: Mapping[str, str], scene: Scene, since: float, until: float) -> Part:
    names = {digest: name for name, digest in digests.items()}
    records = state.records.read(since, until)
    # The server samples too, but every five seconds, which is longer than some scenes' ends are sharp.
    host = [sample for sample in host_samples(state, since, until + SAMPLE_SECONDS) if not sample.gauges]
    return Part(scene, frame_of(records, names), tuple(host))


def frame_of(records: list[Record], names: Mapping[str, str]) -> pl.DataFrame:
    """The records as the flat columns of `state.records.scan()`; a release by its name here."""
    rows: list[dict[str, Any]] = []
    for r in records:
        row: dict[str, Any] = {
            "id": r.id, "at": r.at, "release": names[r.release], "arm": r.arm, "error": r.error,
            "confidence": r.confidence, "tokens": r.tokens, "usd": r.usd, "label": r.label, "label_at": r.label_at,
        }  # fmt: skip
        for group in ("seconds", "tags", "inputs", "outputs"):
            row |= {f"{group}.{name}": value for name, value in getattr(r, group).items()}
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)
