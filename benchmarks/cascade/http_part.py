"""A cascade over HTTP: a distilled linear model before a kernel machine, on BANKING77, beside the large one alone.

Two real servers are asked in turn about each row, one request at a time. The threshold is fitted on rows of the
training split that neither model saw; what is reported is the test split, looked at once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import intents
import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.app.client import Remote
from roadworthy.cli.flows import release_model
from roadworthy.cli.services import Server
from roadworthy.core.measure import Measurement, Requirement, judge
from roadworthy.core.project import read_project
from roadworthy.core.stats import mean, z_of
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.route.answering.cap import Cap
from roadworthy.route.answering.levels import Level
from roadworthy.route.cascades.confident import Cheap, fit_confident
from roadworthy.route.cascades.fits import CascadeFit, Target
from roadworthy.route.policies.cascade import Cascade
from roadworthy.store.state import State

SEED, FIT_ROWS, MOST_ASKED = 0, 8000, 3080
TARGET = Target(agreement=0.99, delta=0.1)
WARM_ROWS = 20
# The kernel counts a process's time in hundredths of a second: it is read once in so many rows.
BLOCK = 100
BOUNDS = (
    Requirement("http_latency_cut", at_least=0.6),
    Requirement("http_cost_cut", at_least=0.6),
    Requirement("http_accuracy_difference", at_least=-0.005),
    Requirement("cascade_decision_us", at_most=30.0, unit="us"),
)
# What a second of one core costs, to give the members a price; ratios do not depend on it.
USD_PER_CORE_SECOND = 0.05 / 3600

PROJECT = """application:
  name: intents
  task: multiclass
  output: scores
  classes: {classes}
  inputs:
    text: {{kind: text}}
data: {{columns: {{label: category}}, lab: test.csv, production: test.csv}}
model:
{model}
serving: {{port: 0, durability: process}}
"""
ALONE = "  file: large.npz\n  engine: intents.py:Large\n"
CASCADE = """  policy: {{cascade: {{classes: {classes}}}}}
  policy_file: fit.json
  members:
    small: {{file: small.npz, engine: "intents.py:Small", usd_per_1k: {small}}}
    large: {{file: large.npz, engine: "intents.py:Large", usd_per_1k: {large}}}
