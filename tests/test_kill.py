"""Acknowledged means recorded: what a caller was answered is in the log once, however often the server was killed."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from roadworthy.cli.flows import read, release_model
from roadworthy.cli.opening import existing_state, open_state
from roadworthy.cli.replaying import Tally, Traffic, send
from roadworthy.cli.services import OverHttp, Server
from roadworthy.core.project import read_project
from roadworthy.core.wire import Request, Response
from roadworthy.registry.releases import Registry

KILLS = 10


@dataclasses.dataclass
class Caller:
    """Remembers the ids of the answers that it received."""

    service: OverHttp
    received: list[str] = dataclasses.field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        response = await self.service.ask(request)
        self.received.append(response.id)
        return response


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def again_and_again(traffic: Traffic, is_over: Callable[[], bool]) -> Iterator[Request]:
    """The rows in the order of time, from the beginning once more under new ids, until it is over."""
    turn = 0
    while not is_over():
        for row in range(traffic.sample.n):
            if is_over():
                return
            request = traffic.request(row)
            yield msgspec.structs.replace(request, id=f"{request.id}-{turn}")
        turn += 1


def kill(server: Server) -> None:
    """`kill -9`, and start it anew."""
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()


async def kill_at_random(server: Server, fixed: int, rng: Random) -> None:
    """Ten deaths under load; the server comes back now on the same port, now on any other."""
    loop = asyncio.get_running_loop()
    for n in range(KILLS):
        await asyncio.sleep(rng.uniform(0.02, 0.4))
        server.port = fixed if n % 2 else 0
        await loop.run_in_executor(None, kill, server)
    await asyncio.sleep(0.2)


async def replay_through(server: Server, traffic: Traffic, rng: Random) -> tuple[Tally, list[str]]:
    service, tally = OverHttp(server), Tally()
    await service.connect()
    caller = Caller(service)
    killing = asyncio.create_task(kill_at_random(server, free_port(), rng))
    await send(caller, again_and_again(traffic, killing.done), tally, in_flight=16, patience=60.0)
    await killing
    service.close()
    return tally, caller.received


@pytest.mark.slow
def test_ten_deaths_lose_and_double_nothing_that_was_answered(clinic: Path) -> None:
    spec = read_project(clinic)
    with open_state(spec) as state:
        release_model(spec, Registry(state), 0.0, "test", "first")
    server = Server(spec)
    server.start()
    try:
        traffic = Traffic(read(spec, "production"), spec.signature)
        tally, received = asyncio.run(replay_through(server, traffic, Random(7)))
    finally:
        server.stop()
    assert (tally.failed, dict(tally.reasons)) == (0, {})
    assert tally.answered == len(received) == len(set(received)) > 100 * KILLS
    with existing_state(spec) as state:
        records = state.records.read()
    answered = [record.id for record in records if record.error is None]
    assert len(answered) == len(set(answered))
    assert set(received) - set(answered) == set()
