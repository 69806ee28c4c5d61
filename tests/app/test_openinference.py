"""Open Inference V2 over a socket: what a client sends, what it is told."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from roadworthy.core.errors import BadRequest
from roadworthy.core.wire import Response, Tensor

RELEASE = "ab" * 32

INPUTS = [
    {"name": "a", "datatype": "FP32", "shape": [2], "data": [0.5, 1]},
    {"name": "b", "datatype": "FP64", "shape": [2, 1], "data": [None, 1.0]},
    {"name": "kind", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
]


@pytest.fixture
def send(run, ask, routes_of):
    def sent(served, method, path, body=None, clock="wall", headers=b""):
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n".encode()
        answer = run(routes_of(served, clock), lambda port: ask(port, head + headers + b"\r\n" + raw))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body if b"chunked" in head else json.loads(body)

    return sent


def test_an_answer_has_the_outputs_and_tells_where_it_came_from(send, mean):
    status, answer = send(mean(), "POST", "/v2/models/mean/infer", {"id": "r1", "inputs": INPUTS})
    assert status == 200
    assert answer == {
        "id": "r1",
        "model_name": "mean",
        "model_version": RELEASE,
        "outputs": [{"name": "probability", "datatype": "FP32", "shape": [2], "data": [0.25, 1.0]}],
        "parameters": {
            "release": RELEASE,
            "arm": "stable",
            "confidence": [0.75, 0.75],
            "path": [{"at": "split", "because": "drew 0.5"}],
        },
    }


def test_the_parameters_reach_the_handler(send, mean):
    served = mean()
    parameters = {"key": "N1", "tags": {"origin": "JFK"}, "at": 5.0, "temperature": 0.1}
    send(served, "POST", "/v2/models/mean/infer", {"inputs": INPUTS, "parameters": parameters}, clock="request")
    (request,) = served.seen
    assert (request.key, request.tags, request.at) == ("N1", {"origin": "JFK"}, 5.0)
    assert request.parameters == {"temperature": 0.1}
    assert len(request.id) > 20


def test_sets_parameters_and_arrays_are_written_as_json(send, mean):
    outputs = {"probability": Tensor("probability", "FP32", (2,), np.array([0.5, np.nan], np.float32))}
    served = mean(outputs=outputs, prediction_set=[["late"], ["late", "fine"]], parameters={"tokens": 3})
    _, answer = send(served, "POST", "/v2/models/mean/infer", {"inputs": INPUTS})
    assert answer["outputs"][0]["data"] == [0.5, None]
    assert answer["parameters"]["prediction_set"] == [["late"], ["late", "fine"]]
    assert answer["parameters"]["tokens"] == 3


def test_a_version_that_answers_may_be_asked_by_its_first_digits(send, mean):
    body = {"inputs": INPUTS}
    assert send(mean(), "POST", f"/v2/models/mean/versions/{RELEASE[:8]}/infer", body)[0] == 200
    status, answer = send(mean(), "POST", "/v2/models/mean/versions/123456/infer", body)
    assert status == 404
    assert "no version '123456'" in answer["error"]


def test_the_server_and_the_model_describe_themselves(send, mean):
    assert send(mean(), "GET", "/v2")[1]["name"] == "roadworthy"
    status, model = send(mean(), "GET", "/v2/models/mean")
    assert status == 200
    assert model["versions"] == [RELEASE]
    assert model["inputs"][2] == {"name": "kind", "datatype": "BYTES", "shape": [-1]}
    assert model["outputs"] == [{"name": "probability", "datatype": "FP32", "shape": [-1]}]


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/mean/ready", "/v2/models/mean/versions/abab/ready"])
def test_ready_is_503_until_it_is_and_live_is_always_200(send, mean, path):
    unready = mean()
    unready.ready = False
    assert send(mean(), "GET", path)[0] == 200
    assert send(unready, "GET", path)[0] == 503
    assert send(unready, "GET", "/v2/health/live") == (200, {"live": True})


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/v2/models/maen", 404, "no model named 'maen'; did you mean 'mean'? (known: mean)"),
        ("POST", "/v2/models/other/infer", 404, "no model named 'other' (known: mean)"),
        ("GET", "/v2/models/mean/redy", 404, "no 'redy' below a model; did you mean 'ready'? (known: ready, infer)"),
        ("GET", "/v2/models/mean/infer", 405, "'/v2/models/mean/infer' takes POST, not GET"),
        ("GET", "/v2/models/mean/versions/abab/infer", 405, "`infer` takes POST, not GET"),
        ("POST", "/v2/models/mean/explain", 404, "nothing to POST at '/v2/models/mean/explain'; allowed: .../infer"),
    ],
)
def test_a_wrong_path_says_what_there_is(send, mean, method, path, status, says):
    assert send(mean(), method, path, {}) == (status, {"error": says})


def test_wrong_tensors_are_told(send, mean):
    status, answer = send(mean(), "POST", "/v2/models/mean/infer", {"inputs": INPUTS[:2]})
    assert (status, answer) == (400, {"error": "input 'kind' is missing (given: a, b)"})


def test_nan_is_null_where_null_may_be_and_refused_elsewhere(send, mean):
    served = mean()
    nan = [{**INPUTS[0]}, {**INPUTS[1], "data": [float("nan"), 1.0]}, INPUTS[2]]
    assert send(served, "POST", "/v2/models/mean/infer", {"inputs": nan})[0] == 200
    assert served.seen[0].inputs["b"].data == [None, 1.0]
    nan[0]["data"] = [1.0, float("nan")]
    status, answer = send(served, "POST", "/v2/models/mean/infer", {"inputs": nan})
    assert (status, answer["error"]) == (400, "input 'a' has NaN in row 1; allowed: a finite number (not nullable)")


def test_binary_tensors_are_refused_and_not_misread(send, mean):
    status, answer = send(
        mean(), "POST", "/v2/models/mean/infer", {"inputs": INPUTS}, headers=b"Inference-Header-Content-Length: 10\r\n"
    )
    assert status == 400
    assert "binary tensors" in answer["error"]


def streaming(mean):
    class Streams(mean):
        async def __call__(self, request):
            async def pieces():
                for word in ("a", "b"):
                    await asyncio.sleep(0)
                    yield Tensor("text", "BYTES", (1,), [word])
                if request.parameters.get("fail"):
                    raise BadRequest("no more words")

            return Response(request.id, pieces())

    return Streams()


@pytest.mark.parametrize("fails", [False, True])
def test_a_stream_of_tensors_is_sent_as_events(send, mean, fails):
    body = {"inputs": INPUTS, "parameters": {"fail": fails}}
    status, raw = send(streaming(mean), "POST", "/v2/models/mean/infer", body)
    events = [line for line in raw.decode().splitlines() if line.startswith(("data:", "event:"))]
    assert status == 200
    assert events[0] == 'data: {"name":"text","datatype":"BYTES","shape":[1],"data":["a"]}'
    assert events[2:] == (["event: error", 'data: {"error":"no more words"}'] if fails else [])
    assert raw.endswith(b"0\r\n\r\n")