"""


@dataclass
class Side:
    """One server, and what it answered."""

    name: str
    server: Server
    url: str
    seconds: list[float] = field(default_factory=list)
    predicted: list[int] = field(default_factory=list)
    usd: list[float] = field(default_factory=list)
    ways: list[int] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)

    def add(self, response: Response, seconds: float) -> None:
        """One answered row."""
        assert isinstance(response.outputs, dict)
        self.seconds.append(seconds)
        self.predicted.append(int(np.argmax(response.outputs["scores"].data)))
        self.usd.append(response.usd or 0.0)
        self.ways.append(len(response.path))

    def core(self) -> float:
        """Processor seconds that the server has used."""
        assert self.server.process is not None
        told = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def measure(data: Path) -> list[Measurement]:
    """Train, fit, serve both and compare them, row by row. `data` holds `text/banking77`."""
    texts, names = intents.read(data / "text" / "banking77" / "train.csv")
    asked, truth = intents.read(data / "text" / "banking77" / "test.csv")
    classes = sorted(set(names))
    number = {name: k for k, name in enumerate(classes)}
    order = np.random.default_rng(SEED).permutation(len(texts))
    with TemporaryDirectory(prefix="roadworthy-") as scratch:
        folder = Path(scratch)
        fit, held = order[:FIT_ROWS], order[FIT_ROWS:]
        intents.train([texts[k] for k in fit], np.array([number[names[k]] for k in fit]), len(classes), folder)
        found, prices = fitted(folder, [texts[k] for k in held])
        sides = [served(folder, "large", classes, found, prices), served(folder, "cascade", classes, found, prices)]
        try:
            rows = asked[:MOST_ASKED]
            asyncio.run(talk(sides, rows))
        finally:
            for side in sides:
                side.server.stop()
    return [*compared(sides, np.array([number[name] for name in truth[: len(rows)]]), found, prices), *deciding(sides)]


def fitted(folder: Path, texts: Sequence[str]) -> tuple[CascadeFit, tuple[float, float]]:
    """The threshold on rows that neither model saw, and the processor seconds a row of each takes alone."""
    column = {"text": np.array(texts, dtype=object)[:, None]}
    small, large = intents.Small(folder / "small.npz"), intents.Large(folder / "large.npz")
    cheap, last = small(column), large(column)["scores"].argmax(axis=1)
    rows = Cheap(cheap["scores"].argmax(axis=1), cheap["confidence"].astype(np.float64), "small")
    found = fit_confident(last, [rows], TARGET, np.random.default_rng(SEED))

    def alone(model: intents.Small | intents.Large) -> float:
        begin = time.process_time()
        for text in texts[:WARM_ROWS]:
            model({"text": np.array([[text]], dtype=object)})
        return (time.process_time() - begin) / WARM_ROWS

    return found, (alone(small), alone(large))


def served(folder: Path, name: str, classes: Sequence[str], found: CascadeFit, prices: tuple[float, float]) -> Side:
    """A server of the large model alone, or of the cascade, as any project is released and served."""
    root = folder / name
    root.mkdir()
    for file in ("large.npz", "small.npz"):
        os.link(folder / file, root / file)
    shutil.copy(intents.__file__, root / "intents.py")
    (root / "test.csv").write_text("text,category\n")
    (root / "fit.json").write_bytes(msgspec.json.encode(found))
    named = msgspec.json.encode(classes).decode()
    small, large = (f"{1000 * seconds * USD_PER_CORE_SECOND:.9f}" for seconds in prices)
    model = CASCADE.format(classes=named, small=small, large=large) if name == "cascade" else ALONE
    (root / "roadworthy.yaml").write_text(PROJECT.format(classes=named, model=model))
    spec = read_project(root)
    with State.open(spec.state, "process") as state:
        release_model(spec, Registry(state), 0.0, "benchmark", "to be measured")
    server = Server(spec)
    return Side(name, server, server.start().url)


async def talk(sides: Sequence[Side], texts: Sequence[str]) -> None:
    """Each row is asked of each server in turn, and of the other one first the next time."""
    remotes = [Remote(side.url, "intents", connections=1) for side in sides]
    for remote in remotes:
        for k in range(WARM_ROWS):
            await remote(request(f"warm-{k}", texts[k]))
    marks = [[side.core()] for side in sides]
    for k, text in enumerate(texts):
        for side, remote in list(zip(sides, remotes, strict=True))[:: 1 if k % 2 else -1]:
            begin = time.perf_counter()
            response = await remote(request(f"row-{k}", text))
            side.add(response, time.perf_counter() - begin)
        if (k + 1) % BLOCK == 0 or k + 1 == len(texts):
            for side, read in zip(sides, marks, strict=True):
                read.append(side.core())
    for side, read, remote in zip(sides, marks, remotes, strict=True):
        side.blocks = np.diff(read).tolist()
        remote.close()


def request(id: str, text: str) -> Request:
    """One row."""
    return Request(id, {"text": Tensor("text", "BYTES", (1,), [text])}, time.time())


def compared(
    sides: Sequence[Side], truth: NDArray[np.int64], found: CascadeFit, prices: tuple[float, float]
) -> list[Measurement]:
    """What the cascade saves, what it loses, and a table of both."""
    large, cascade = sides
    n = len(truth)
    right = [np.array(side.predicted) == truth for side in sides]
    difference = right[1].astype(float) - right[0].astype(float)
    sent = mean("http_delegation", np.array(cascade.ways) > 1)
    priced = 1 - sum(cascade.usd) / (n * prices[1] * USD_PER_CORE_SECOND)
    told = [
        cut("http_latency_cut", cascade.seconds, large.seconds),
        cut("http_cost_cut", cascade.blocks, large.blocks),
        Measurement("http_price_cut", priced, n),
        mean("http_accuracy_difference", difference),
        mean("http_accuracy_large", right[0]),
        mean("http_accuracy_cascade", right[1]),
        sent,
    ]
    print(f"\nBANKING77 over HTTP, {n:,} test rows, each asked of both servers in turn; {found.certificate}")
    for side, hits in zip(sides, right, strict=True):
        ms = 1000 * np.array(side.seconds)
        cpu = 1000 * sum(side.blocks) / n
        print(f"  {side.name:8} {ms.mean():7.2f} ms mean  {np.median(ms):7.2f} ms median  {cpu:7.2f} ms of CPU  "
              f"accuracy {hits.mean():.4f}")  # fmt: skip
    for one in told:
        print(f"  {one}")
    for bound in BOUNDS[:3]:
        verdict = judge(next(one for one in told if one.name == bound.metric), bound)
        print(f"  {verdict.decision}: {verdict.because}")
    return told


def deciding(sides: Sequence[Side]) -> list[Measurement]:
    """What the cascade itself takes for one row of 77 scores that is sent on, its models answering at once.

    The models' own time is measured in the same rounds and taken away.
    """
    scores = np.random.default_rng(SEED).random(77).tolist()

    async def model(asked: Request) -> Response:
        return Response(asked.id, {"scores": Tensor("scores", "FP32", (1, 77), scores)}, confidence=[0.5])

    levels = (Level("small", least=0.9), Level("large"))
    climb = Cascade(levels, audit=0.01, cap=Cap(0.9), usd_per_1k={"small": 1.0, "large": 9.0})
    handler, asked = climb({"small": model, "large": model}), request("r", "")

    async def rounds() -> list[float]:
        found = []
        for _ in range(50):
            marks = [time.process_time()]
            for one, times in ((handler, 1), (model, 2)):
                for _ in range(200 * times):
                    await one(asked)
                marks.append(time.process_time())
            found.append(1e6 * (2 * marks[1] - marks[0] - marks[2]) / 200)
        return found

    us = mean("cascade_decision_us", asyncio.run(rounds()), unit="us")
    share = us.value * 1e-6 / float(np.mean(sides[1].seconds))
    print(f"  {us}, a share of {share:.5f} of the mean request")
    return [us, Measurement("cascade_decision_share", share, len(sides[1].seconds))]


def cut(name: str, less: Sequence[float], more: Sequence[float]) -> Measurement:
    """1 - mean / mean of pairs, with the interval of the ratio (delta method, Fieller 1954 for few rows)."""
    one, other = np.array(less), np.array(more)
    ratio = float(one.mean() / other.mean())
    half = z_of(0.95) * float((one - ratio * other).std(ddof=1)) / float(other.mean()) / len(one) ** 0.5
    return Measurement(name, 1 - ratio, len(one), 1 - ratio - half, 1 - ratio + half)
