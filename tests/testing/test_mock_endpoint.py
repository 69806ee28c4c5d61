"""The mock endpoint does over real sockets what its script says: queue, fail, degrade, stream, and the same again."""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from roadworthy.app.client import Lost, Remote
from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.app.endpoints.plain import Plain
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Request, Tensor
from roadworthy.testing.mock_endpoint import MockEndpoint, main
from roadworthy.testing.mock_script import Fault, Law, Script, Stall, Token


def row(i: int) -> Request:
    return Request(f"r{i}", {"x": Tensor("x", "FP64", (1,), [float(i)])}, 0.0)


def talk(script: Script, work: Callable[[MockEndpoint, Plain], Any], **given: Any) -> Any:
    async def whole() -> Any:
        mock = MockEndpoint(script, **given)
        await mock.listen()
        async with Plain(mock.url) as handler:
            try:
                return await asyncio.wait_for(work(mock, handler), 20)
            finally:
                await mock.close()

    return asyncio.run(whole())


async def crowd(handler, n: int) -> list[Any]:
    return await asyncio.gather(*(handler(row(i)) for i in range(n)), return_exceptions=True)


def test_it_runs_beside_a_test_that_knows_no_asyncio():
    with MockEndpoint(Script(output="y"), answer=lambda row: row["x"] * 2) as mock:
        connection = http.client.HTTPConnection(mock.url.removeprefix("http://"), timeout=10)
        connection.request("POST", "/predict", b'{"id": "a", "rows": [{"x": 4}]}')
        told = msgspec.json.decode(connection.getresponse().read())
        connection.close()
    assert (told["id"], told["rows"]) == ("a", [{"y": 8}])
    assert mock.seen[0].path == "/predict"
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(mock.url.split(":")[2]))):
        pass


def test_an_answer_depends_on_nothing_but_the_row():
    async def work(mock, handler):
        return [(await handler(row(i))).outputs["probability"].data[0] for i in (1, 2, 1)]

    first, second, again = talk(Script(service=Law("exponential", 0.001)), work)
    assert first == again != second
    assert 0 <= first < 1


def test_one_server_is_a_queue():
    async def work(mock, handler):
        began = time.monotonic()
        await crowd(handler, 10)
        return time.monotonic() - began

    # Lower bounds hold on any machine: nobody is answered before the work is done.
    assert talk(Script(servers=1, service=Law(seconds=0.02)), work) >= 0.2
    assert talk(Script(servers=5, service=Law(seconds=0.02)), work) >= 0.04


def test_a_stall_stops_the_work():
    """Half of each fifth of a second stands still: 0.3 s of work take 0.5 s whenever they begin."""

    async def work(mock, handler):
        began = time.monotonic()
        await handler(row(0))
        return time.monotonic() - began

    assert talk(Script(service=Law(seconds=0.3), stall=Stall(0.1, 0.2)), work) >= 0.5


KINDS = {500: "Failed", 429: "TooMany", "reset": "Lost", "truncated": "Lost", "garbled": "BadData"}


def test_faults_come_at_their_shares_and_the_same_ones_with_the_same_seed():
    script = Script(seed=4, faults=tuple(Fault(kind, 0.1) for kind in KINDS))

    async def work(mock, handler):
        told = [type(one).__name__ for one in await crowd(handler, 300)]
        return [one.fault for one in mock.seen], told

    (faults, told), (again, _) = talk(script, work), talk(script, work)
    assert faults == again
    assert {kind: faults.count(kind) for kind in KINDS} == pytest.approx(dict.fromkeys(KINDS, 30), abs=18)
    for kind, error in {500: "Failed", 429: "TooMany", "garbled": "BadData"}.items():
        assert told.count(error) == faults.count(kind)
    assert told.count("Lost") == faults.count("reset") + faults.count("truncated")
    other, _ = talk(msgspec.structs.replace(script, seed=5), work)
    assert other != faults


def test_a_reset_is_a_reset():
    async def work(mock, handler):
        with pytest.raises(Lost, match="ConnectionResetError"):
            await handler(row(0))

    talk(Script(faults=(Fault("reset", 1.0),)), work)


def test_a_crowd_above_the_limit_gets_wrong_answers_and_one_below_it_right_ones():
    async def alone(mock, handler):
        return [(await handler(row(i))).outputs["probability"].data[0] for i in range(8)]

    async def together(mock, handler):
        return [[one.outputs["probability"].data[0] for one in await crowd(handler, n)] for n in (4, 8)]

    right = talk(Script(), alone)
    # So slow that all eight are there before the first is answered, also on a busy machine.
    few, many = talk(Script(service=Law(seconds=0.6), degrade_above=4), together)
    assert few == right[:4]
    wrong = [k for k in range(8) if many[k] != right[k]]
    assert len(wrong) == 4
    assert [many[k] for k in wrong] == [pytest.approx(1 - right[k]) for k in wrong]


