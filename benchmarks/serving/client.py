"""The load: a process that keeps one request in flight on each of N connections for some seconds, and counts.

It reads one Load a line from standard input. To each it first says `ready` (connected, warmed up, nothing in flight);
at an empty line it starts, and after its last answer it writes an Outcome. So whoever reads the server's CPU at the
two moments has exactly the counted requests between them. Sockets and epoll without a framework: a client that costs
more than the server would starve it of the requests that a batch is made of.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle
from pathlib import Path

import msgspec
from msgspec import Struct

STALLED_SECONDS = 30.0


class Load(Struct):
    """What to ask of whom. `requests` is a file of whole HTTP requests, in which `%(n)09d` becomes a new number."""

    port: int
    requests: str
    connections: int
    seconds: float
    warm_seconds: float = 0.2
    host: str = "127.0.0.1"


class Outcome(Struct):
    """How it went. `failures` counts answers other than 2xx and connections that broke; `first_failure` shows one."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int = 0
    first_failure: str = ""


class Answers:
    """The answers on one connection, one at a time: feed it bytes, it says when an answer is whole."""

    def __init__(self) -> None:
        self.buffer = b""
        self._need = 0

    def feed(self, data: bytes) -> int:
        """The status once the answer is whole (its bytes are then in `buffer`), else 0."""
        self.buffer = self.buffer + data if self._need else data
        if not self._need:
            self._need = -1
        if self._need < 0:
            self._need = self._length()
        if self._need < 0 and not self.buffer.endswith(b"\r\n0\r\n\r\n"):
            return 0
        if len(self.buffer) < self._need:
            return 0
        self._need = 0
        return int(self.buffer[9:12])

    def _length(self) -> int:
        """Bytes of the whole answer; -1 while the head is not there, or where the body comes in chunks."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return -1
        head = self.buffer[:end].lower()
        at = head.find(b"\ncontent-length:")
        return -1 if at < 0 else end + 4 + int(head[at + 16 :].split(b"\r", 1)[0])


class Client:
    """Runs Loads. Its counter never starts again, so no two requests of its life are alike."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def connect(self, load: Load) -> list[socket.socket]:
        """The connections, with Nagle's delay off."""
        address = (load.host, load.port)
        lines = [socket.create_connection(address, STALLED_SECONDS) for _ in range(load.connections)]
        for line in lines:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return lines

    def run(self, lines: list[socket.socket], requests: Iterator[bytes], seconds: float) -> Outcome:
        """Ask on every line as soon as it has its answer. Ends early at a failure: the run is invalid then."""
        poll, now, number = select.epoll(), time.perf_counter, self._numbers
        known = {line.fileno(): (line, Answers()) for line in lines}
        latencies, sent, started, failure = array("d"), {}, now(), ""
        for fileno, (line, _) in known.items():
            poll.register(fileno, select.EPOLLIN)
            sent[fileno] = now()
            line.sendall(next(requests) % {b"n": next(number)})
        until = started + seconds
        while sent and not failure:
            ready = poll.poll(STALLED_SECONDS)
            failure = "" if ready else f"no answer for {STALLED_SECONDS:g} s"
            for fileno, _ in ready:
                line, answers = known[fileno]
                data = line.recv(65536)
                status = answers.feed(data) if data else -1
                if not status:
                    continue
                moment = now()
                latencies.append(moment - sent.pop(fileno))
                if not 200 <= status < 300:
                    failure = answers.buffer.decode("utf-8", "replace")[:500] or "the server hung up"
                elif moment < until:
                    sent[fileno] = moment
                    line.sendall(next(requests) % {b"n": next(number)})
        poll.close()
        return _outcome(latencies, now() - started, failure)


def attempt(run: Callable[[], Outcome]) -> Outcome:
    """The outcome; a connection that is refused or breaks is one too."""
    try:
        return run()
    except OSError as wrong:
        return _outcome(array("d"), 0.0, f"{type(wrong).__name__}: {wrong}")


def _outcome(latencies: array[float], seconds: float, failure: str) -> Outcome:
    ordered = sorted(latencies) or [0.0]
    p50, p99 = (1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
    return Outcome(len(latencies), seconds, p50, p99, int(bool(failure)), failure)


def _warm_up(client: Client, lines: list[socket.socket], load: Load, requests: Iterator[bytes]) -> Outcome:
    """Connect `lines`, and ask for a while without counting."""
    lines += client.connect(load)
    return client.run(lines, requests, load.warm_seconds)


def main() -> None:
    """Serve whoever wrote the Loads until they close the pipe."""
    client = Client()
    for text in sys.stdin:
        load = msgspec.json.decode(text, type=Load)
        requests = cycle(msgspec.msgpack.decode(Path(load.requests).read_bytes(), type=list[bytes]))
        lines: list[socket.socket] = []
        outcome = attempt(partial(_warm_up, client, lines, load, requests))
        print("ready", flush=True)
        sys.stdin.readline()
        if not outcome.failures:
            outcome = attempt(partial(client.run, lines, requests, load.seconds))
        for line in lines:
            line.close()
        print(msgspec.json.encode(outcome).decode(), flush=True)


if __name__ == "__main__":
    main()
