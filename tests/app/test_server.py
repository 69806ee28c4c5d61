"""The process: one a directory, ready when warm, following the store, and gone without a lost answer."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

from roadworthy.app.client import Admin, Remote
from roadworthy.app.server import read_address, serve
from roadworthy.core.errors import Missing, Taken
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as wrong:
        with wrong:
            return wrong.code


def test_it_answers_records_and_ends_cleanly(start, state, made, tmp_path, predict_all):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    process, address = start()
    (answer,) = predict_all(address, "r1")
    assert (answer.release, answer.outputs["probability"].data) == (stable, [0.25])
    assert status_of(f"{address.url}/v2/health/ready") == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == f"serving on {address.url}, admin on {address.admin_url}\n"
    assert err == ""
    assert not (tmp_path / "state" / "server.json").exists()
    (record,) = state.records.get("r1")
    assert (record.at, record.arm, record.inputs) == (5.0, "stable", {"x": 1.0})


def test_sigterm_answers_what_is_in_flight_and_says_that_it_is_not_ready(start, state, made, tmp_path, until):
    Registry(state).point("toy", "stable", made(f"0.25 {tmp_path / 'go'}"), 1.0, "test", "first")
    process, address = start(drain_seconds=1.0)
    body = json.dumps({"id": "slow", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}).encode()
    with socket.create_connection((address.host, address.port), timeout=20) as client:
        client.sendall(
            b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )
        process.terminate()
        until(lambda: status_of(f"{address.url}/v2/health/ready") == 503)
        assert status_of(f"{address.url}/v2/health/live") == 200
        (tmp_path / "go").touch()
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert state.records.count() == 1


def test_a_second_signal_ends_the_patience(start, state, made, tmp_path, until):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    process, address = start(drain_seconds=600)
    process.terminate()
    until(lambda: status_of(f"{address.url}/v2/health/ready") == 503)
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_second_server_on_the_directory_is_refused(start, state, made, spec, tmp_path, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    process, address = start()
    with pytest.raises(Taken, match=f"process {process.pid}"):
        serve(spec, tmp_path / "state", port=0)
    assert predict_all(address, "r1")[0].id == "r1"


def test_a_killed_server_leaves_the_directory_to_the_next(start, state, made, tmp_path, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    process, address = start()
    predict_all(address, *(f"r{i}" for i in range(20)))
    process.kill()
    process.wait()
    assert read_address(tmp_path / "state") is None
    _, address = start()
    predict_all(address, *(f"r{i}" for i in range(30)))
    assert state.records.count() == 30


def test_it_cannot_start_without_a_release_or_on_a_port_that_is_taken(spec, state, made, tmp_path):
    state.close()
    with pytest.raises(Missing, match="no stable release"):
        serve(spec, tmp_path / "state", port=0)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Taken, match="choose another port"):
        serve(spec, tmp_path / "state", port=taken.getsockname()[1])


def test_it_follows_the_store_unasked(start, state, made, until, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    Registry(state).point("toy", "stable", made("0.75"), 2.0, "test", "second")
    numbers = iter(range(10_000))
    until(lambda: predict_all(address, f"r{next(numbers)}")[0].outputs["probability"].data == [0.75])


def test_ten_swaps_under_load_lose_no_request_and_no_record(start, state, made):
    first, second = made("0.25"), made("0.75")
    registry = Registry(state)
    registry.point("toy", "stable", first, 1.0, "test", "first")
    _, address = start()
    x = {"x": Tensor("x", "FP32", (1,), [1.0])}

    async def main() -> tuple[int, set[str]]:
        done = asyncio.Event()
        asked, releases = 0, set()

        async def swap() -> None:
            for i in range(10):
                registry.point("toy", "stable", (second, first)[i % 2], 2.0 + i, "test", "swap")
                await asyncio.to_thread(Admin(address.admin_url).sync)
            done.set()

        swapping = asyncio.ensure_future(swap())
        async with Remote(address.url, "toy") as remote:
            while not done.is_set():
                wave = [remote(Request(f"r{asked + i}", x, 5.0)) for i in range(50)]
                asked += len(wave)
                releases |= {answer.release for answer in await asyncio.gather(*wave)}
        await swapping
        return asked, releases

    asked, releases = asyncio.run(main())
    assert state.records.count() == asked
    assert releases == {first, second}
