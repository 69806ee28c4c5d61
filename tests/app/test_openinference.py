"""Open Inference V2 over a socket: what a client sends, what it is told."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest

from roadworthy.app.edge import Edge
from roadworthy.app.exchange import Call
from roadworthy.app.openinference import OpenInference
from roadworthy.core.errors import BadRequest
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Step, Tensor

RELEASE = "ab" * 32
ABAB = "/v2/models/mean/versions/abab"

INPUTS = [
    {"name": "a", "datatype": "FP32", "shape": [2], "data": [0.5, 1]},
    {"name": "b", "datatype": "FP64", "shape": [2, 1], "data": [None, 1.0]},
    {"name": "kind", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
]


@pytest.fixture
def send_raw(run, ask, routes_of):
    """`send_raw(served, method, path, body)` answers the head and the body as they came."""

    def sent(served, method, path, body=None, clock="wall", headers=b""):
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n".encode()
        answer = run(routes_of(served, clock), lambda port: ask(port, head + headers + b"\r\n" + raw))
        head, _, body = answer.partition(b"\r\n\r\n")
        return head, body

    return sent


@pytest.fixture
def send(send_raw):
    """The same, as the status and the JSON of the body."""

    def sent(*asked, **more):
        head, body = send_raw(*asked, **more)
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
        ("GET", "/v2/models/mean/versions/abab/infer", 405, f"{ABAB + '/infer'!r} takes POST, not GET"),
        ("POST", "/v2/models/mean/versions/abab/ready", 405, f"{ABAB + '/ready'!r} takes GET, HEAD, not POST"),
        ("POST", "/v2/models/mean", 405, "'/v2/models/mean' takes GET, HEAD, not POST"),
        ("POST", "/v2/models/mean/explain", 404, "no 'explain' below a model (known: ready, infer)"),
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


def two(mean, **more):
    outputs = {
        "probability": Tensor("probability", "FP32", (2,), [0.25, None]),
        "word": Tensor("word", "BYTES", (2,), ["é", "b"]),
    }
    served = mean(outputs=outputs, **more)
    served.signature = Signature(served.signature.inputs, {"probability": Field(), "word": Field("text")})
    return served


def test_outputs_may_be_chosen_by_name_and_come_in_that_order(send, mean):
    for wanted, given in (
        (None, ["probability", "word"]),
        ([], ["probability", "word"]),
        (["word"], ["word"]),
        (["word", "probability", "word"], ["word", "probability"]),
    ):
        body = {"inputs": INPUTS, "outputs": wanted if wanted is None else [{"name": name} for name in wanted]}
        status, answer = send(two(mean), "POST", "/v2/models/mean/infer", body)
        assert (status, [output["name"] for output in answer["outputs"]]) == (200, given)


@pytest.mark.parametrize(
    ("outputs", "parameters", "binary"),
    [
        (None, {"binary_data_output": True}, ["probability", "word"]),
        ([{"name": "word", "parameters": {"binary_data": True}}, {"name": "probability"}], {}, ["word"]),
        ([{"name": "word", "parameters": {"binary_data": False}}], {"binary_data_output": True}, []),
        ([{"name": "word"}], {"binary_data_output": True}, ["word"]),
    ],
)
def test_outputs_are_sent_as_bytes_behind_the_json_where_asked_for(send_raw, mean, outputs, parameters, binary):
    blobs = {"probability": b"\0\0\x80>\0\0\xc0\x7f", "word": b"\2\0\0\0\xc3\xa9\1\0\0\0b"}
    body = {"inputs": INPUTS, "outputs": outputs, "parameters": parameters}
    served = two(mean)
    head, raw = send_raw(served, "POST", "/v2/models/mean/infer", body)
    blob = b"".join(blobs[name] for name in binary)
    size = len(raw) - len(blob)
    assert raw[size:] == blob
    told = {output["name"]: output for output in json.loads(raw[:size])["outputs"]}
    assert {name for name, output in told.items() if "data" not in output} == set(binary)
    assert all(told[name]["parameters"] == {"binary_data_size": len(blobs[name])} for name in binary)
    assert (b"application/octet-stream" in head) is bool(binary)
    assert (b"inference-header-content-length: %d\r\n" % size in head + b"\r\n") is bool(binary)
    assert served.seen[0].parameters == {}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"outputs": [{"name": "wrod"}]}, "no output named 'wrod'; did you mean 'word'? (known: probability, word)"),
        ({"parameters": {"binary_data_output": 1}}, "parameter `binary_data_output` is 1; allowed: true or false"),
        (
            {"outputs": [{"name": "word", "parameters": {"binary_data": "yes"}}]},
            "output 'word': parameter `binary_data` is 'yes'; allowed: true or false",
        ),
        (
            {"outputs": [{"name": "word", "parameters": {"classification": 3}}]},
            "output 'word': parameter `classification` is not understood; allowed: `binary_data`",
        ),
    ],
)
def test_outputs_that_there_are_not_are_refused_before_the_model_runs(send, mean, more, says):
    served = two(mean)
    assert send(served, "POST", "/v2/models/mean/infer", {"inputs": INPUTS, **more}) == (400, {"error": says})
    assert served.seen == []


def test_inputs_may_come_as_bytes(run, ask, routes_of, mean):
    served = mean()
    head = {"id": "r1", "inputs": [{**INPUTS[0]}, INPUTS[1], {**INPUTS[2], "parameters": {"binary_data_size": 10}}]}
    del head["inputs"][2]["data"]
    raw = json.dumps(head).encode()
    lengths = f"content-length: {len(raw) + 10}\r\nInference-Header-Content-Length: {len(raw)}\r\nconnection: close\r\n"
    asked = f"POST /v2/models/mean/infer HTTP/1.1\r\nhost: x\r\n{lengths}\r\n".encode() + raw
    answer = run(routes_of(served), lambda port: ask(port, asked + b"\1\0\0\0x\1\0\0\0y"))
    assert b" 200 OK" in answer
    assert served.seen[0].inputs["kind"].data == ["x", "y"]


@pytest.mark.parametrize(
    ("parameters", "headers", "seconds", "priority"),
    [
        ({"timeout": 5_000_000, "priority": 1}, b"", 5, 1),
        ({"priority": 3}, b"x-envoy-expected-rq-timeout-ms: 2000\r\n", 2, 3),
        ({"key": "N1"}, b"grpc-timeout: 1S\r\n", 1, 2),
        ({"key": "N1"}, b"", None, 2),
    ],
)
def test_the_callers_deadline_and_priority_reach_the_handler(send, mean, parameters, headers, seconds, priority):
    served, before = mean(), time.monotonic()
    body = {"inputs": INPUTS, "parameters": parameters}
    assert send(served, "POST", "/v2/models/mean/infer", body, headers=headers)[0] == 200
    (request,) = served.seen
    assert (request.priority, request.parameters) == (priority, {})
    if seconds is None:
        assert request.deadline is None
    else:
        assert before + seconds <= request.deadline <= time.monotonic() + seconds


def test_a_bad_deadline_is_refused(send, mean):
    status, answer = send(mean(), "POST", "/v2/models/mean/infer", {"inputs": INPUTS, "parameters": {"timeout": -1}})
    assert (status, answer["error"][:26]) == (400, "parameter `timeout` is -1;")


def test_what_handlers_on_the_way_tell_is_in_the_parameters(send, mean):
    served = mean(arm="fallback", parameters={"cache": "hit"}, path=(Step("cascade", "margin 0.1"),))
    _, answer = send(served, "POST", "/v2/models/mean/infer", {"inputs": INPUTS})
    told = answer["parameters"]
    assert (told["arm"], told["cache"], told["release"]) == ("fallback", "hit", RELEASE)
    assert told["path"] == [{"at": "cascade", "because": "margin 0.1"}]


def test_extensions_are_those_that_there_are(send, mean):
    assert send(mean(), "GET", "/v2")[1]["extensions"] == ["binary_tensor_data", "parameters", "schedule_policy"]


@pytest.mark.parametrize(("path", "takes"), [("infer", b"POST, OPTIONS"), ("ready", b"GET, HEAD, OPTIONS")])
def test_options_tells_what_a_version_takes(send_raw, mean, path, takes):
    head, _ = send_raw(mean(), "OPTIONS", f"{ABAB}/{path}")
    assert b"allow: " + takes in head


def streaming(mean):
    class Streams(mean):
        closed = 0

        async def __call__(self, request):
            async def pieces():
                try:
                    for word in ("a", "b"):
                        await asyncio.sleep(0)
                        yield Tensor("text", "BYTES", (1,), [word])
                        yield Tensor("score", "FP32", (1,), [0.5])
                    if request.parameters.get("fail"):
                        raise BadRequest("no more words")
                finally:
                    self.closed += 1

            return Response(request.id, pieces(), RELEASE)

    served = Streams()
    served.signature = Signature(served.signature.inputs, {"text": Field("text"), "score": Field()})
    return served


@pytest.mark.parametrize("fails", [False, True])
def test_a_stream_of_tensors_is_sent_as_events(send, mean, fails):
    served = streaming(mean)
    body = {"id": "r1", "inputs": INPUTS, "parameters": {"fail": fails}, "outputs": [{"name": "text"}]}
    status, raw = send(served, "POST", "/v2/models/mean/infer", body)
    lines = [line for line in raw.decode().splitlines() if line.startswith(("data:", "event:"))]
    assert status == 200
    assert lines[0] == "event: answer"
    assert json.loads(lines[1].removeprefix("data: ")) == {
        "id": "r1",
        "model_name": "mean",
        "model_version": RELEASE,
        "parameters": {"release": RELEASE, "arm": "stable"},
    }
    assert lines[2] == 'data: {"name":"text","datatype":"BYTES","shape":[1],"data":["a"]}'
    assert lines[4:] == (["event: error", 'data: {"error":"no more words"}'] if fails else [])
    assert raw.endswith(b"0\r\n\r\n")
    assert served.closed == 1


def test_a_stream_that_is_left_is_closed_at_once(mean):
    served = streaming(mean)

    async def main():
        door = OpenInference(served, Edge(served.signature))
        body = json.dumps({"inputs": INPUTS}).encode()
        reply = await door.infer(Call(b"POST", b"/v2/models/mean/infer", b"", {}, body))
        events = [await anext(reply.stream), await anext(reply.stream)]
        assert [event.partition(b"\n")[0][:7] for event in events] == [b"event: ", b"data: {"]
        await reply.stream.aclose()
        assert served.closed == 1

    asyncio.run(main())
