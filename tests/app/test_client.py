"""Remote is a Handler over the wire: the same answers, the same errors, and a clear end when the server goes away."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from roadworthy.app.client import Admin, Lost, Remote
from roadworthy.app.http import Server
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Missing, Overloaded, RoadworthyError
from roadworthy.core.wire import Request, Response, Step, Tensor


def request(id: str, a: float = 0.5) -> Request:
    inputs = {
        "a": Tensor("a", "FP32", (1,), np.array([a], np.float32)),
        "b": Tensor("b", "FP64", (1, 1), np.array([[np.nan]])),
        "kind": Tensor("kind", "BYTES", (1,), np.array(["x"], dtype=object)),
    }
    return Request(id, inputs, 5.0, key="N1", tags={"origin": "JFK"}, parameters={"mine": 1})


def test_a_remote_answers_what_the_deployment_answers(run, routes_of, mean):
    served = mean(prediction_set=[["late"]])

    async def talk(port: int) -> Response:
        async with Remote(f"http://127.0.0.1:{port}", "mean") as remote:
            return await remote(request("r1"))

    response = run(routes_of(served, "request"), talk)
    assert response.id == "r1"
    assert response.outputs["probability"] == Tensor("probability", "FP32", (1,), [0.25])
    assert (response.release, response.arm, response.confidence) == ("ab" * 32, "stable", [0.75])
    assert response.prediction_set == [["late"]]
    assert response.path == (Step("split", "drew 0.5"),)
    (seen,) = served.seen
    assert (seen.key, seen.tags, seen.at, seen.parameters) == ("N1", {"origin": "JFK"}, 5.0, {"mine": 1})
    assert seen.inputs["b"].data == [None]


def test_many_requests_share_few_connections_and_each_gets_its_own_answer(run, routes_of, mean):
    async def talk(port: int) -> list[Response]:
        async with Remote(f"127.0.0.1:{port}", "mean", connections=2, pipelined=16) as remote:
            return await asyncio.gather(*(remote(request(f"r{i}", float(i))) for i in range(200)))

    answers = run(routes_of(mean()), talk)
    assert [(r.id, r.outputs["probability"].data) for r in answers] == [(f"r{i}", [i / 2]) for i in range(200)]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (BadRequest("bad"), BadRequest),
        (Missing("gone"), Missing),
        (Overloaded("full"), Overloaded),
        (RoadworthyError("broken"), RoadworthyError),
    ],
)
def test_what_the_server_refuses_is_raised_as_the_same_error(run, routes_of, mean, raised, expected):
    class Refuses(mean):
        async def __call__(self, request):
            raise raised

    async def talk(port: int) -> None:
        async with Remote(f"http://127.0.0.1:{port}", "mean") as remote:
            with pytest.raises(expected, match=str(raised)):
                await remote(request("r1"))

    run(routes_of(Refuses()), talk)


def test_an_answer_of_another_server_is_an_error_too(run):
    async def talk(port: int) -> None:
        async with Remote(f"http://127.0.0.1:{port}", "mean") as remote:
            with pytest.raises(Missing, match="no path '/v2/models/mean/infer' here"):
                await remote(request("r1"))

    run(Routes(), talk)


def test_a_lost_connection_fails_what_is_in_flight_and_the_next_request_connects_anew(routes_of, mean):
    class Hangs(mean):
        async def __call__(self, request):
            await asyncio.get_running_loop().create_future()

    async def main() -> Response:
        first = Server(routes_of(Hangs()))
        port = await first.listen("127.0.0.1", 0)
        async with Remote(f"http://127.0.0.1:{port}", "mean", connections=1) as remote:
            asking = [asyncio.ensure_future(remote(request(f"r{i}"))) for i in range(3)]
            await asyncio.sleep(0.05)
            await first.close(0.0)
            for error in await asyncio.gather(*asking, return_exceptions=True):
                assert isinstance(error, Lost)
                assert "3 requests in flight" in str(error)
            with pytest.raises(Lost, match="no server answers at"):
                await remote(request("r0"))
            second = Server(routes_of(mean()))
            await second.listen("127.0.0.1", port)
            answer = await remote(request("r0"))
        await second.close(1.0)
        return answer

    assert asyncio.run(main()).id == "r0"


def test_a_wrong_address_is_told():
    with pytest.raises(BadRequest, match="must be http://host:port, got 'ftp://x'"):
        Remote("ftp://x", "mean")
    with pytest.raises(Lost, match="no server answers at"):
        Admin("http://127.0.0.1:1").status()


@pytest.mark.parametrize("value", ["half \ud800", 2**70])
def test_what_json_cannot_carry_is_the_callers_fault(run, routes_of, mean, value):
    async def talk(port: int) -> Response:
        async with Remote(f"http://127.0.0.1:{port}", "mean") as remote:
            with pytest.raises(BadRequest, match="cannot be written as JSON"):
                await remote(Request("r", {"a": Tensor("a", "BYTES", (1,), [value])}, 0.0))
            return await remote(request("r1"))

    assert run(routes_of(mean(), "request"), talk).id == "r1"


def test_rows_that_went_different_ways_say_so_over_the_wire(run, routes_of, mean):
    ways = ((Step("small", "sure", 0.001, 0.01),), (Step("small", "unsure", 0.001, 0.01), Step("large", "last", 0.02)))
    served = mean(path=(), paths=ways, usd=0.022, confidence=[0.75, float("nan")], parameters={"unconfirmed": 1})
    asked = request("r1")
    both = {name: Tensor(name, t.datatype, (2,), [t.data.reshape(-1)[0].item()] * 2) if name != "kind"
            else Tensor(name, "BYTES", (2,), ["x", "x"]) for name, t in asked.inputs.items()}  # fmt: skip

    async def talk(port: int) -> Response:
        async with Remote(f"http://127.0.0.1:{port}", "mean") as remote:
            return await remote(Request("r1", both, 5.0))

    response = run(routes_of(served, "request"), talk)
    assert (response.path, response.paths, response.usd) == ((), ways, 0.022)
    assert response.row_usd(1, 2) == pytest.approx(0.021)
    assert response.parameters == {"unconfirmed": 1}
    assert response.confidence[0] == 0.75
    assert np.isnan(response.confidence[1])
