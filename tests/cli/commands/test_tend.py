"""`roadworthy tend` does what is due, and runs beside a server by itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from roadworthy.cli.beside import tended
from roadworthy.cli.flows import read
from roadworthy.cli.opening import existing_state, open_state
from roadworthy.cli.replaying import Tally, Traffic, send
from roadworthy.cli.services import OverHttp, Server
from roadworthy.core.project import read_project
from roadworthy.observe.counts.rollups import percentiles
from roadworthy.store.events import read_events


def test_every_chore_is_done_once_and_then_not_until_it_is_due(call, lived):
    first = call("tend", "--once", "--project", lived, "--json")
    assert first.code == 0, (first.out, first.err)
    assert {"minute", "seal", "drift", "quality", "retain", "verify"} <= {done["chore"] for done in first.body}
    assert not any(done.get("error") for done in first.body)
    assert {done["chore"] for done in call("tend", "--once", "--project", lived, "--json").body} <= {"minute"}


def test_what_it_counted_has_percentiles(call, lived):
    call("tend", "--once", "--project", lived)
    with existing_state(read_project(lived)) as state:
        newest = state.records.newest()
        found = percentiles(state, newest - 7 * 86_400, newest + 60, by=("arm", "stage"))
    assert any(one.where == "arm=stable, stage=total" and one.name == "p99" for one in found)


@pytest.mark.slow
def test_a_server_that_answers_is_tended_beside(released):
    spec = read_project(released)
    server = Server(spec, clock="wall")
    server.start()
    try:
        traffic = Traffic(read(spec, "production"), spec.signature)
        asyncio.run(_ask(OverHttp(server), traffic, 200))
        with tended(spec.root, spec.state, first_seconds=0.5), open_state(spec) as state:
            until = time.monotonic() + 60
            while not percentiles(state, 0.0, time.time() + 60, by=("arm",)) and time.monotonic() < until:
                time.sleep(0.2)
            found = percentiles(state, 0.0, time.time() + 60, by=("arm",))
            kinds = {event.kind for event in read_events(state.engine)}
    finally:
        server.stop()
    assert found[0].n == 200
    assert {"server_started", "loaded", "settings"} <= kinds


async def _ask(service, traffic, rows):
    await service.connect()
    try:
        await send(service.ask, (traffic.request(row) for row in range(rows)), Tally(), 4, 10.0)
    finally:
        service.close()
