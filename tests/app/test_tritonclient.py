"""NVIDIA's own client speaks to both doors: metadata, every datatype as bytes both ways, load, unload, errors."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.grpc_server import GrpcServer
from roadworthy.app.http import Server
from roadworthy.app.openinference import OpenInference
from roadworthy.app.repository import ModelState, Repository
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Missing, Overloaded, unknown
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Tensor

http = pytest.importorskip("tritonclient.http")
triton_grpc = pytest.importorskip("tritonclient.grpc")
CLIENTS = {"http": http, "grpc": triton_grpc}

SIGNATURE = Signature(
    {"number": Field(), "vector": Field("integer", width=3), "truth": Field("boolean"), "word": Field("text")},
    {name: Field() for name in ("number", "vector", "truth", "word")},
)
NUMBERS = {
    **{f"{kind}{bits}": f"{kind.lower()}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
RELEASE = "cd" * 32


class Echo:
    """Answers what it is asked, in the same datatypes; it is its own repository."""

    name = "echo"
    signature = SIGNATURE
    versions = (RELEASE,)

    def __init__(self) -> None:
        self.ready = True
        self.seen = []

    def version(self, release):
        if release != RELEASE:
            raise Missing(unknown("version", release, self.versions))
        return self

    async def __call__(self, request):
        if not self.ready:
            raise Overloaded("'echo' is not loaded")
        self.seen.append(request)
        outputs = {n: Tensor(n, t.datatype, t.shape, t.data) for n, t in request.inputs.items()}
        return Response(request.id, outputs, RELEASE, confidence=[0.5] * request.n)

    def index(self):
        return [ModelState("echo", RELEASE, "READY" if self.ready else "UNAVAILABLE", "" if self.ready else "unloaded")]

    async def load(self, name):
        if name != self.name:
            raise Missing(unknown("model", name, (self.name,)))
        self.ready = True

    async def unload(self, name):
        self.ready = False


@pytest.fixture(params=CLIENTS)
def client(request):
    """`client(talk, served)` runs `talk(module, client)` on a thread while the server answers on the loop."""
    module = CLIENTS[request.param]

    def connected(talk, served=None, control="explicit"):
        served = served or Echo()

        async def main():
            repository, edge, routes = Repository(served, control), Edge(served.signature), Routes()
            OpenInference(served, edge, repository).add_to(routes)
            doors = {"http": Server(routes), "grpc": GrpcServer(served, edge, repository)}
            door = doors[request.param]
            port = await door.listen("127.0.0.1", 0)
            try:
                return await asyncio.to_thread(asked, port)
            finally:
                await door.close(1.0)

        def asked(port):
            opened = module.InferenceServerClient(f"127.0.0.1:{port}")
            try:
                return talk(module, opened)
            finally:
                opened.close()

        return uvloop.run(main())

    return connected


def arrays(datatype="FP32"):
    return {
        "number": (datatype, np.array([1, 0, 2], NUMBERS[datatype])),
        "vector": ("INT64", np.arange(9).reshape(3, 3)),
        "truth": ("BOOL", np.array([[True], [False], [True]])),
        "word": ("BYTES", np.array(["é", "", "three words here"], object)),
    }


def inputs(module, given):
    made = []
    for name, (datatype, values) in given.items():
        tensor = module.InferInput(name, values.shape, datatype)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


@pytest.mark.parametrize("datatype", NUMBERS)
def test_every_datatype_goes_and_comes_back(client, datatype):
    given = arrays(datatype)

    def talk(module, client):
        answer = client.infer("echo", inputs(module, given), request_id="r1")
        return {name: answer.as_numpy(name) for name in given}, answer.get_response()

    came, response = client(talk)
    for name, (told, values) in given.items():
        want = np.char.encode(values.astype(str)).astype(object) if told == "BYTES" else values
        assert came[name].dtype == want.dtype
        assert came[name].tolist() == want.tolist()
    told = response if isinstance(response, dict) else {"id": response.id, "model_version": response.model_version}
    assert (told["id"], told["model_version"]) == ("r1", RELEASE)


def test_outputs_may_be_asked_for_by_name_and_by_version(client):
    def talk(module, client):
        wanted = [module.InferRequestedOutput("word"), module.InferRequestedOutput("number")]
        answer = client.infer("echo", inputs(module, arrays()), outputs=wanted, model_version=RELEASE)
        return answer.as_numpy("number").tolist(), answer.as_numpy("word").tolist(), answer.as_numpy("vector")

    assert client(talk) == ([1, 0, 2], ["é".encode(), b"", b"three words here"], None)


@pytest.mark.parametrize("client", ["http"], indirect=True)
def test_json_and_bytes_may_be_mixed(client):
    def talk(module, client):
        made = inputs(module, arrays())
        made[0].set_data_from_numpy(arrays()["number"][1], binary_data=False)
        wanted = [module.InferRequestedOutput("number", binary_data=False), module.InferRequestedOutput("word")]
        return client.infer("echo", made, outputs=wanted).as_numpy("number").tolist()

    assert client(talk) == [1, 0, 2]


def test_deadline_and_priority_arrive(client):
    served = Echo()
    client(lambda module, c: c.infer("echo", inputs(module, arrays()), priority=1, timeout=9_000_000), served)
    (request,) = served.seen
    assert (request.priority, request.parameters) == (1, {})
    assert request.deadline is not None


def test_the_server_describes_itself(client):
    def talk(module, client):
        as_json = {} if module is http else {"as_json": True}
        lives = (client.is_server_live(), client.is_server_ready(), client.is_model_ready("echo"))
        return lives, client.get_server_metadata(**as_json), client.get_model_metadata("echo", **as_json)

    lives, server, model = client(talk)
    assert lives == (True, True, True)
    assert "model_repository" in server["extensions"]
    assert model["versions"] == [RELEASE]
    assert [(each["name"], each["datatype"]) for each in model["inputs"]][1] == ("vector", "INT64")


def test_models_are_unloaded_and_loaded(client):
    def talk(module, client):
        as_json = {} if module is http else {"as_json": True}
        told = []
        for act in (client.unload_model, client.load_model):
            act("echo")
            index = client.get_model_repository_index(**as_json)
            (model,) = index if module is http else index["models"]
            told.append((model["state"], client.is_model_ready("echo")))
        return told

    assert client(talk) == [("UNAVAILABLE", False), ("READY", True)]


def wrong_name(module, client):
    client.infer("ehco", inputs(module, arrays()))


def wrong_version(module, client):
    client.infer("echo", inputs(module, arrays()), model_version="7")


def wrong_shape(module, client):
    client.infer("echo", inputs(module, {**arrays(), "number": ("FP32", np.zeros((3, 2), np.float32))}))


def missing_input(module, client):
    client.infer("echo", inputs(module, arrays())[1:])


def unknown_model(module, client):
    client.load_model("ehco")


def after_unload(module, client):
    client.unload_model("echo")
    client.infer("echo", inputs(module, arrays()))


@pytest.mark.parametrize(
    ("talk", "status", "says"),
    [
        (wrong_name, ("404", "StatusCode.NOT_FOUND"), "no model named 'ehco'; did you mean 'echo'?"),
        (wrong_version, ("404", "StatusCode.NOT_FOUND"), "no version named '7' (known: cdcd"),
        (
            wrong_shape,
            ("400", "StatusCode.INVALID_ARGUMENT"),
            "input 'number' has shape [3, 2]; allowed: [n] or [n, 1]",
        ),
        (missing_input, ("400", "StatusCode.INVALID_ARGUMENT"), "input 'number' is missing"),
        (unknown_model, ("404", "StatusCode.NOT_FOUND"), "no model named 'ehco'; did you mean 'echo'?"),
        (after_unload, ("503", "StatusCode.UNAVAILABLE"), "'echo' is not loaded"),
    ],
)
def test_errors_arrive_as_the_clients_own(client, talk, status, says):
    with pytest.raises(http.InferenceServerException) as refused:
        client(talk)
    assert refused.value.status() in status
    assert refused.value.message().startswith(says)


def test_loading_is_refused_with_the_setting_that_allows_it(client):
    with pytest.raises(http.InferenceServerException, match="set it to 'explicit' to allow it"):
        client(lambda module, client: client.load_model("echo"), control="none")
