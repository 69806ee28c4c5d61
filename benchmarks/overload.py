"""How much useful work is left when more is asked than a model can do: answers in time, as a share of its capacity.

Twice: in a simulation on a virtual clock over many seeds, and over HTTP, where a client in another process sends at the
times of an open-loop schedule (Poisson) and measures from those times. The model sleeps as long as a line of its rows
says, times lognormal noise. Every caller allows 200 ms; a fifth asks with priority 1, a fifth with priority 3. The
baseline is the same batcher with an unbounded queue that knows no deadlines.
Last line: a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import multiprocessing
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray

from roadworthy.app.exchange import Call, Reply
from roadworthy.app.http import Server
from roadworthy.app.routes import Routes
from roadworthy.app.server import quiet_collector
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Priority, Request
from roadworthy.serve.batch import Batch
from roadworthy.testing.overload import INPUTS, SIGNATURE, Offered, Outcome, Service, simulate

LOADS = (1.0, 2.0, 5.0)
SIMULATED = Service()
# Slow enough that the client, which shares the machine, can keep to its schedule at five times the capacity.
SLEEPING = Service(fixed=0.016, per_row=0.002, most_rows=8)
ALLOWED = 0.2
LINKS = 1000
DRAIN_SECONDS = 1.0
# A run in which the client was later than this (99th percentile) says more of the machine than of the server.
MOST_LAG, ATTEMPTS = 0.02, 3

T = TypeVar("T")


class Asleep:
    """An engine that takes its time without using a processor, and lets go of the interpreter lock meanwhile."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        time.sleep(SLEEPING.seconds(len(columns["x"]), self.rng))
        return {"y": columns["x"]}


def serve(pipe: Pipe, fifo: bool) -> None:
    """A server whose callers write their priority and the milliseconds that they allow into the body."""

    async def main() -> None:
        batch = Batch(Asleep(0), SIGNATURE, most_rows=SLEEPING.most_rows, queue=10**9 if fifo else 4096)
        batch.warm_up()

        async def answer(call: Call) -> Reply:
            asked, allowed = call.body.split()
            deadline = None if fifo else time.monotonic() + int(allowed) / 1e3
            priority = 2 if fifo else cast(Priority, int(asked))
            await batch(Request("r", INPUTS, 0.0, deadline=deadline, priority=priority))
            return Reply(200, b"{}")

        routes = Routes()
        routes.add("POST", "/ask", answer)
        quiet_collector()
        pipe.send(await Server(routes).listen("127.0.0.1", 0))
        await asyncio.Event().wait()

    uvloop.run(main())


class Link(asyncio.Protocol):
    """A connection that pipelines: answers come in the order of the requests; `told` gets the status of each."""

    def __init__(self) -> None:
        self.told: deque[Callable[[int], object]] = deque()
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, priority: int, allowed: float, told: Callable[[int], object]) -> None:
        body = b"%d %d" % (priority, allowed * 1e3)
        self.told.append(told)
        self.transport.write(b"POST /ask HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(self.rest) < end + 4 + length:
                return
            self.rest = self.rest[end + 4 + length :]
            self.told.popleft()(int(head[9:12]))


@dataclass
class Client:
    """Sends over `LINKS` connections, each request over the one that has been idle longest."""

    outcome: Outcome
    links: list[Link] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    free: deque[Link] = field(default_factory=deque)

    async def connect(self, port: int, links: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(links):
            _, link = await loop.create_connection(Link, "127.0.0.1", port)
            self.links.append(link)
        self.free.extend(self.links)

    async def open_loop(self, rate: float, seconds: float, shares: Sequence[float], seed: int) -> None:
        """Send on schedule, whatever comes back; whoever was not answered when the drain is over counts as never."""
        rng = np.random.default_rng(seed)
        due = np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))
        priorities = rng.choice((1, 2, 3), len(due), p=shares).tolist()
        began, sent = time.monotonic(), 0
        while sent < len(due):
            passed = time.monotonic() - began
            while sent < len(due) and due[sent] <= passed:
                self._send(began + float(due[sent]), priorities[sent])
                sent += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(self.outcome.allowed + DRAIN_SECONDS)
        self.outcome.latencies.extend(math.inf for link in self.links for _ in link.told)

    def _send(self, due: float, priority: int) -> None:
        self.outcome.offered[priority] += 1
        self.lags.append(time.monotonic() - due)
        link = self.free.popleft() if self.free else min(self.links, key=lambda each: len(each.told))
        left = max(0.0, due + self.outcome.allowed - time.monotonic())
        link.ask(priority, left, lambda status: self._told(link, due, priority, status))

    def _told(self, link: Link, due: float, priority: int, status: int) -> None:
        if not link.told:
            self.free.append(link)
        if status != 200:
            self.outcome.refused[str(status)] += 1
            return
        seconds = time.monotonic() - due
        self.outcome.latencies.append(seconds)
        self.outcome.good[priority] += seconds <= self.outcome.allowed


async def closed_loop(port: int, clients: int, seconds: float) -> float:
    """Answers a second when `clients` ask again as soon as they are answered: the capacity that is really there."""
    client = Client(Outcome(0.0, seconds, ALLOWED))
    await client.connect(port, clients)
    answered, ends = Counter[int](), time.monotonic() + seconds

    def again(link: Link, status: int) -> None:
        answered[status] += 1
        if time.monotonic() < ends:
            link.ask(2, 30.0, lambda status: again(link, status))

    for link in client.links:
        link.ask(2, 30.0, lambda status, link=link: again(link, status))
    await asyncio.sleep(seconds)
    return answered[200] / seconds


