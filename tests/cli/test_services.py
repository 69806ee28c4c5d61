"""A service is the server in its own process, or the same handlers in this one; a restarted server is found again."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from roadworthy.app.deployment import Deployment
from roadworthy.cli.flows import read
from roadworthy.cli.replaying import Traffic
from roadworthy.cli.services import InProcess, OverHttp, Server, over_http
from roadworthy.core.errors import Missing, RoadworthyError
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry


@pytest.fixture
def traffic(spec):
    return Traffic(read(spec, "production"), spec.signature)


def test_a_server_tells_where_it_is_for_as_long_as_it_runs(released):
    server = Server(read_project(released))
    assert server.address() is None
    told = server.start()
    try:
        assert told == server.address()
        assert told.pid == server.process.pid
    finally:
        server.stop()
    assert server.address() is None
    assert server.process.returncode == 0


def test_what_a_server_said_is_in_the_error_when_it_does_not_start(served):
    second = Server(served.spec)
    with pytest.raises(RoadworthyError, match=f"being served by process {served.process.pid}"):
        second.start()
    assert second.process.returncode == 2
    assert served.address().pid == served.process.pid


def test_stopping_what_was_never_started_is_nothing(spec):
    Server(spec).stop()


def test_a_server_may_keep_its_records_elsewhere(released, tmp_path):
    spec = read_project(released)
    shutil.copytree(spec.state, tmp_path / "elsewhere")
    server = Server(spec, state=tmp_path / "elsewhere")
    server.start()
    try:
        assert Server(spec).address() is None
        assert (tmp_path / "elsewhere" / "server.json").is_file()
    finally:
        server.stop()


def test_without_a_server_it_says_how_to_start_one(spec):
    with pytest.raises(Missing, match="roadworthy serve --clock request"):
        asyncio.run(OverHttp(Server(spec)).connect())


def test_a_server_that_came_back_elsewhere_is_found_after_one_lost_request(served, traffic):
    async def asked() -> tuple[int, int]:
        service = OverHttp(served)
        await service.connect()
        assert (await service.ask(traffic.request(0))).id == "visit-01000"
        before = served.address().port
        served.process.kill()
        served.process.wait()
        await asyncio.get_running_loop().run_in_executor(None, served.start)
        with pytest.raises(ConnectionError):
            await service.ask(traffic.request(1))
        assert (await service.ask(traffic.request(1))).id == "visit-01001"
        await service.settle()
        service.close()
        return before, served.address().port

    before, after = asyncio.run(asked())
    assert before != after


def test_both_services_answer_alike(released, spec, state, traffic):
    request = traffic.request(3)

    async def remote():
        async with over_http(spec) as service:
            answer = await service.ask(request)
            await service.settle()
            return answer

    async def local():
        deployment = Deployment(state, Registry(state), spec, "clinic", lambda: 0.0)
        service = InProcess(deployment)
        await service.settle()
        answer = await service.ask(request)
        await deployment.close()
        return answer

    over_wire, here = asyncio.run(remote()), asyncio.run(local())
    assert over_wire.release == here.release
    assert list(over_wire.outputs["probability"].data) == [float(v) for v in here.outputs["probability"].data]
    assert Server(spec).address() is None
