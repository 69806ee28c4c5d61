"""The client against servers of known behaviour, in processes of their own or on a socket of the test."""

from __future__ import annotations

import socket
import sys
import threading
from itertools import cycle

import msgspec
import pytest

from serving import bodies
from serving.client import Answers, Client, Load
from serving.contestants.base import Running
from serving.contestants.constant import CONSTANT, SOCKETS
from serving.models import write_model
from serving.process import cpu_seconds
from serving.rounds import ClientProcess

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


class Script:
    """Answers every request on its one connection with the same bytes, or hangs up where there are none."""

    def __init__(self, answer: bytes) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        line, _ = self._listener.accept()
        with self._listener, line:
            while asked := line.recv(65536):
                self.requests.append(asked)
                if not self._answer:
                    return
                line.sendall(self._answer)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, PLAIN.replace(b"Content-L", b"content-l"), PLAIN[:-5] + b"hello"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_answer_is_whole_at_its_last_byte_however_it_arrives(answer, size):
    answers = Answers()
    for _ in range(2):
        pieces = [answer[k : k + size] for k in range(0, len(answer), size)]
        assert [answers.feed(piece) for piece in pieces] == [0] * (len(pieces) - 1) + [200]
        assert answers.buffer == answer


def test_an_answer_without_a_body_is_whole_with_its_head():
    assert Answers().feed(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") == 503


@pytest.mark.parametrize("contestant", [CONSTANT, SOCKETS], ids=lambda contestant: contestant.name)
def test_the_client_process_counts_the_answers_of_a_constant_server_and_its_cpu(tmp_path, contestant):
    file = tmp_path / "requests"
    with (
        ClientProcess() as client,
        Running(contestant, write_model("small", tmp_path), sys.executable, tmp_path) as server,
    ):
        file.write_bytes(msgspec.msgpack.encode(server.requests()[:50]))
        for connections in (1, 5):
            load = Load(server.port, str(file), connections, seconds=0.3, warm_seconds=0.05)
            outcome, cpu = client.run(load, lambda: cpu_seconds(server.pid))
            assert outcome.failures == 0, outcome.first_failure
            assert outcome.requests >= connections
            assert 0 < outcome.p50_ms <= outcome.p99_ms
            assert 0 <= cpu < 10


def test_no_two_requests_of_a_client_are_alike():
    seen, client = Script(PLAIN), Client()
    template = bodies.requests("/", {}, [bodies.tensors_with_key(row, k) for k, row in enumerate(bodies.rows(3))])
    lines = client.connect(Load(seen.port, "", 1, 0.1))
    for _ in range(2):
        outcome = client.run(lines, cycle(template), 0.1)
        assert outcome.failures == 0
    lines[0].close()
    seen.thread.join()
    assert len(seen.requests) > 3
    assert len(set(seen.requests)) == len(seen.requests)


@pytest.mark.parametrize(
    ("answer", "told"), [(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nwait", "503 Busy"), (b"", "hung up")]
)
def test_a_refusal_and_a_lost_connection_are_failures(answer, told):
    seen, client = Script(answer), Client()
    lines = client.connect(Load(seen.port, "", 1, 5.0))
    outcome = client.run(lines, cycle([b"POST / HTTP/1.1\r\n\r\n"]), 5.0)
    lines[0].close()
    seen.thread.join()
    assert outcome.failures == 1
    assert told in outcome.first_failure
