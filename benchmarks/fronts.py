"""One process against two fronts before one model process: CPU per request of all together, and requests a second.

The same 16-column Open Inference call and engine of no cost as in `http_core.py`, which is the case that fronts are
for: all the work is HTTP and JSON. The client takes a core of its own, so on two cores fronts cannot show more than
what is left. Last line: a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import msgspec
import uvloop

from http_core import Trivial, infer_request, measured
from roadworthy.app.edge import Edge
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.app.openinference import OpenInference
from roadworthy.app.routes import Routes
from roadworthy.app.server import quiet_collector
from roadworthy.core.measure import Measurement

TICKS = os.sysconf("SC_CLK_TCK")


def serve(pipe: Pipe, fronts: int) -> None:
    """A server with so many fronts, 0 being one process that does all."""

    async def main() -> None:
        routes = Routes()
        OpenInference(Trivial(), Edge(Trivial.signature)).add_to(routes)
        quiet_collector()
        server = Fronts(Trivial(), routes, fronts) if fronts else Server(routes)
        port = await server.listen("127.0.0.1", 0)
        pipe.send((port, [os.getpid(), *(server.pids if isinstance(server, Fronts) else [])]))
        await asyncio.to_thread(pipe.recv)
        await server.close(1.0)

    uvloop.run(main())


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of some processes."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def load(port: int, connections: int, depth: int, seconds: float) -> tuple[int, float]:
    """Requests answered, and how long that took; each connection always has `depth` in flight or on their way."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    burst, answered = infer_request() * depth, 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for client in clients:
            client.sendall(burst)
        for client in clients:
            owed = depth
            while owed:
                owed -= client.recv(1 << 18).count(b"HTTP/1.1 200")
        answered += connections * depth
    spent = time.perf_counter() - started
    for client in clients:
        client.close()
    return answered, spent


def round_of(fronts: int, connections: int, depth: int, seconds: float) -> tuple[float, float]:
    """CPU microseconds a request, and requests a second."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs, fronts))
    server.start()
    port, pids = ours.recv()
    load(port, connections, depth, seconds / 4)
    before = cpu_seconds(pids)
    answered, spent = load(port, connections, depth, seconds)
    cpu = cpu_seconds(pids) - before
    ours.send(None)
    server.join()
    return cpu / answered * 1e6, answered / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", help="not needed here")
    chosen = parser.parse_args()
    found: list[Measurement] = []
    shapes = {"connections_64": (64, 1), "pipelined_16x16": (16, 16)}
    print(f"{'':<34}{'CPU us/request':>16}{'requests/s':>12}")
    for shape, (connections, depth) in shapes.items():
        runs: dict[int, list[tuple[float, float]]] = {0: [], 2: []}
        for _ in range(chosen.rounds):
            for fronts, values in runs.items():
                values.append(round_of(fronts, connections, depth, chosen.seconds))
        for fronts, values in runs.items():
            name = f"fronts_{fronts}_{shape}" if fronts else f"one_process_{shape}"
            cpu, rate = ([value[i] for value in values] for i in (0, 1))
            found.append(measured(f"{name}_cpu", cpu))
            found.append(Measurement(f"{name}_rps", statistics.median(rate), len(rate), min(rate), max(rate), "1/s"))
            print(f"{name:<34}{statistics.median(cpu):>16.1f}{statistics.median(rate):>12.0f}")
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
