"""What mirroring every request to a bad candidate does to the stable release: its p99 over HTTP, and its failures.

One `roadworthy serve` of the flights model is asked at a fixed open-loop rate far below what it can do. Phases without
and with a shadow at 100 % take turns in one run: a good candidate, one that hangs, one that raises, one that computes
ten times as long without letting go of the interpreter. Latencies count from the moment a request was due, and each
phase is compared with the phase without a shadow before it (bootstrap over the turns). What the client itself was late
by is told, for it shares the machine. Last line: a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import uvloop
from msgspec.structs import replace

from roadworthy.app.client import Admin
from roadworthy.cli.flows import lab_release, with_code
from roadworthy.cli.services import Server
from roadworthy.core.measure import Measurement
from roadworthy.core.project import read_project
from roadworthy.core.spec import Rollout, Spec, Stage
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.state import State

MOST_RATIO = 1.05
GIVEN_UP_SECONDS = 5.0
CANDIDATES = ("good", "hang", "raise", "slow")

CODE = '''"""The flights model, and what may be wrong with one: each engine behaves while it is warmed up."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

from roadworthy.serve.engines.onnx import Onnx

CALLS_TO_WARM_UP = 40


@dataclass(frozen=True)
class Model:
    file: Path
    output: str = "probability"
    fault: str = ""

    def __call__(self, columns):
        began = time.perf_counter()
        answer = self.session(columns)
        if next(self.calls) < CALLS_TO_WARM_UP:
            return answer
        if self.fault == "hang":
            time.sleep(86_400)
        if self.fault == "raise":
            raise ArithmeticError("no wind")
        until = began + 10 * (time.perf_counter() - began)
        while self.fault == "slow" and time.perf_counter() < until:
            pass
        return answer

    @cached_property
    def session(self):
        return Onnx(self.file, output=self.output)

    @cached_property
    def calls(self):
        return count()
