"""The repository routes list models, and load and unload them only where the server's settings say so."""

from __future__ import annotations

import asyncio
import json

import pytest

from roadworthy.app.exchange import Call
from roadworthy.app.repository import ModelState, Repository
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Missing, RoadworthyError, unknown


class Shelf:
    """Models in memory: those in `ready` are loaded."""

    def __init__(self, *names: str) -> None:
        self.names, self.ready = names, set(names[:1])

    def index(self):
        return [
            ModelState(name, "1", "READY") if name in self.ready else ModelState(name, "1", "UNAVAILABLE", "unloaded")
            for name in self.names
        ]

    async def load(self, name):
        await asyncio.sleep(0)
        if name not in self.names:
            raise Missing(unknown("model", name, self.names))
        self.ready.add(name)

    async def unload(self, name):
        self.ready.discard(name)


@pytest.fixture
def post():
    """`post(repository, path, body)` answers the status and the body, or the error's."""

    def answered(repository, path, body=b"", method=b"POST"):
        routes = Routes()
        repository.add_to(routes)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            answer = routes.find(method, path.encode())
            reply = asyncio.run(answer(Call(method, path.encode(), b"", {}, raw)))
        except RoadworthyError as refused:
            return refused.status, str(refused)
        return reply.status, json.loads(reply.body)

    return answered


@pytest.mark.parametrize("body", [b"", {}, {"ready": False}])
def test_the_index_tells_every_model_and_why_it_is_not_ready(post, body):
    assert post(Repository(Shelf("a", "b")), "/v2/repository/index", body) == (
        200,
        [
            {"name": "a", "version": "1", "state": "READY", "reason": ""},
            {"name": "b", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
        ],
    )


def test_the_index_may_be_of_ready_models_only(post):
    _, models = post(Repository(Shelf("a", "b")), "/v2/repository/index", {"ready": True})
    assert [model["name"] for model in models] == ["a"]


@pytest.mark.parametrize("body", [b"", {}, {"parameters": None}, {"parameters": {"unload_dependents": True}}])
def test_models_are_loaded_and_unloaded_where_clients_may(post, body):
    shelf = Shelf("a", "team/b")
    repository = Repository(shelf, "explicit")
    assert post(repository, "/v2/repository/models/team/b/load", body) == (200, {})
    assert shelf.ready == {"a", "team/b"}
    assert post(repository, "/v2/repository/models/a/unload", body) == (200, {})
    assert shelf.ready == {"team/b"}


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_elsewhere_the_refusal_names_the_setting(post, verb):
    shelf = Shelf("a", "b")
    status, error = post(Repository(shelf), f"/v2/repository/models/b/{verb}")
    says = f"clients may not {verb} 'b' here: `serving: control:` is 'none'; set it to 'explicit' to allow it"
    assert (status, error) == (403, says)
    assert shelf.ready == {"a"}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v2/repository/models/c/load", b"", 404, "no model named 'c' (known: a, b)"),
        (
            "/v2/repository/models/a/load",
            {"parameters": {"file:1/model.onnx": "AAAA"}},
            400,
            "`file:1/model.onnx` cannot be given: a model is loaded as it was released; "
            "add a release to load another file or configuration",
        ),
        ("/v2/repository/models/a/load", {"parameters": {"config": "{}"}}, 400, "`config` cannot be given:"),
        ("/v2/repository/models/a/load", b"{", 400, "the body is not JSON:"),
        ("/v2/repository/models/a/laod", b"", 404, "nothing to POST at '/v2/repository/models/a/laod'; did you mean"),
        ("/v2/repository/index", {"ready": "yes"}, 400, "the body does not fit: Expected `bool`, got `str`"),
        ("/v2/repository/index", b"[]", 400, "the body does not fit: Expected `object`, got `array`"),
    ],
)
def test_what_cannot_be_done_is_told(post, path, body, status, says):
    told, error = post(Repository(Shelf("a", "b"), "explicit"), path, body)
    assert told == status
    assert error.startswith(says)
