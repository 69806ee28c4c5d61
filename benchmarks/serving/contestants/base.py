"""What a contestant is, and a running one: started, awaited, checked against the model, paused and ended."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from serving import bodies
from serving.models import Floats, Model
from serving.process import end_tree, signal_tree

SERVERS = Path(__file__).parents[1] / "servers"
START_SECONDS = 90.0
CHECKED_ROWS = 8
# One thread in every library, not only in the ONNX session.
JSON = {"Content-Type": "application/json"}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class Absent(Exception):
    """A contestant could not be installed or started, or answers something else than the model; the message says so."""


@dataclass(frozen=True)
class Start:
    """How a process is started: its arguments, what is added to the environment, and headers that requests need."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Needs:
    """What a peer is installed from: the name of its virtual environment, and pip requirements."""

    home: str
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Contestant:
    """A server of the models. `start` gets a Python, the model, an empty folder and a port.

    `body` makes row k into a template of a body, `seen` is the row that the template means for the client's number,
    `scores` reads an answer. With `needs` it is a peer and has a virtual environment of its own.
    `says` makes the model's scores (n, 10) into what it is to answer; None for one that knows no model.
    `busy_when_idle` servers are stopped (SIGSTOP) while others are measured.
    """

    name: str
    about: str
    start: Callable[[str, Model, Path, int], Start]
    path: str
    body: Callable[[Floats, int], bytes]
    scores: Callable[[bytes], Sequence[float]]
    headers: Mapping[str, str] = field(default_factory=dict)
    needs: Needs | None = None
    distinct: int = 4096
    says: Callable[[Floats], Floats] | None = lambda scores: scores
    seen: Callable[[Floats, int], Floats] = bodies.filled
    busy_when_idle: bool = False

    @property
    def is_peer(self) -> bool:
        """Is it somebody else's server?"""
        return self.needs is not None


class Running:
    """A started contestant. `with Running(...) as server` ends it, with everything that it started."""

    def __init__(self, contestant: Contestant, model: Model, python: str, folder: Path) -> None:
        self.contestant, self.model, self.folder = contestant, model, folder
        self.port = free_port()
        self.log = folder / "log"
        self.started_seconds = 0.0
        self.headers: Mapping[str, str] = JSON
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The root of its processes."""
        if self._process is None:
            raise RuntimeError(f"{self.contestant.name} is not started")
        return self._process.pid

    def __enter__(self) -> Running:
        begun = time.perf_counter()
        try:
            start = self.contestant.start(self._python, self.model, self.folder, self.port)
            environment = {**os.environ, **ENVIRONMENT, **start.environment}
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    start.command, stdout=log, stderr=log, env=environment, cwd=self.folder
                )
            self.headers = {**JSON, **self.contestant.headers, **start.headers}
            self._await_answer()
            self.started_seconds = time.perf_counter() - begun
            if self.contestant.says is not None:
                self._check(self.contestant.says)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.resume()
            end_tree(self._process.pid)
            self._process.wait()

    def pause(self) -> None:
        """Take the processor from a server that works without being asked."""
        if self.contestant.busy_when_idle:
            signal_tree(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it work again."""
        if self.contestant.busy_when_idle:
            signal_tree(self.pid, signal.SIGCONT)

    def requests(self) -> list[bytes]:
        """Whole requests for the client."""
        asked = self.contestant
        made = [asked.body(row, k) for k, row in enumerate(bodies.rows(asked.distinct))]
        return bodies.requests(asked.path, self.headers, made)

    def ask(self, row: Floats, n: int) -> tuple[int, bytes]:
        """The status and the body that answer one row with the client's number `n`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = self.contestant.body(row, n) % {b"n": n}
            connection.request("POST", self.contestant.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _await_answer(self) -> None:
        """Ask until it answers 200. Raises Absent with the end of its log."""
        row, until, last = bodies.rows(1)[0], time.monotonic() + START_SECONDS, ""
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            try:
                status, answer = self.ask(row, 0)
            except (OSError, http.client.HTTPException) as wrong:
                last = f"{type(wrong).__name__}: {wrong}"
            else:
                if status == 200:
                    return
                last = f"{status} {answer[:300]!r}"
            time.sleep(0.05)
        code = None if self._process is None else self._process.poll()
        what = f"no answer within {START_SECONDS:g} s" if code is None else f"ended with exit code {code}"
        tail = "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-5:])
        raise Absent(f"{what} ({last}); the end of what it said:\n{tail}")

    def _check(self, says: Callable[[Floats], Floats]) -> None:
        """Raise Absent where it does not say what ONNX Runtime says here."""
        for k, row in enumerate(bodies.rows(CHECKED_ROWS)):
            n = 1000 + k
            status, answer = self.ask(row, n)
            if status != 200:
                raise Absent(f"answered {status} to row {k}: {answer[:300]!r}")
            wanted = says(self.model.answer(self.contestant.seen(row, n)[None]))[0]
            try:
                got = np.array(self.contestant.scores(answer))
            except (ValueError, LookupError, TypeError) as wrong:
                raise Absent(f"answers row {k} with {answer[:300]!r}, which has no scores: {wrong!r}") from wrong
            if got.shape != wanted.shape or not np.allclose(got, wanted, atol=1e-4):
                raise Absent(f"answers row {k} with {got}, which should be {wanted}")


def python_of(contestant: Contestant, home: Path) -> str:
    """The Python that runs it: this one for ours, for a peer its own, installed at the first use.

    Raises Absent where pip fails.
    """
    needs = contestant.needs
    if needs is None:
        return sys.executable
    folder = home / needs.home
    python, installed = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(needs.requirements)
    if installed.exists() and installed.read_text() == wanted:
        return str(python)
    print(f"installing {needs.home} into {folder} ...", file=sys.stderr, flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needs.requirements]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], pip):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Absent(f"`{' '.join(command)}` failed:\n{(done.stderr or done.stdout)[-1500:]}")
    installed.write_text(wanted)
    return str(python)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
