"""A server is asked what it speaks, and where that cannot be known the next step is said."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.client import Lost
from roadworthy.app.edge import Edge
from roadworthy.app.endpoints.detect import Told, endpoint
from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.app.endpoints.plain import Plain
from roadworthy.app.endpoints.v2 import V2
from roadworthy.app.exchange import json_reply
from roadworthy.app.http import Server
from roadworthy.app.plain import Plain as PlainRoute
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.testing.mock_script import Script


def found(against, told: Told) -> object:
    async def talk(mock):
        return await endpoint(told._replace(url=mock.url + told.url))

    return against(Script(model="the-one"), talk)


@pytest.mark.parametrize(
    ("told", "kind", "path"),
    [
        (Told(""), OpenAi, "/v1/chat/completions"),
        (Told("/v1/completions"), OpenAi, "/v1/completions"),
        (Told("/predict"), Plain, "/predict"),
        (Told("/any/route"), Plain, "/any/route"),
        (Told("/v2/models/the-one"), V2, "/v2/models/the-one"),
        (Told("", "v2", "the-one"), V2, "/v2/models/the-one"),
        (Told("", "plain"), Plain, "/predict"),
    ],
)
def test_the_protocol_is_told_found_in_the_path_or_asked_for(against, told, kind, path):
    handler = found(against, told)
    assert (type(handler), handler.path) == (kind, path)
    if kind is OpenAi:
        assert handler.model == "the-one"


def ours(routes: Routes) -> object:
    async def main():
        server = Server(routes)
        try:
            return await endpoint(Told(f"127.0.0.1:{await server.listen('127.0.0.1', 0)}"))
        finally:
            await server.close(1.0)

    return asyncio.run(main())


def test_a_server_with_a_plain_route_alone_is_plain():
    async def nobody(request):
        raise AssertionError("nobody should be asked")

    routes = Routes()
    PlainRoute(nobody, Edge(Signature({"x": Field()}, {"y": Field()}))).add_to(routes)
    assert isinstance(ours(routes), Plain)


def test_a_server_of_another_kind_is_told_what_was_tried():
    with pytest.raises(Missing, match=r"has none of /v1/models, /v2 and /predict: give the whole path"):
        ours(Routes())


@pytest.mark.parametrize("models", [None, [], [{"name": "a"}, {"name": "b"}], [{"name": "only"}]])
def test_the_only_model_of_a_v2_server_is_taken_and_of_others_one_must_be_named(models):
    async def server(call):
        return json_reply({"name": "triton", "extensions": []})

    async def index(call):
        return json_reply(models)

    routes = Routes()
    routes.add("GET", "/v2", server)
    if models is not None:
        routes.add("POST", "/v2/repository/index", index)
    if models == [{"name": "only"}]:
        assert ours(routes).path == "/v2/models/only"
    else:
        with pytest.raises(BadRequest, match="does not list its models: say which with --model"):
            ours(routes)


def test_nobody_there_is_said():
    with pytest.raises(Lost, match="nobody listens"):
        asyncio.run(endpoint(Told("http://127.0.0.1:1")))


def test_a_v2_server_without_a_model_is_refused(against):
    with pytest.raises(BadRequest, match="--model"):
        found(against, Told("", "v2"))
