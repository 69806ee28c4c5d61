"""Do the checks under load and over time accuse the right ones? Servers and memories with a fault planted, and none.

Each function gives Measurements. python benchmarks/gap/under_load.py [--runs N] prints them all, in about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from roadworthy.app.endpoints.plain import Plain
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.stats import proportion
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.crowd.under_load import UnderLoad, under_load
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.process.cold_start import cold_start
from roadworthy.evaluate.process.leak import leak
from roadworthy.testing import virtual_clock
from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Law, Script

ROWS, MOST = 600, 8
SIGNATURE = Signature({"x": Field()}, {"y": Field()})
SLEEPS_MS = {"import": 200, "load": 300, "first answer": 150}
SLOW = """
import time
time.sleep(0.2)
def load():
    time.sleep(0.3)
    spells = iter([0.15] + [0.06] * 3)
    return lambda: time.sleep(next(spells, 0.005))
"""
READINGS_A_SECOND, SECONDS, LOOK_SECONDS, ALLOWED = 10, 180, 1, 10_000.0
MB = 1e6


def rows(rng: np.random.Generator) -> Sample:
    """Labelled rows that `answer` ranks well, but not perfectly."""
    x = rng.normal(size=ROWS)
    return Sample({"x": x}, labels=(x + rng.normal(size=ROWS) > 0).astype(np.float64))


async def answer(request: Request) -> Response:
    """A model that is as good as these rows allow."""
    x = np.asarray(request.inputs["x"].data, dtype=np.float64)
    return Response(request.id, {"y": Tensor("y", "FP64", (request.n,), 1 / (1 + np.exp(-x)))})


def server(rng: np.random.Generator, degrade_above: int = 0, noise: float = 0.0, spoilt: float = 1.0) -> Handler:
    """Answers in a random order; a share `spoilt` of them is wrong above so many in flight, `noise` of them always."""
    in_flight = 0

    async def serve(request: Request) -> Response:
        nonlocal in_flight
        in_flight += 1
        await asyncio.sleep(float(rng.exponential(0.01)))
        bad = bool(degrade_above) and in_flight > degrade_above and rng.random() < spoilt
        in_flight -= 1
        right = await answer(request)
        return Response(request.id, {"y": Tensor("y", "FP64", (1,), [0.5])}) if bad or rng.random() < noise else right

    return serve


def accused(name: str, make: Callable[[np.random.Generator], Handler], runs: int) -> Measurement:
    """The share of runs in which the verdict is fail."""

    def one(seed: int) -> UnderLoad:
        rng = np.random.default_rng(seed)
        handler, sample = make(rng), rows(rng)
        return virtual_clock.run(lambda loop: under_load(handler, sample, SIGNATURE, Auc(), rng))

    return proportion(name, sum(one(seed).verdict.decision == "fail" for seed in range(runs)), runs)


def quality_under_load(runs: int) -> list[Measurement]:
    """Servers that degrade above 8 in flight, wholly and in one answer of twenty, and two that are innocent."""
    return [
        accused("degrading_server_caught", partial(server, degrade_above=MOST), runs),
        accused("slightly_degrading_server_caught", partial(server, degrade_above=MOST, spoilt=0.05), runs),
        accused("shuffling_server_accused", server, runs),
        accused("noisy_server_accused", partial(server, noise=0.05), runs),
    ]


def over_http() -> list[Measurement]:
    """The same over real sockets: the mock endpoint, degrading or only finishing in another order."""

    def one(name: str, script: Script) -> Measurement:
        async def ask() -> UnderLoad:
            async with Plain(mock.url) as handler:
                labels = np.arange(400) % 2.0
                sample = Sample({"x": np.arange(400.0)}, labels=labels)
                signature = Signature({"x": Field()}, {"probability": Field()})
                return await under_load(handler, sample, signature, Auc(), np.random.default_rng(0))

        with MockEndpoint(script, lambda row: 0.1 + 0.8 * (row["x"] % 2) + row["x"] * 1e-4) as mock:
            found = asyncio.run(ask())
        print(f"{name}: {found.verdict.because}", file=sys.stderr)
        return proportion(name, int(found.verdict.decision == "fail"), 1, where="http")

    law = Law(seconds=0.002)
    return [
        one("degrading_server_caught", Script(service=law, degrade_above=MOST)),
        one("shuffling_server_accused", Script(service=law, shuffle_seconds=0.01)),
    ]


def cold_start_error_ms() -> list[Measurement]:
    """By how much each stage of a program that sleeps a known time is measured too long."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "slow.py"
        file.write_text(SLOW)
        command = [sys.executable, "-m", "roadworthy.evaluate.process.cold_child", f"{file}:load", "--answers", "40"]
        stages = {stage.where: stage for stage in cold_start(command).stages}
    return [
        Measurement("cold_start_error_ms", stages[name].value - slept, stages[name].n, unit="ms", where=name)
        for name, slept in SLEEPS_MS.items()
    ]


def memory(kind: str, leaking: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Readings of a process that is noisy, breathes 20 MB at a pace, or fills a cache, and may leak besides."""
    at = np.arange(SECONDS * READINGS_A_SECOND) / READINGS_A_SECOND
    n, held = len(at), 200 * MB + leaking * at
    if kind.startswith("breath"):
        period = float(kind.split()[1])
        held = held + 20 * MB * ((at + rng.random() * period) % period) / period + rng.normal(0, 0.1 * MB, n)
    elif kind == "noise":
        held = held + rng.normal(0, 2 * MB, n)
    elif kind == "wandering":
        steps = rng.normal(0, MB, n)
        for k in range(1, n):
            steps[k] += 0.9 * steps[k - 1]
        held = held + steps
    else:
        held = held + 50 * MB * (1 - np.exp(-at / 20)) + rng.normal(0, 0.3 * MB, n)
    return at, np.round(held / 4096) * 4096


def leaks(runs: int) -> list[Measurement]:
    """How often somebody who looks every second ever says leak: of memory that is steady, or leaks 200 kB a second."""

    def ever(kind: str, leaking: float, seed: int) -> bool:
        at, held = memory(kind, leaking, np.random.default_rng(seed))
        ends = range(LOOK_SECONDS * READINGS_A_SECOND, len(at) + 1, LOOK_SECONDS * READINGS_A_SECOND)
        return any(leak(at[:end], held[:end], ALLOWED).decision == "fail" for end in ends)

    def share(name: str, leaking: float, kinds: Sequence[str]) -> list[Measurement]:
        return [proportion(name, sum(ever(k, leaking, s) for s in range(runs)), runs, where=k) for k in kinds]

    steady = share("steady_memory_accused", 0.0, ("noise", "wandering", "breath 1", "breath 7", "filling"))
    return steady + share("leak_found", 0.2 * MB, ("noise", "wandering", "breath 1"))


def main() -> None:
    """Measure everything, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40, help="simulated servers and memories of each kind")
    parser.add_argument("--data", type=Path, help="not needed here")
    runs = parser.parse_args().runs
    for one in (*quality_under_load(runs), *over_http(), *cold_start_error_ms(), *leaks(runs)):
        print(one)


if __name__ == "__main__":
    main()
