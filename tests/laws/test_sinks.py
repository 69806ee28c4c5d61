"""Every sink in the catalog obeys the laws, and the laws see through sinks that do not."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.observe.base import sink
from roadworthy.testing.sinks import SECRET_NAME, check_sink


@pytest.mark.parametrize("name", list(sink))
def test_obeys_the_laws(name):
    check_sink(sink.get(name))


@pytest.mark.parametrize("name", list(sink))
def test_can_be_written_as_a_plan_and_made_again(name):
    made = sink.get(name).example("127.0.0.1", 80, "SOME_SECRET")
    assert sink.make(write_plan(made)) == made


@dataclass(frozen=True)
class Honest:
    """Says hello over TCP, and waits for a byte in return."""

    host: str
    port: int
    key: str = ""
    severities: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()

    @classmethod
    def example(cls, host, port, secret):
        return cls(host, port, f"env:{secret}")

    def __call__(self, alert):
        with socket.create_connection((self.host, self.port), timeout=0.2) as line:
            line.sendall(str(alert).encode())
            if not line.recv(1):
                raise ConnectionError("nobody heard")


@dataclass(frozen=True)
class Silent(Honest):
    def __call__(self, alert):
        with suppress(OSError):
            super().__call__(alert)


@dataclass(frozen=True)
class FireAndForget(Honest):
    def __call__(self, alert):
        with socket.create_connection((self.host, self.port), timeout=0.2) as line:
            line.sendall(b"hello")


@dataclass(frozen=True)
class OfAnotherError(Honest):
    def __call__(self, alert):
        try:
            super().__call__(alert)
        except OSError as wrong:
            raise RuntimeError("no") from wrong


@dataclass(frozen=True)
class Chatty(Honest):
    value: str = field(default_factory=lambda: os.environ.get(SECRET_NAME, ""))


@dataclass(frozen=True)
class Unrouted(Honest):
    severities: None = None


@dataclass(frozen=True)
class Bare:
    url: str = ""


FAULTY = [
    (Silent, "where nobody listens: it must raise OSError"),
    (FireAndForget, "where the receiver hangs: it must raise OSError"),
    (OfAnotherError, "raises RuntimeError"),
    (Chatty, "shows its secret"),
    (Unrouted, "needs the setting `severities`"),
    (Bare, "needs `@classmethod def example"),
]


def test_an_honest_sink_passes():
    check_sink(Honest)
    assert SECRET_NAME not in os.environ


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_sink_is_caught(leaf, law):
    with pytest.raises(AssertionError, match=law):
        check_sink(leaf)
