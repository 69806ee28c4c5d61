"""CPU per request of the HTTP core: a constant answer, and a 16-column Open Inference call with a trivial engine.

The server is a process of its own and reports its CPU time; the client keeps 64 requests in flight on one connection
(pipelined), or on 64 connections. Wall-clock rates depend on what else runs; CPU per request hardly does.
Last line: a JSON list of Measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import time
from multiprocessing.connection import Connection as Pipe

import msgspec
import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.exchange import JSON, Call, Reply, json_reply
from roadworthy.app.http import Server
from roadworthy.app.openinference import OpenInference
from roadworthy.app.routes import Routes
from roadworthy.app.server import quiet_collector
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor

COLUMNS = [f"column_{i}" for i in range(16)]


class Trivial:
    """A deployment that answers 0.5 at the next turn of the loop, as a batcher with an engine of no cost would."""

    name = "trivial"
    signature = Signature({name: Field() for name in COLUMNS}, {"probability": Field()})
    versions = ("0" * 64,)
    ready = True

    def version(self, release: str) -> Handler:
        return self

    async def __call__(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        outputs = {"probability": Tensor("probability", "FP32", (1,), [0.5])}
        return Response(request.id, outputs, release="0" * 64, confidence=[0.5])


def serve(pipe: Pipe) -> None:
    async def constant(call: Call) -> Reply:
        return Reply(200, b'{"ok":true}', JSON)

    async def cpu(call: Call) -> Reply:
        return json_reply(time.process_time())

    async def main() -> None:
        routes = Routes()
        routes.add("GET", "/constant", constant)
        routes.add("GET", "/cpu", cpu)
        OpenInference(Trivial(), Edge(Trivial.signature)).add_to(routes)
        quiet_collector()
        pipe.send(await Server(routes).listen("127.0.0.1", 0))
        await asyncio.Event().wait()

    uvloop.run(main())


def infer_request() -> bytes:
    inputs = [{"name": name, "datatype": "FP32", "shape": [1], "data": [i * 1.5]} for i, name in enumerate(COLUMNS)]
    body = json.dumps({"id": "flight-000001", "inputs": inputs, "parameters": {"key": "N123"}}).encode()
    return b"POST /v2/models/trivial/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def cpu_seconds(port: int) -> float:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /cpu HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    return float(answer.partition(b"\r\n\r\n")[2])


def microseconds(port: int, request: bytes, connections: int, depth: int, requests: int) -> float:
    """CPU of the server per request, `connections * depth` in flight."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    rounds = requests // (connections * depth)
    before = cpu_seconds(port)
    for _ in range(rounds):
        for client in clients:
            client.sendall(request * depth)
        for client in clients:
            owed = depth
            while owed:
                owed -= client.recv(1 << 18).count(b"HTTP/1.1 200")
    spent = cpu_seconds(port) - before
    for client in clients:
        client.close()
    return spent / (rounds * connections * depth) * 1e6


def measured(name: str, values: list[float]) -> Measurement:
    return Measurement(name, statistics.median(values), len(values), min(values), max(values), "us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", help="not needed here")
    chosen = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    constant = b"GET /constant HTTP/1.1\r\nHost: x\r\n\r\n"
    cases = {"constant": constant, "infer_16": infer_request()}
    shapes = {"pipelined_64": (1, 64), "connections_64": (64, 1), "alone": (1, 1)}
    found: dict[str, Measurement] = {}
    for case, request in cases.items():
        for shape, (connections, depth) in shapes.items():
            values = [
                microseconds(port, request, connections, depth, chosen.requests if shape != "alone" else 2000)
                for _ in range(chosen.rounds)
            ]
            found[f"{case}_{shape}"] = measured(f"http_cpu_{case}_{shape}", values)
    server.terminate()
    infer, constant_one = found["infer_16_pipelined_64"], found["constant_pipelined_64"]
    found["infer_to_constant"] = Measurement(
        "http_infer_to_constant",
        infer.value / constant_one.value,
        chosen.rounds,
        infer.low / constant_one.high,
        infer.high / constant_one.low,
    )
    print(f"{'CPU us/request (the last: a ratio)':<36}{'median':>8}{'low':>8}{'high':>8}")
    for name, one in found.items():
        print(f"{name:<36}{one.value:>8.2f}{one.low:>8.2f}{one.high:>8.2f}")
    print(msgspec.json.encode(list(found.values())).decode())


if __name__ == "__main__":
    main()
