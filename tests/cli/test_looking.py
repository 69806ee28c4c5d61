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
from roadworthy.store.events import write_event

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
        # What came between the decision and the server's next look into the store failed too.
        assert 0 < ended.touched <= tally.failed < 300


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


def test_looking_begins_at_once_and_tells_of_an_incident(clinic):
    spec = read_project(clinic, True, catalogs())
    told = []
    with open_state(spec) as state:
        registry = Registry(state)
        stable, _ = release_model(spec, registry, time.time(), "test", "first")
        other = registry.add(msgspec.structs.replace(stable, name="other", note="another", made_by="b"), {}).digest
        at = time.time()
        controller_of(spec, state, registry).start(spec.application.name, other, spec.rollout, at, "test")
        write_event(state.engine, at, "load_failed", spec.application.name, {"release": other, "error": "no memory"})
        with looking(spec, spec.state, every_seconds=60, on_incident=told.append):
            until = time.monotonic() + 30
            while not told and time.monotonic() < until:
                time.sleep(0.01)
        assert [incident.because for incident in told] == ["no memory"]
        # It gave its lease back: the next one need not wait.
        assert controller_of(spec, state, registry)._lease(spec.application.name) is not None


def test_looking_ends_with_its_block(clinic):
    with looking(read_project(clinic, True), clinic / "empty", every_seconds=60) as stop:
        assert not stop.is_set()
    assert stop.is_set()
