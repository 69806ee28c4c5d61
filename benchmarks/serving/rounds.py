"""The measuring: every contestant of a model is started, then all take turns, round after round, then all sit idle.

What a contestant costs is the CPU time of all of its processes over the requests that it answered meanwhile. Clocks on
the wall also tell what else the machine was doing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from serving.client import Load, Outcome
from serving.contestants.base import Absent, Contestant, Running
from serving.models import Model
from serving.process import Usage, cpu_seconds, usage

CONNECTIONS = (1, 16, 64)
WARM_SECONDS, IDLE_SECONDS, SETTLE_SECONDS, CEILING_SECONDS = 1.0, 10.0, 2.0, 0.4

Say = Callable[[str], object]


class Sample(NamedTuple):
    """One contestant under one load in one round."""

    cpu_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    requests: int


class Still(NamedTuple):
    """A contestant after the load: share of one core while nobody asks, memory, and how long it took to start."""

    idle_share: float
    usage: Usage
    start_seconds: float


@dataclass
class Results:
    """Everything measured: `samples` by (model, contestant, connections), one a round; `ceilings` us a row by model.

    `absent` says by (model, contestant) why one is not there, or why its numbers are not valid.
    """

    samples: dict[tuple[str, str, int], list[Sample]] = field(default_factory=dict)
    still: dict[tuple[str, str], Still] = field(default_factory=dict)
    ceilings: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)


class ClientProcess:
    """The client in a process of its own; `with ClientProcess() as client` ends it."""

    def __enter__(self) -> ClientProcess:
        command = [sys.executable, str(Path(__file__).with_name("client.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, load: Load, cpu: Callable[[], float]) -> tuple[Outcome, float]:
        """The outcome, and how much `cpu` grew between its first request and its last answer."""
        self._say(msgspec.json.encode(load).decode())
        self._hear()
        before = cpu()
        self._say("")
        outcome = msgspec.json.decode(self._hear(), type=Outcome)
        return outcome, cpu() - before

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the client ended; its error is above")
        return line


class Invalid(Exception):
    """A contestant answered something else than 2xx, or not at all; none of its numbers count."""


def measure(
    results: Results,
    model: Model,
    contestants: Sequence[tuple[Contestant, str]],
    home: Path,
    rounds: int,
    seconds: float,
    say: Say,
    idle_seconds: float = IDLE_SECONDS,
) -> None:
    """All contestants (each with the Python that runs it) on one model; `home` is a folder for what they write."""
    with ExitStack() as stack:
        client = stack.enter_context(ClientProcess())
        running: list[tuple[Running, Path]] = []
        for contestant, python in contestants:
            say(f"{model.name}: starting {contestant.name}")
            folder = home / model.name / contestant.name
            folder.mkdir(parents=True)
            try:
                server = stack.enter_context(Running(contestant, model, python, folder))
                running.append((server, _prepared(client, server, folder)))
            except (Absent, Invalid) as why:
                results.absent[model.name, contestant.name] = str(why)
        for k in range(rounds):
            results.ceilings.setdefault(model.name, []).append(model.ceiling_us(CEILING_SECONDS))
            for server, requests in running:
                if (model.name, server.contestant.name) not in results.absent:
                    say(f"{model.name}: round {k + 1} of {rounds}, {server.contestant.name}")
                    _turn(client, server, requests, seconds, results)
        say(f"{model.name}: idle")
        results.still.update(_still(model, [server for server, _ in running], idle_seconds))


def _prepared(client: ClientProcess, server: Running, folder: Path) -> Path:
    """The file of the contestant's requests; it has seen them, for adaptive batching learns at first."""
    file = folder / "requests"
    file.write_bytes(msgspec.msgpack.encode(server.requests()))
    outcome, _ = client.run(Load(server.port, str(file), max(CONNECTIONS), WARM_SECONDS), lambda: 0.0)
    _see(outcome)
    server.pause()
    return file


def _turn(client: ClientProcess, server: Running, requests: Path, seconds: float, results: Results) -> None:
    model, name = server.model.name, server.contestant.name
    server.resume()
    try:
        for connections in CONNECTIONS:
            sample = _sample(client, server, requests, connections, seconds)
            results.samples.setdefault((model, name, connections), []).append(sample)
    except Invalid as why:
        results.absent[model, name] = str(why)
    finally:
        server.pause()


def _sample(client: ClientProcess, server: Running, requests: Path, connections: int, seconds: float) -> Sample:
    load = Load(server.port, str(requests), connections, seconds)
    outcome, cpu = client.run(load, lambda: cpu_seconds(server.pid))
    _see(outcome)
    rps = outcome.requests / outcome.seconds
    return Sample(cpu / outcome.requests * 1e6, rps, outcome.p50_ms, outcome.p99_ms, outcome.requests)


def _see(outcome: Outcome) -> None:
    if outcome.failures:
        raise Invalid(f"failed under load: {outcome.first_failure}")


def _still(model: Model, servers: Sequence[Running], seconds: float) -> Mapping[tuple[str, str], Still]:
    """All at once, which takes as long as one; those that are busy then do not slow down the counting of others."""
    for server in servers:
        server.resume()
    time.sleep(SETTLE_SECONDS)
    before = [cpu_seconds(server.pid) for server in servers]
    started = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - started
    after = [usage(server.pid) for server in servers]
    return {
        (model.name, server.contestant.name): Still((late.cpu_seconds - early) / passed, late, server.started_seconds)
        for server, early, late in zip(servers, before, after, strict=True)
    }
