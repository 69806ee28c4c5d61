"""A server on the wall clock takes a bad canary back by itself, with nobody at the keyboard."""

from __future__ import annotations

import asyncio
import time

import msgspec

from roadworthy.cli.catalogs import catalogs
from roadworthy.cli.flows import controller_of, read, release_model
from roadworthy.cli.looking import looking
from roadworthy.cli.opening import open_state
from roadworthy.cli.replaying import Tally, Traffic, send
from roadworthy.cli.services import OverHttp, Server
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry

FAILING = '''
"""A candidate that fails every live request."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failing:
    def __call__(self, inner):
        async def answer(request):
            if not request.shadow:
                raise RuntimeError("downstream is away")
            return await inner(request)

        return answer
'''


def test_a_failing_canary_is_rolled_back_while_serving(clinic):
    (clinic / "failing.py").write_text(FAILING)
    text = (clinic / "roadworthy.yaml").read_text().replace("- {mode: shadow, hours: 12}", "")
    (clinic / "roadworthy.yaml").write_text(text)
    spec = read_project(clinic, True, catalogs())
    with open_state(spec) as state:
        registry = Registry(state)
        stable, _ = release_model(spec, registry, time.time(), "test", "first")
        bad = registry.add(msgspec.structs.replace(stable, name="bad", wrappers=("failing.py:Failing",)), {})
        server = Server(spec, clock="wall")
        server.start()
        try:
            controller = controller_of(spec, state, registry)
            controller.start(spec.application.name, bad.digest, spec.rollout, time.time(), "test")
            tally = asyncio.run(_ask_until_over(OverHttp(server), spec, controller))
        finally:
            server.stop()
        ended = controller.status(spec.application.name)
        assert ended.status == "rolled_back"
        assert "errors" in ended.because
        assert registry.alias(spec.application.name, "stable") == stable.digest
        assert 0 < tally.failed == ended.touched < 300


async def _ask_until_over(service, spec, controller) -> Tally:
    await service.connect()
    await service.settle()
    traffic, tally = Traffic(read(spec, "production"), spec.signature), Tally()
    rows = iter(range(traffic.sample.n))
    until = time.monotonic() + 60
    while controller.status(spec.application.name).status == "running" and time.monotonic() < until:
        some = [traffic.request(next(rows)) for _ in range(20)]
        await send(service.ask, iter(some), tally)
        await asyncio.sleep(0.3)
    await service.settle()
    service.close()
    await asyncio.sleep(0)
    return tally


def test_looking_goes_on_where_there_never_was_a_rollout(clinic, caplog):
    spec = read_project(clinic, True, catalogs())
    with looking(spec, clinic / "empty", every_seconds=0.01):
        time.sleep(0.3)
    assert caplog.records == []


def test_looking_ends_with_its_block(clinic):
    with looking(read_project(clinic, True), clinic / "empty", every_seconds=60) as stop:
        assert not stop.is_set()
    assert stop.is_set()