'''


@dataclass
class Phase:
    """What was measured in one stretch: seconds from the due time to the answer, and what the client was late by."""

    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    failed: int = 0


class Link(asyncio.Protocol):
    """One kept-alive connection with one request in flight."""

    def __init__(self, free: list[Link]) -> None:
        self.free, self.read, self.need = free, b"", 0
        self.answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.free.append(self)

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length and self.answered is not None:
            self._settle(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answered is not None:
            self._settle(0)
        if self in self.free:
            self.free.remove(self)

    def ask(self, raw: bytes) -> asyncio.Future[int]:
        self.since = time.perf_counter()
        self.read, self.answered = b"", asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        return self.answered

    def give_up(self) -> None:
        """Hang up where the answer of that long ago is still awaited."""
        if self.answered is not None and time.perf_counter() - self.since >= GIVEN_UP_SECONDS:
            self.transport.abort()

    def _settle(self, status: int) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(status)
        self.answered = None


class Load:
    """Asks at the times of a Poisson process, whatever comes back."""

    def __init__(self, port: int, bodies: Sequence[bytes], rng: np.random.Generator) -> None:
        self.port, self.bodies, self.rng, self.ids = port, bodies, rng, count()
        self.free: list[Link] = []

    async def __call__(self, rate: float, seconds: float) -> Phase:
        phase, tasks = Phase(), []
        due = time.perf_counter() + np.cumsum(self.rng.exponential(1 / rate, int(rate * seconds)))
        for moment in due.tolist():
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            tasks.append(asyncio.ensure_future(self._one(phase, moment)))
        await asyncio.wait(tasks)
        return phase

    async def _one(self, phase: Phase, due: float) -> None:
        while not self.free:
            await asyncio.get_running_loop().create_connection(lambda: Link(self.free), "127.0.0.1", self.port)
        link = self.free.pop()
        phase.late.append(time.perf_counter() - due)
        n = next(self.ids)
        answered = link.ask(self.bodies[n % len(self.bodies)])
        asyncio.get_running_loop().call_later(GIVEN_UP_SECONDS, link.give_up)
        status = await answered
        phase.seconds.append(time.perf_counter() - due)
        phase.failed += status != 200
        if status:
            self.free.append(link)


class Bench:
    """A server with a stable release, and a candidate for each fault."""

    def __init__(self, spec: Spec, state: State) -> None:
        self.spec, self.state, self.registry = spec, state, Registry(state)
        self.name = spec.application.name
        self.digests = {fault: self._release(fault) for fault in ("stable", *CANDIDATES)}
        self.registry.point(self.name, "stable", self.digests["stable"], time.time(), "bench", "benchmark")
        self.controller = Controller(state, self.registry)

    def shadow(self, fault: str) -> None:
        plan = Rollout(stages=(Stage("shadow", hours=24.0),), gates=())
        self.controller.start(self.name, self.digests[fault], plan, time.time(), "bench")

    def stop(self) -> None:
        self.controller.abort(self.name, time.time(), "bench", "the phase is over")

    def _release(self, fault: str) -> str:
        release, files = lab_release(self.spec, 1.0, "bench")
        plan = '{"candidates.py:Model": {"fault": "%s"}}' % (fault if fault in ("hang", "raise", "slow") else "")
        model = replace(release.artifacts[0], engine=plan)
        release = replace(release, name=fault, artifacts=(model, *release.artifacts[1:]))
        return self.registry.add(*with_code(release, files, self.spec.root)).digest


def bodies_of(spec: Spec, rows: int = 500) -> list[bytes]:
    """Whole HTTP requests of real flights."""
    table = pl.read_parquet(spec.path(spec.data.production)).head(rows).select(list(spec.application.inputs))
    found = []
    for row in table.iter_rows(named=True):
        body = msgspec.json.encode({"rows": [row]})
        found.append(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return found


def settled(admin: Admin, wanted: str | None) -> None:
    """Wait until the server has the candidate in place, or none."""
    for _ in range(600):
        if (admin.status()["traffic"] or {}).get("candidate") == wanted:
            return
        time.sleep(0.1)
    raise TimeoutError(f"the server does not follow: {admin.status()}")


@dataclass
class Turns:
    """The phases of one candidate, and of no shadow before each."""

    before: list[Phase] = field(default_factory=list)
    during: list[Phase] = field(default_factory=list)
    shadow: dict[str, Any] = field(default_factory=dict)


async def run(bench: Bench, load: Load, admin: Admin, asked: argparse.Namespace) -> dict[str, Turns]:
    """All turns, in an order that is drawn anew each time."""
    found = {name: Turns() for name in ("none", *asked.candidates)}
    await load(asked.rate, 2.0)
    for turn in range(asked.turns):
        for name in load.rng.permutation(list(found)).tolist():
            turns = found[name]
            turns.before.append(await load(asked.rate, asked.seconds))
            if name != "none":
                bench.shadow(name)
                await asyncio.to_thread(settled, admin, bench.digests[name])
                # The candidate is loaded and its first requests are over: what is judged is how it goes on.
                await load(asked.rate, asked.settle)
            turns.during.append(await load(asked.rate, asked.seconds))
            if name != "none":
                for key, value in admin.status()["shadow"].items():
                    known = turns.shadow.get(key, 0)
                    turns.shadow[key] = known + value if isinstance(value, int | float) else value
                bench.stop()
                await asyncio.to_thread(settled, admin, None)
            print(
                f"turn {turn + 1} {name}: {_quantile(turns.before[-1:]):.2f} -> {_quantile(turns.during[-1:]):.2f} ms",
                flush=True,
            )
    return found


def _quantile(phases: Sequence[Phase], share: float = 0.99) -> float:
    return 1e3 * float(np.quantile(np.concatenate([phase.seconds for phase in phases]), share))


def ratio(turns: Turns, rng: np.random.Generator, share: float = 0.99) -> tuple[float, float, float]:
    """The median over the turns of the quantile with the shadow over that without, and its 95 % interval (bootstrap).

    Each turn is compared with itself: what else the machine did at that time is in both of its phases.
    """
    each = np.array(
        [_quantile([a], share) / _quantile([b], share) for b, a in zip(turns.before, turns.during, strict=True)]
    )
    spread = np.median(rng.choice(each, (2000, len(each))), axis=1)
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(np.median(each)), float(low), float(high)


def measured(found: dict[str, Turns], rng: np.random.Generator) -> Iterator[Measurement]:
    """What each candidate did to the stable path."""
    for name, turns in found.items():
        n = sum(len(phase.seconds) for phase in turns.during)
        for share in (0.5, 0.99):
            value, low, high = ratio(turns, rng, share)
            yield Measurement(f"p{100 * share:g}_ratio", value, n, low, high, where=name)
        yield Measurement("p99_ms", _quantile(turns.during), n, unit="ms", where=name)
        yield Measurement("failed", sum(p.failed for p in (*turns.before, *turns.during)), n, where=name)
        late = np.quantile(np.concatenate([p.late for p in turns.during]), 0.99)
        yield Measurement("client_late_p99_ms", 1e3 * float(late), n, unit="ms", where=name)
        for key, value in turns.shadow.items():
            if isinstance(value, int | float):
                yield Measurement(f"shadow_{key}", value, n, where=name)


def project(original: Path, folder: Path) -> Spec:
    """A copy of the flights project with the candidates' code."""
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("__pycache__", ".roadworthy"))
    (folder / "candidates.py").write_text(CODE)
    file = folder / "roadworthy.yaml"
    # A candidate that hangs is given up and started again while it is looked at, not after the phase.
    file.write_text(file.read_text().replace("\nserving:\n", "\nserving:\n  hang_seconds: 1.5\n"))
    return read_project(folder)


def main() -> int:
    """Measure, print the rows and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed here")
    parser.add_argument("--project", type=Path, default=Path("examples/flights"))
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--settle", type=float, default=2.5)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES))
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="roadworthy-shadow-") as aside:
        spec = project(asked.project, Path(aside) / "flights")
        with State.open(spec.state, spec.serving.durability) as state:
            bench, server = Bench(spec, state), Server(spec, clock="wall", look_seconds=3600.0)
            address = server.start()
            try:
                load = Load(address.port, bodies_of(spec), rng)
                found = uvloop.run(run(bench, load, Admin(address.admin_url, 30.0), asked))
            finally:
                server.stop()
    rows = list(measured(found, rng))
    for row in rows:
        print(row)
    print(msgspec.json.encode(rows).decode())
    bad = [
        r
        for r in rows
        if (r.name == "failed" and r.value) or (r.name == "p99_ratio" and r.where != "none" and r.low > MOST_RATIO)
    ]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