def over_http(load: float, seconds: float, seed: int, capacity: float, fifo: bool = False) -> Outcome:
    """One open-loop run against a fresh server; again where the client itself could not keep to its schedule."""
    for attempt in range(1, ATTEMPTS + 1):
        client = Client(Outcome(capacity, seconds, ALLOWED))

        async def main(port: int, client: Client = client) -> None:
            await client.connect(port, LINKS)
            await client.open_loop(load * capacity, seconds, Offered(load).shares, seed)

        _with_server(fifo, main)
        lag = float(np.quantile(client.lags, 0.99))
        if lag < MOST_LAG:
            break
        print(f"   (attempt {attempt} of {ATTEMPTS}: the client was {lag * 1e3:.0f} ms late at its 99th percentile)")
    return client.outcome


def measured_capacity(seconds: float) -> float:
    return _with_server(False, lambda port: closed_loop(port, 4 * SLEEPING.most_rows, seconds))


def _with_server(fifo: bool, main: Callable[[int], Coroutine[Any, Any, T]]) -> T:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, fifo), daemon=True)
    server.start()
    try:
        return uvloop.run(main(ours.recv()))
    finally:
        server.kill()
        server.join()


def simulated(task: tuple[int, float, bool]) -> Outcome:
    seed, load, fifo = task
    return simulate(seed, Offered(load, allowed=ALLOWED, fifo=fifo), SIMULATED)


def measured(name: str, values: Sequence[float], unit: str = "1") -> Measurement:
    """The mean over the runs; the interval is their range."""
    conditions = {"interval": "range"}
    return Measurement(name, float(np.mean(values)), len(values), min(values), max(values), unit, conditions=conditions)


def report(label: str, outcomes: Sequence[Outcome]) -> list[Measurement]:
    """A line of the table, and the measurements of it. An infinite p99 is written as 9,999 ms: JSON knows none."""
    good = measured(f"goodput_{label}", [outcome.goodput for outcome in outcomes])
    p99 = measured(f"p99_ms_{label}", [min(9999.0, outcome.p(0.99) * 1e3) for outcome in outcomes], "ms")
    p50 = float(np.mean([outcome.p(0.5) for outcome in outcomes])) * 1e3
    by = [
        sum(outcome.good[k] for outcome in outcomes) / max(1, sum(outcome.offered[k] for outcome in outcomes))
        for k in (1, 2, 3)
    ]
    refused = sum((outcome.refused for outcome in outcomes), Counter[str]())
    offered = sum(outcome.offered.total() for outcome in outcomes)
    told = ", ".join(f"{name} {count / offered:.0%}" for name, count in sorted(refused.items())) or "nobody"
    shares = " / ".join(f"{share:.2f}" for share in by)
    print(
        f"{label:>16} {len(outcomes):>5} {good.value:>8.3f} {good.low:>7.3f} {p50:>8.0f} {p99.value:>8.0f}"
        f" {p99.high:>8.0f}   {shares:<20} {told}"
    )
    return [good, p99]


def heading(text: str) -> None:
    print(f"\n{text}")
    print(
        f"{'':>16} {'runs':>5} {'goodput':>8} {'worst':>7} {'p50 ms':>8} {'p99 ms':>8} {'worst':>8}"
        f"   {'answered by priority':<20} refused"
    )


def refusal_us() -> Measurement:
    """What it takes to turn one request away from a full queue, in microseconds of this process."""

    async def main() -> list[float]:
        batch = Batch(Asleep(0), SIGNATURE, most_rows=SLEEPING.most_rows, queue=8)
        request, kept = Request("r", INPUTS, 0.0, deadline=time.monotonic() + 60), []
        for _ in range(8):
            kept.append(batch(request))
        rounds = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(1000):
                with contextlib.suppress(RoadworthyError):
                    batch(request)
            rounds.append((time.process_time() - began) * 1e3)
        await batch.close()
        await asyncio.gather(*kept, return_exceptions=True)
        return rounds

    return measured("refusal_us", asyncio.run(main()), "us")


def main() -> None:
    """Print both tables, and all measurements as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--data", help="not needed here")
    chosen = parser.parse_args()
    found = [refusal_us()]
    print(f"a refusal costs {found[0].value:.1f} us")

    heading(f"simulated, seeds 0 to {chosen.seeds - 1}, capacity {SIMULATED.capacity:.0f} rows a second")
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for load in LOADS:
            outcomes = pool.map(simulated, [(seed, load, False) for seed in range(chosen.seeds)], chunksize=10)
            found += report(f"simulated_{load:g}x", outcomes)
        for load in (1.0, 2.0):
            outcomes = pool.map(simulated, [(seed, load, True) for seed in range(min(50, chosen.seeds))], chunksize=5)
            found += report(f"simulated_fifo_{load:g}x", outcomes)

    capacity = float(np.median([measured_capacity(chosen.seconds / 2) for _ in range(3)]))
    found.append(Measurement("capacity", capacity, 3, unit="1/s"))
    heading(f"over HTTP, open loop, measured capacity {capacity:.0f} a second")
    for load in LOADS:
        found += report(f"{load:g}x", [over_http(load, chosen.seconds, n, capacity) for n in range(chosen.rounds)])
    for load in (1.0, 2.0):
        found += report(f"fifo_{load:g}x", [over_http(load, chosen.seconds, 0, capacity, fifo=True)])
    print()
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
