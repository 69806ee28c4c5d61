"""Fronts are processes: what they answer equals what one process answers, and only they themselves can be lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import uvloop

from roadworthy.app.exchange import EVENTS, Call, Reply
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.app.keys import KeyFile
from roadworthy.app.limits import Limits
from roadworthy.core.errors import BadRequest, Late, RoadworthyError, TooMany
from roadworthy.core.wire import Response, Tensor

INFER = "/v2/models/mean/infer"
INPUTS = [
    {"name": "a", "datatype": "FP64", "shape": [2], "data": [1.5, 10**30]},
    {"name": "b", "datatype": "FP64", "shape": [2], "data": [None, 3]},
    {"name": "kind", "datatype": "BYTES", "shape": [2], "data": ["é", ""]},
]
PLAIN = {"rows": [{"a": 1, "b": 2, "kind": "x"}]}


def post(path: str, body: object, *headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{more}content-length: {len(raw)}\r\n\r\n".encode() + raw


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()


def bare(answer: bytes) -> bytes:
    """Without its date and whether it was the last."""
    return re.sub(rb"date: [^\r]*\r\n|connection: close\r\n", b"", answer)


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 what is waited for is in another process
            await asyncio.sleep(0.01)


@pytest.fixture
def asking(mean):
    """A deployment that does what the key of a request says."""

    class Asking(mean):
        def __init__(self) -> None:
            super().__init__()
            self.gone: list[str] = []
            self.made = 0

        async def __call__(self, request):
            if request.key == "late":
                raise Late("past the deadline", 3.0)
            if request.key == "many":
                raise TooMany("too many of yours", 9.0)
            if request.key == "timeout":
                raise TimeoutError("slept in")
            if request.key == "defect":
                raise ValueError("secret detail")
            if request.key == "wait":
                self.gone.append("begun")
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    self.gone.append("cancelled")
                    raise
            if request.key == "odd":
                return Response(request.id, {}, parameters={"odd": object()})
            if request.key == "array":
                data = np.arange(4, dtype=np.float32).reshape(2, 2)
                return Response(request.id, {"probability": Tensor("probability", "FP32", (2, 2), data)})
            if request.key.startswith("stream"):
                return Response(request.id, self._pieces(int(request.key[6:] or 3)), release="r")
            return await super().__call__(request)

        async def _pieces(self, n):
            try:
                for i in range(n):
                    await asyncio.sleep(0)
                    self.made += 1
                    yield Tensor("text", "BYTES", (1,), [f"{i}" + "." * (10_000 if n == 20_000 else 0)])
                if n == 13:
                    raise BadRequest("thirteen")
            finally:
                self.gone.append("closed")

    return Asking()


@pytest.fixture
def routes(asking, routes_of):
    """The routes of one process, and one more that streams."""

    async def drip(call: Call) -> Reply:
        async def pieces():
            for i in range(int(call.query)):
                yield b"%d\n" % i

        return Reply(200, content_type=EVENTS, stream=pieces())

    table = routes_of(asking)
    table.add("GET", "/drip", drip)
    return table


@pytest.fixture
def fronting(asking, routes, tmp_path):
    """`fronting(talk, n)`: what `talk(fronts, port)` returns while n fronts stand before the deployment."""

    def served(talk, n: int = 1, state=None, limits=None):
        async def main():
            fronts = Fronts(asking, routes, n, limits, state=state)
            port = await fronts.listen("127.0.0.1", 0)
            try:
                return await asyncio.wait_for(talk(fronts, port), 30)
            finally:
                await fronts.close(5.0)
                assert fronts.pids == []

        return uvloop.run(main())

    return served


def test_answers_and_errors_equal_those_of_one_process(fronting, routes, ask, caplog):
    keys = ("", "late", "many", "timeout", "defect", "array", "stream", "stream13", "stream500")
    asked = [post(INFER, {"id": f"r{i}", "inputs": INPUTS, "parameters": {"key": k}}) for i, k in enumerate(keys)]
    asked += [
        post(INFER, {"id": "big", "inputs": INPUTS, "parameters": {"more": [10**400, -(10**400), 2**64]}}),
        post(INFER, {"inputs": []}),
        post(INFER, b"[" * 100_000),
        post("/predict", {**PLAIN, "id": "p"}),
        post("/predict", {"rows": 5}),
        post("/v2/models/mean/versions/abababab/infer", {"id": "v", "inputs": INPUTS}),
        post("/v2/models/mean/versions/cdcdcdcd/infer", {"id": "v", "inputs": INPUTS}),
        post("/v2/health/ready", b""),
        *(get(path) for path in ("/v2", "/v2/health/ready", "/v2/models/mean", "/nowhere", "/drip?0", "/drip?300")),
        *(get(path, method) for path in ("/predict", "/v2") for method in ("HEAD", "OPTIONS", "DELETE")),
        get("*", "OPTIONS"),
    ]
    closing = b"connection: close\r\n\r\n"
    asked = [raw.replace(b"\r\n\r\n", b"\r\n" + closing, 1) for raw in asked]

    async def alone() -> list[bytes]:
        server = Server(routes)
        port = await server.listen("127.0.0.1", 0)
        answers = [await ask(port, raw) for raw in asked]
        await server.close(1.0)
        return answers

    async def fronted(fronts, port):
        return [await ask(port, raw) for raw in asked]

    expected, found = asyncio.run(alone()), fronting(fronted)
    # Whole numbers beyond 64 bits go to the model as floats, which is what they become there.
    for raw, one, other in zip(asked, expected, found, strict=True):
        assert bare(other) == bare(one), raw
    assert [answer[9:12] for answer in found[:5]] == [b"200", b"504", b"429", b"504", b"500"]
    assert caplog.text.count("ValueError: secret detail") == 2
    assert not any(b"secret" in answer for answer in found)


def test_an_answer_that_cannot_travel_harms_no_other(fronting, ask):
    def body(key):
        return post(INFER, {"id": "r", "inputs": INPUTS, "parameters": {"key": key}}, "connection: close")

    async def talk(fronts, port):
        return await asyncio.gather(ask(port, body("odd")), ask(port, body("")))

    odd, fine = fronting(talk)
    assert odd.startswith(b"HTTP/1.1 500")
    assert b"the answer cannot be sent" in odd
    assert fine.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("key", "fate"), [("wait", "cancelled"), ("stream1000000", "closed")])
def test_whoever_goes_away_cancels_the_work_in_the_other_process(fronting, asking, key, fate):
    async def talk(fronts, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(INFER, {"id": "r", "inputs": INPUTS, "parameters": {"key": key}}))
        if key == "wait":
            await until(lambda: asking.gone)
        else:
            await reader.readuntil(b"data:")
        writer.close()
        await until(lambda: fate in asking.gone)

    fronting(talk)


def test_a_slow_reader_holds_the_stream_and_nobody_else(fronting, asking, ask):
    async def stable() -> int:
        """How far the stream came when it came no further."""
        before = -1
        while before != asking.made:
            before = asking.made
            await asyncio.sleep(0.2)
        return before

    async def talk(fronts, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(post(INFER, {"id": "r", "inputs": INPUTS, "parameters": {"key": "stream20000"}}))
        await reader.readuntil(b"event:")
        made = await stable()
        quick = post(INFER, {"id": "q", "inputs": INPUTS}, "connection: close")
        answers = [await ask(port, quick) for _ in range(20)]
        writer.close()
        await until(lambda: "closed" in asking.gone)
        return made, answers

    made, answers = fronting(talk)
    assert 32 <= made < 10_000
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_a_front_that_is_killed_is_started_again_and_the_other_serves_on(fronting, ask):
    quick = post(INFER, {"id": "q", "inputs": INPUTS}, "connection: close")

    async def talk(fronts, port):
        before = set(fronts.pids)
        killed = before.pop()
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in fronts.pids)
        answers = [await ask(port, quick) for _ in range(20)]
        await until(lambda: len(fronts.pids) == 2)
        await until(lambda: all(place.desk.ready.done() for place in fronts._places))
        return answers, before <= set(fronts.pids)

    answers, kept = fronting(talk, 2)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert kept


def test_closing_answers_what_has_arrived(fronting, asking):
    async def talk(fronts, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(INFER, {"id": "r", "inputs": INPUTS, "parameters": {"key": "stream200"}}))
        await reader.readuntil(b"data:")
        await fronts.close(10.0)
        rest = await reader.read()
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        return rest

    assert fronting(talk).endswith(b"0\r\n\r\n")


def test_keys_are_asked_for_in_the_fronts(fronting, ask, tmp_path):
    key = KeyFile(tmp_path).new("ada")

    async def talk(fronts, port):
        body = {"id": "r", "inputs": INPUTS}
        without = await ask(port, post(INFER, body, "connection: close"))
        with_key = await ask(port, post(INFER, body, f"x-api-key: {key}", "connection: close"))
        return (
            without,
            with_key,
            await ask(port, get("/v2/health/live").replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")),
        )

    without, with_key, health = fronting(talk, state=tmp_path)
    assert without.startswith(b"HTTP/1.1 401")
    assert with_key.startswith(b"HTTP/1.1 200")
    assert health.startswith(b"HTTP/1.1 200")
    assert KeyFile(tmp_path).read()[0].used > 0


def test_what_keeps_a_front_from_listening_is_raised(asking, routes, tmp_path):
    async def main(**more) -> None:
        fronts = Fronts(asking, routes, 2, **more)
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
            await fronts.listen("127.0.0.1", taken.getsockname()[1])
        fronts = Fronts(asking, routes, 2, tls=(tmp_path / "no.pem", tmp_path / "no.key"))
        with pytest.raises(RoadworthyError, match="cannot read the private key"):
            await fronts.listen("127.0.0.1", 0)
        assert fronts.pids == []

    uvloop.run(main())


PROGRAM = """
import asyncio, sys
from roadworthy.app.fronts import Fronts
from roadworthy.app.routes import Routes
from roadworthy.core.spec import Field, Signature

class Served:
    name, versions, ready = "toy", (), True
    signature = Signature({"x": Field()}, {"y": Field()})
    async def __call__(self, request):
        await asyncio.Event().wait()

async def main():
    fronts = Fronts(Served(), Routes(), 2)
    print(await fronts.listen("127.0.0.1", 0), *fronts.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as told:  # noqa: PTH123 it may go while we look
        return told.read().rpartition(")")[2].split()[0] != "Z"


def test_fronts_leave_when_their_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as parent:
        port, *pids = map(int, parent.stdout.readline().split())
        client = socket.create_connection(("127.0.0.1", port))
        inputs = [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]
        client.sendall(post("/v2/models/toy/infer", {"inputs": inputs}))
        time.sleep(0.05)
        parent.kill()
        with client:
            client.settimeout(10)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert answer == b"" or answer.startswith(b"HTTP/1.1 503")


def test_a_front_needs_a_limit_of_its_own_kind(fronting, ask):
    async def talk(fronts, port):
        return await ask(port, post("/predict", b"x" * 200))

    assert fronting(talk, limits=Limits(body_bytes=100)).startswith(b"HTTP/1.1 413")
