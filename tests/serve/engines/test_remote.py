"""The remote engine against a real HTTP server on this machine, that behaves well or badly as a test asks."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from roadworthy.core.errors import BadData, Denied, Late, Missing, Overloaded, RoadworthyError, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.engines.remote import Remote, Unreachable
from roadworthy.serve.v2_body import write_request

X = np.array([[1.0], [2.5], [np.nan]], np.float32)
METADATA = {
    "name": "double",
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 1]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 1]}],
}


class World:
    """What the server does, and what it was asked."""

    def __init__(self) -> None:
        self.extensions: list[str] = []
        self.metadata: Any = METADATA
        self.answer: Callable[[BaseHTTPRequestHandler, bytes], None] | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.close_after = 10**9
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def setup(self) -> None:
        super().setup()
        self.world.connections += 1
        self.answered = 0

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.world.asked.append((self.path, dict(self.headers)))
        self.say({"extensions": self.world.extensions} if self.path.endswith("/v2") else self.world.metadata)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.world.asked.append((self.path, dict(self.headers)))
        (self.world.answer or double)(self, body)

    def say(self, told: Any, status: int = 200, raw: bytes = b"", **headers: str) -> None:
        head = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        if raw:
            self.send_header("Inference-Header-Content-Length", str(len(head)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(head) + len(raw)))
        self.end_headers()
        self.wfile.write(head + raw)
        self.answered += 1
        # Closed without a word, as a server does with a connection that was idle for long.
        self.close_connection = self.close_connection or self.answered >= self.world.close_after


def double(handler: Any, body: bytes) -> None:
    """y = 2 x, in the form in which it was asked."""
    length = handler.headers.get("Inference-Header-Content-Length")
    asked = json.loads(body if length is None else body[: int(length)])
    told = asked["inputs"][0]
    assert told["datatype"] == "FP64"
    if length is None:
        data = [None if x is None else 2 * x for x in told["data"]]
        handler.say({"outputs": [{"name": "y", "datatype": "FP64", "shape": told["shape"], "data": data}]})
        return
    assert asked["parameters"]["binary_data_output"]
    raw = (2 * np.frombuffer(body[int(length) :], "<f8")).tobytes()
    output = {"name": "y", "datatype": "FP64", "shape": told["shape"], "parameters": {"binary_data_size": len(raw)}}
    handler.say({"outputs": [output]}, raw=raw)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"world": world}))
    server.daemon_threads, server.block_on_close = True, False
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield world
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("extensions", [[], ["binary_tensor_data"]])
def test_the_answer_comes_as_json_or_as_bytes_as_the_server_announces(world: World, extensions: list[str]) -> None:
    world.extensions = extensions
    made = Remote(world.url, "double")
    for _ in range(3):
        np.testing.assert_array_equal(made({"x": X})["y"], [2.0, 5.0, np.nan])
    assert made({"x": X[:0]})["y"].shape == (0,)
    posted = [headers for path, headers in world.asked if path == "/v2/models/double/infer"]
    assert ("Inference-Header-Content-Length" in posted[0]) == bool(extensions)
    assert world.connections == 1


def test_our_bytes_are_those_of_tritons_own_client() -> None:
    arrays = {"x": X, "n": np.array([[1], [2], [3]], np.int64), "w": np.array([["a"], ["ö"], [""]], dtype=object)}
    inputs = []
    for (name, array), datatype in zip(arrays.items(), ("FP32", "INT64", "BYTES"), strict=True):
        inputs.append(triton.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array, binary_data=True)
    theirs, size = triton.InferenceServerClient.generate_request_body(inputs)
    ours = write_request(arrays, binary=True)
    assert ours.json_bytes is not None
    assert ours.data[ours.json_bytes :] == theirs[size:]
    assert json.loads(ours.data[: ours.json_bytes])["inputs"] == json.loads(theirs[:size])["inputs"]


def test_columns_of_other_names_are_mapped_and_the_answer_is_renamed(world: World) -> None:
    made = Remote(world.url, "double", version="3", inputs={"x": ("wind",)}, output="delay")
    np.testing.assert_array_equal(made({"rain": X, "wind": X * 2})["delay"], [4.0, 10.0, np.nan])
    assert world.asked[-1][0] == "/v2/models/double/versions/3/infer"


def test_a_server_that_tells_no_inputs_gets_the_columns_as_they_are(world: World) -> None:
    world.metadata = {"name": "double", "inputs": [], "outputs": []}
    np.testing.assert_array_equal(Remote(world.url, "double")({"x": X.astype(np.float64)})["y"], [2.0, 5.0, np.nan])


def test_a_path_before_the_protocol_is_kept(world: World) -> None:
    Remote(f"{world.url}/models/", "double")({"x": X})
    assert world.asked[-1][0] == "/models/v2/models/double/infer"


def test_a_connection_that_was_closed_while_idle_is_made_anew_once(world: World) -> None:
    world.close_after = 3  # the metadata, the server's, and one answer
    made = Remote(world.url, "double")
    made({"x": X})
    connections = world.connections
    time.sleep(0.05)  # the server closes behind its last answer
    np.testing.assert_array_equal(made({"x": X})["y"], [2.0, 5.0, np.nan])
    assert world.connections == connections + 1


def test_a_new_connection_that_dies_is_not_tried_again(world: World) -> None:
    def hang_up(handler: Any, body: bytes) -> None:
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    made = Remote(world.url, "double")
    made({"x": X})
    world.answer = hang_up
    asked = len(world.asked)
    with pytest.raises(Unreachable, match="no answer from http:"):
        made({"x": X})
    assert len(world.asked) == asked + 2  # on the kept connection, and once on a new one


def test_an_answer_that_breaks_off_is_not_asked_for_again(world: World) -> None:
    def half(handler: Any, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    made = Remote(world.url, "double")
    made({"x": X})
    world.answer = half
    asked = len(world.asked)
    with pytest.raises(RoadworthyError, match=r"no answer from|does not speak|is not one of"):
        made({"x": X})
    assert len(world.asked) == asked + 1


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, "unexpected shape", BadData),
        (404, "no such model", Missing),
        (401, "no token", Denied),
        (503, "warming up", Overloaded),
        (429, "slow down", Overloaded),
        (504, "too late", Late),
        (500, "out of memory", Unreachable),
    ],
)
def test_a_refusal_keeps_its_meaning_and_its_sentence(
    world: World, status: int, error: str, kind: type[RoadworthyError]
) -> None:
    world.answer = lambda handler, body: handler.say({"error": error}, status, Retry_After="7")
    with pytest.raises(kind, match=f"answered {status}: {error}") as told:
        Remote(world.url, "double")({"x": X})
    if status in (429, 503):
        assert told.value.retry_after == 7.0


def test_a_refusal_that_is_no_json_is_quoted(world: World) -> None:
    world.answer = lambda handler, body: handler.say(b"<html>bad gateway</html>", 502)
    with pytest.raises(Unreachable, match=r"answered 502: <html>bad gateway"):
        Remote(world.url, "double")({"x": X})


@pytest.mark.parametrize("slow", ["to begin", "to end"])
def test_an_answer_that_takes_too_long_is_late(world: World, slow: str) -> None:
    over = threading.Event()

    def wait(handler: Any, body: bytes) -> None:
        handler.close_connection = True
        if slow == "to end":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b"{")
        over.wait(10)

    world.answer = wait
    with pytest.raises(Late, match=r"did not answer within 0\.2 s"):
        Remote(world.url, "double", timeout_seconds=0.2)({"x": X})
    over.set()


def test_an_answer_in_drops_is_late_all_the_same(world: World) -> None:
    def drip(handler: Any, body: bytes) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.02)

    world.answer = drip
    with pytest.raises(Late):
        Remote(world.url, "double", timeout_seconds=0.2)({"x": X})


def test_more_than_can_be_an_answer_is_not_read_to_its_end(world: World) -> None:
    world.answer = lambda handler, body: handler.say(b" " * 100_000)
    with pytest.raises(BadData, match="answered more than 1,000 bytes; raise `most_bytes`"):
        Remote(world.url, "double", most_bytes=1000)({"x": X})


def test_a_token_comes_from_the_environment_and_is_named_where_it_is_absent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Remote(world.url, "double", headers={"Authorization": "TEST_TOKEN"})
    monkeypatch.setenv("TEST_TOKEN", "Bearer secret")
    made({"x": X})
    assert {headers["Authorization"] for _, headers in world.asked} == {"Bearer secret"}
    assert "secret" not in repr(made)
    monkeypatch.delenv("TEST_TOKEN")
    with pytest.raises(SpecError, match="environment variable 'TEST_TOKEN', which is not set"):
        made({"x": X})


def test_check_and_describe_ask_the_server(world: World) -> None:
    made = Remote(world.url, "double")
    made.check(Signature({"x": Field()}, {}))
    with pytest.raises(BadData, match=r"v2/models/double' wants 1 values a row in 'x' and the project promises 2"):
        made.check(Signature({"x": Field(width=2)}, {}))
    assert made.describe_remote() == Signature({"x": Field()}, {"y": Field()})
    world.metadata = {"inputs": [{"name": "x", "datatype": "BF16", "shape": [-1]}]}
    with pytest.raises(BadData, match="remote input 'x' is BF16; supported are"):
        Remote(world.url, "double").check(Signature({"x": Field()}, {}))


@pytest.mark.parametrize("told", [[1, 2], "text", b"<html>"])
def test_a_server_of_another_protocol_is_told(world: World, told: Any) -> None:
    world.metadata = told
    with pytest.raises(BadData, match="does not speak Open Inference V2"):
        Remote(world.url, "double")({"x": X})


def test_nobody_at_the_address_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"no answer from {url}: ConnectionRefusedError"):
        Remote(url, "double", timeout_seconds=1)({"x": X})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "localhost:8000"}, "must be http://host:port"),
        ({"url": "http://me:secret@host"}, "must not hold a password"),
        ({"url": "http://host", "timeout_seconds": 0}, "`timeout_seconds` must be above 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        engine.make({"remote": {"model": "double", **settings}})


def test_many_threads_share_the_connections(world: World) -> None:
    made = Remote(world.url, "double")
    made({"x": X})
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda k=k: answers.append((k, made({"x": X + k})["y"]))) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, got in answers:
        np.testing.assert_array_equal(got, 2.0 * (X[:, 0] + k))
    assert world.connections <= 9
