"""The published document tells the truth: a tester that knows nothing but the document finds nothing wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.http import Server
from roadworthy.app.openapi import OpenApi, document
from roadworthy.app.openinference import OpenInference
from roadworthy.app.plain import Plain
from roadworthy.app.repository import ModelState, Repository
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Tensor

SIGNATURE = Signature(
    {
        "delay": Field(low=0.0, high=60.0, unit="minutes", meaning="how late it left"),
        "wind": Field(nullable=True),
        "hour": Field("integer", low=0, high=23),
        "carrier": Field("category", values=("UA", "AA"), nullable=True),
        "holiday": Field("boolean"),
        "vector": Field(width=3),
    },
    {"probability": Field(), "hours": Field("integer")},
)
RELEASE = "ab" * 32


class Late:
    """Two outputs, always the same."""

    name, signature, versions, ready = "late", SIGNATURE, (RELEASE,), True

    def version(self, release):
        if not RELEASE.startswith(release):
            raise Missing(f"no version {release!r} answers")
        return self

    async def __call__(self, request):
        await asyncio.sleep(0)
        n = request.n
        outputs = {
            "probability": Tensor("probability", "FP32", (n,), [0.5] * n),
            "hours": Tensor("hours", "INT64", (n,), [1] * n),
        }
        return Response(request.id, outputs, RELEASE, confidence=[0.5] * n)


class Shelf:
    """The repository of one model that stays where it is."""

    def index(self):
        return [ModelState("late", RELEASE, "READY")]

    async def load(self, name): ...
    async def unload(self, name): ...


def schemathesis(url: str, folder: Path) -> tuple[int, str]:
    settings = "--phases=examples,coverage,fuzzing --max-examples=12 --seed=7 --no-color --generation-database=none"
    command = [sys.executable, "-m", "schemathesis.cli", "run", *settings.split(), f"{url}/openapi.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=folder)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path):
    async def main():
        served, routes, repository = Late(), Routes(), Repository(Shelf())
        edge = Edge(served.signature)
        OpenInference(served, edge, repository).add_to(routes)
        Plain(served, edge).add_to(routes)
        OpenApi(served, repository).add_to(routes)
        server = Server(routes)
        port = await server.listen("127.0.0.1", 0)
        try:
            return await asyncio.to_thread(schemathesis, f"http://127.0.0.1:{port}", tmp_path)
        finally:
            await server.close(1.0)

    code, output = uvloop.run(main())
    assert code == 0, output
    assert "Tested: 13" in output


def schema_of(name):
    told = document(Late())
    return {"$ref": f"#/components/schemas/{name}", "components": told["components"]}


def test_the_document_has_every_route_and_status():
    paths = document(Late(), repository=True)["paths"]
    version = "/v2/models/late/versions/{version}"
    assert set(paths) == {
        "/openapi.json",
        "/predict",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/late",
        "/v2/models/late/ready",
        "/v2/models/late/infer",
        version,
        f"{version}/ready",
        f"{version}/infer",
        "/v2/repository/index",
        "/v2/repository/models/{model}/load",
        "/v2/repository/models/{model}/unload",
    }
    infer = paths[f"{version}/infer"]["post"]["responses"]
    statuses = (200, 400, 401, 403, 404, 408, 413, 414, 415, 429, 431, 500, 503, 504)
    assert set(infer) == {str(status) for status in statuses}
    assert set(infer["200"]["content"]) == {"application/json", "application/octet-stream", "text/event-stream"}
    assert "Retry-After" in infer["503"]["headers"]
    assert "/v2/repository/index" not in document(Late())["paths"]


def test_health_needs_no_key_and_the_rest_may():
    told = document(Late())
    assert told["security"] == [{}, {"bearer": []}, {"key": []}]
    for path, item in told["paths"].items():
        (operation,) = (each for method, each in item.items() if method in ("get", "post"))
        free = path.startswith("/v2/health/")
        assert (operation.get("security") == []) is free
        assert ("401" in operation["responses"]) is not free


def test_jobs_are_in_the_document_where_they_are_served():
    without, told = document(Late())["paths"], document(Late(), jobs=True)["paths"]
    assert set(told) - set(without) == {"/v2/jobs", "/v2/jobs/{id}", "/v2/jobs/{id}/events", "/v2/jobs/{id}/result"}
    for path in ("/predict", "/v2/models/late/infer", "/v2/models/late/versions/{version}/infer"):
        assert set(told[path]["post"]["responses"]) - set(without[path]["post"]["responses"]) == {"202", "422"}
        assert "respond-async" in told[path]["post"]["description"]
    assert told["/v2/models/late"] == without["/v2/models/late"]


def test_another_door_adds_its_own_paths():
    jobs = {"get": {"operationId": "jobs", "responses": {"200": {"description": "ok"}}}}
    assert document(Late(), more={"/jobs": jobs})["paths"]["/jobs"] == jobs


@pytest.mark.parametrize("name", ["InferRequest", "PredictRequest"])
def test_the_example_of_a_request_keeps_to_its_schema_and_is_answered(name):
    (example,) = document(Late())["components"]["schemas"][name]["examples"]
    assert jsonschema_rs.is_valid(schema_of(name), example)
    served = Late()
    routes, edge = Routes(), Edge(served.signature)
    OpenInference(served, edge).add_to(routes)
    Plain(served, edge).add_to(routes)
    path = "/v2/models/late/infer" if name == "InferRequest" else "/predict"

    async def main():
        server = Server(routes)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        raw = json.dumps(example).encode()
        writer.write(f"POST {path} HTTP/1.0\r\nhost: x\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
        answer = await reader.read()
        writer.close()
        await server.close(1.0)
        return answer

    head, _, body = asyncio.run(main()).partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert jsonschema_rs.is_valid(schema_of(name.replace("Request", "Answer")), json.loads(body))


def test_what_the_project_file_says_of_an_input_is_in_its_schema():
    inputs = document(Late())["components"]["schemas"]["InferRequest"]["properties"]["inputs"]["prefixItems"]
    delay, wind, hour, carrier, holiday, vector = (each["properties"] for each in inputs)
    told = delay["data"]["items"]
    assert (told["description"], told["examples"]) == ("how late it left; in minutes; usually 0 to 60", [30.0])
    assert wind["data"]["items"]["type"] == ["number", "null"]
    assert (hour["data"]["items"]["type"], hour["data"]["items"]["examples"]) == ("integer", [12])
    assert carrier["data"]["items"]["examples"] == ["UA", "AA"]
    assert holiday["datatype"]["enum"] == ["BOOL"]
    assert (vector["shape"]["enum"], vector["data"]["maxItems"]) == ([[1, 3]], 3)


@pytest.mark.parametrize(
    ("field", "example", "told"),
    [
        (Field(low=5.0), 5.0, "usually at least 5"),
        (Field(low=-5.0), 0.0, "usually at least -5"),
        (Field(high=-5.0), -5.0, "usually at most -5"),
        (Field(low=0.0, high=0.0), 0.0, "usually 0 to 0"),
        (Field("text"), "text", None),
    ],
)
def test_an_example_lies_in_the_range(field, example, told):
    served = Late()
    served.signature = Signature({"x": field}, {"y": Field()})
    schemas = document(served)["components"]["schemas"]
    (tensor,) = schemas["InferRequest"]["properties"]["inputs"]["prefixItems"]
    items = tensor["properties"]["data"]["items"]
    assert (items["examples"], items.get("description")) == ([example], told)
