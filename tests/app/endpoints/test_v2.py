"""An Open Inference V2 server is a Handler: ours, somebody else's, and one that streams."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from roadworthy.app.edge import Edge
from roadworthy.app.endpoints.refusals import Failed
from roadworthy.app.endpoints.v2 import V2
from roadworthy.app.http import Server
from roadworthy.app.openinference import OpenInference
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadData, BadRequest, Missing, RoadworthyError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.testing.mock_script import Script

X = Tensor("x", "FP32", (2,), np.array([1.0, np.nan], np.float32))


def test_tensors_go_out_as_json_and_come_back(against):
    rows = []

    async def talk(mock):
        async with V2(mock.url, "mock") as handler:
            return await handler(Request("r1", {"x": X}, 0.0, parameters={"p": 1}))

    found = against(Script(), talk, answer=lambda row: rows.append(row) or 0.25)
    assert rows == [{"x": 1.0}, {"x": None}]
    assert found.outputs == {"probability": Tensor("probability", "FP64", (2,), [0.25, 0.25])}
    assert (found.id, found.release) == ("r1", "1")


def test_a_whole_body_is_sent_with_the_id_of_the_request(against):
    body = '{"id": "x", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}'

    async def talk(mock):
        async with V2(f"{mock.url}/v2/models/mock/infer") as handler:
            assert handler.path == "/v2/models/mock"
            return await handler(Request("r2", {"body": Tensor("body", "BYTES", (1,), [body])}, 0.0))

    assert against(Script(), talk).id == "r2"


def test_the_metadata_tell_what_a_model_takes(against):
    async def talk(mock):
        async with V2(mock.url, "mock") as handler, V2(mock.url, "none") as other:
            with pytest.raises(Missing):
                await other.metadata()
            return await handler.metadata()

    assert against(Script(inputs=("a", "b")), talk)["inputs"][1]["name"] == "b"


class Streams:
    """A model of this house that streams two pieces, and then fails where that is wished."""

    name, versions, ready = "words", (), True
    signature = Signature({"x": Field(kind="text")}, {"text": Field(kind="text")})

    def version(self, release):
        return self

    async def __call__(self, request):
        async def pieces():
            yield Tensor("text", "BYTES", (1,), ["a"])
            if request.inputs["x"].data == ["fail"]:
                raise RoadworthyError("the model is tired")
            yield Tensor("text", "BYTES", (1,), ["b"])

        return Response(request.id, pieces())


def pieces_of(word: str) -> list[str]:
    async def main():
        served, routes = Streams(), Routes()
        OpenInference(served, Edge(served.signature)).add_to(routes)
        server = Server(routes)
        url = f"http://127.0.0.1:{await server.listen('127.0.0.1', 0)}"
        try:
            async with V2(url, "words") as handler:
                response = await handler(Request("r", {"x": Tensor("x", "BYTES", (1,), [word])}, 0.0))
                return [tensor.data[0] async for tensor in response.outputs]
        finally:
            await server.close(1.0)

    return asyncio.run(main())


def test_a_model_of_this_house_that_streams_is_read_piece_by_piece():
    assert pieces_of("go") == ["a", "b"]


def test_a_failure_in_mid_stream_is_raised_with_its_reason():
    with pytest.raises(Failed, match="failed in mid-stream: the model is tired"):
        pieces_of("fail")


def test_what_is_no_answer_is_refused(saying):
    async def talk(url: str):
        async with V2(url, "m") as handler:
            return await handler(Request("r", {"x": X}, 0.0))

    with pytest.raises(BadData, match="does not answer in Open Inference V2"):
        saying([b"HTTP/1.1 200 OK\r\n\r\n", b"<html>"], talk)


def test_a_model_must_be_named():
    with pytest.raises(BadRequest, match="Name it: --model NAME"):
        V2("http://x")