def test_shuffling_changes_the_order_of_completion_and_no_answer():
    async def work(mock, handler):
        order = []

        async def one(i: int) -> float:
            found = await handler(row(i))
            order.append(i)
            return found.outputs["probability"].data[0]

        return await asyncio.gather(*(one(i) for i in range(20))), order

    shuffled, order = talk(Script(shuffle_seconds=0.1), work)
    straight, _ = talk(Script(), work)
    assert shuffled == straight
    assert order != sorted(order)


def test_tokens_come_at_their_times_and_usage_may_be_wrong():
    tokens = (Token("hm", 0.01, reasoning=True), Token("a", 0.05), Token("b", 0.1))

    async def work(mock, _):
        async with OpenAi(mock.url) as handler:
            began, seen = time.monotonic(), []
            async for tensor in (
                await handler(Request("r", {"prompt": Tensor("prompt", "BYTES", (1,), ["x"])}, 0.0))
            ).outputs:
                seen.append((tensor.name, tensor.data[0], time.monotonic() - began))
            return seen

    seen = talk(Script(service=Law(seconds=0.1), tokens=tokens, usage_off=7), work)
    assert [(name, value) for name, value, _ in seen[:3]] == [("reasoning", "hm"), ("text", "a"), ("text", "b")]
    assert ("completion_tokens", 10) in [(name, value) for name, value, _ in seen]
    assert all(at >= due for (_, _, at), due in zip(seen, (0.11, 0.16, 0.26), strict=False))


def test_answers_are_looked_up_by_prompt_and_a_degraded_one_has_its_words_reversed():
    async def work(mock, _):
        async with OpenAi(mock.url, stream=False) as handler:
            prompt = Tensor("prompt", "BYTES", (4,), ["2+2?"] * 4)
            return (await handler(Request("r", {"prompt": prompt}, 0.0))).outputs["text"].data

    script = Script(service=Law(seconds=0.5), answers={"2+2?": "it is 4"}, degrade_above=3)
    assert sorted(talk(script, work)) == ["4 is it", *["it is 4"] * 3]


def test_a_client_that_pipelines_gets_its_answers_in_order():
    async def work(mock, _):
        async with Remote(mock.url, "mock", connections=1, pipelined=16) as handler:
            return [answer.id for answer in await asyncio.gather(*(handler(row(i)) for i in range(16)))]

    assert talk(Script(shuffle_seconds=0.05), work) == [f"r{i}" for i in range(16)]


@pytest.mark.parametrize("path", ["/predict", "/v1/chat/completions", "/v2/models/mock/infer"])
@pytest.mark.parametrize("body", [b"", b"[1]", b"{}", b"{"])
def test_a_body_that_is_none_is_refused(path, body):
    async def work(mock, handler):
        answer = await handler.wire.ask("POST", path, body)
        assert mock.in_flight == 0
        return answer

    answer = talk(Script(), work)
    assert answer.status == 400
    assert b"the body" in answer.body


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/nowhere"), ("GET", "/v2/models/other")])
def test_a_path_that_is_none_is_told(method, path):
    async def work(mock, handler):
        return await handler.wire.ask(method, path, b"{}" if method == "POST" else b"")

    assert talk(Script(), work).status == 404


def test_what_is_no_http_is_refused_and_hung_up_on():
    async def work(mock, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(mock.url.rpartition(":")[2]))
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        told = await reader.read()
        writer.close()
        return told

    assert talk(Script(), work).startswith(b"HTTP/1.1 400 ")


def test_the_module_serves_until_it_is_interrupted(tmp_path):
    (tmp_path / "script.yaml").write_text("output: mine")
    command = [
        sys.executable,
        "-m",
        "roadworthy.testing.mock_endpoint",
        "--port",
        "0",
        "--script",
        tmp_path / "script.yaml",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()

        async def ask() -> Any:
            async with Plain(url) as handler:
                return await handler(row(0))

        assert "mine" in asyncio.run(ask()).outputs
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_the_module_says_in_a_sentence_why_it_cannot_start(capsys, tmp_path):
    assert main(["--script", str(tmp_path / "none.yaml")]) == 2
    assert "no script" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "mock_endpoint: " in capsys.readouterr().err


def test_a_mock_that_cannot_listen_tells_whoever_wanted_it(monkeypatch):
    class Nowhere(MockEndpoint):
        async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
            raise RoadworthyError("no room")

    with pytest.raises(RoadworthyError, match="no room"):
        Nowhere().__enter__()
