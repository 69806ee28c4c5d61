"""The gRPC door says what the REST door says: answers, errors and their codes, streams, limits, an orderly end."""

from __future__ import annotations

import asyncio
import json
import math
import time

import grpc
import numpy as np
import pytest
import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.grpc_messages import SERVICE, messages
from roadworthy.app.grpc_server import GrpcServer
from roadworthy.app.repository import ModelState, Repository
from roadworthy.core.errors import BadRequest, Denied, Late, Missing, Overloaded, Taken, TooMany
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Tensor

RELEASE = "ab" * 32


@pytest.fixture(params=["uvloop", "asyncio"])
def talk(request):
    """`talk(served, said)` serves gRPC and gives `said` a function that calls a method by its name."""

    def served(served, said, repository=None, **settings):
        async def main():
            server = GrpcServer(served, Edge(served.signature), repository, **settings)
            port = await server.listen("127.0.0.1", 0)
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    return await asyncio.wait_for(said(lambda *asked, **more: call(channel, *asked, **more)), 20)
            finally:
                await server.close(1.0)

        return (uvloop.run if request.param == "uvloop" else asyncio.run)(main())

    return served


async def call(channel, method, message=None, **more):
    response = getattr(messages, f"{method}Response")
    asked = channel.unary_unary(f"/{SERVICE}/{method}", type(message).SerializeToString, response.FromString)
    return await asked(message, **more)


def infer(raw=False, a=(0.5, 1.0), b=(math.nan, 1.0), **more):
    message = messages.ModelInferRequest(**{"model_name": "mean", "id": "r1", **more})
    for name, datatype, values in (("a", "FP32", a), ("b", "FP64", b)):
        tensor = message.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        if raw:
            message.raw_input_contents.append(np.array(values, "f4" if datatype == "FP32" else "f8").tobytes())
        else:
            getattr(tensor.contents, f"{datatype.lower()}_contents").extend(values)
    kind = message.inputs.add(name="kind", datatype="BYTES", shape=[2, 1])
    if raw:
        message.raw_input_contents.append(b"\1\0\0\0x\2\0\0\0\xc3\xa9")
    else:
        kind.contents.bytes_contents.extend([b"x", "é".encode()])
    return message


def refused(talk, served, message, **more):
    async def said(call):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(type(message).DESCRIPTOR.name.removesuffix("Request"), message)
        return refusal.value

    return talk(served, said, **more)


@pytest.mark.parametrize("raw", [False, True])
def test_an_answer_is_typed_as_the_request_was_and_tells_where_it_came_from(talk, mean, raw):
    served = mean(parameters={"cache": "hit", "tokens": 3, "usd": 0.5, "cut": True})
    answer = talk(served, lambda call: call("ModelInfer", infer(raw)))
    assert (answer.id, answer.model_name, answer.model_version) == ("r1", "mean", RELEASE)
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("probability", "FP32", [2])
    assert list(output.contents.fp32_contents) == ([] if raw else [0.25, 1.0])
    assert list(answer.raw_output_contents) == ([np.array([0.25, 1], "f4").tobytes()] if raw else [])
    told = answer.parameters
    assert (told["release"].string_param, told["arm"].string_param) == (RELEASE, "stable")
    assert json.loads(told["confidence"].string_param) == [0.75, 0.75]
    assert json.loads(told["path"].string_param) == [{"at": "split", "because": "drew 0.5"}]
    assert (told["cache"].string_param, told["tokens"].int64_param) == ("hit", 3)
    assert (told["usd"].double_param, told["cut"].bool_param) == (0.5, True)
    assert list(served.seen[0].inputs["a"].data) == [0.5, 1.0]
    assert served.seen[0].inputs["kind"].data == ["x", "é"]


def test_half_floats_are_answered_as_bytes_and_outputs_chosen_by_name(talk, mean):
    outputs = {
        "half": Tensor("half", "FP16", (2,), [0.5, None]),
        "word": Tensor("word", "BYTES", (2,), ["é", None]),
        "sure": Tensor("sure", "BOOL", (2,), np.array([True, False])),
    }
    served = mean(outputs=outputs)
    served.signature = Signature(served.signature.inputs, {name: Field() for name in outputs})

    async def said(call):
        everything = infer()
        chosen = infer()
        chosen.outputs.add(name="sure")
        chosen.outputs.add(name="word")
        return await call("ModelInfer", everything), await call("ModelInfer", chosen)

    whole, chosen = talk(served, said)
    assert list(whole.raw_output_contents) == [b"\0\x38\0\x7e", b"\2\0\0\0\xc3\xa9\0\0\0\0", b"\1\0"]
    assert [output.name for output in chosen.outputs] == ["sure", "word"]
    assert list(chosen.outputs[0].contents.bool_contents) == [True, False]
    assert list(chosen.outputs[1].contents.bytes_contents) == ["é".encode(), b""]


def test_parameters_and_deadlines_reach_the_handler(talk, mean):
    served = mean()
    message = infer()
    message.parameters["key"].string_param = "N1"
    message.parameters["tags"].string_param = '{"origin": "JFK"}'
    message.parameters["priority"].uint64_param = 1
    message.parameters["temperature"].double_param = 0.5

    async def said(call):
        await call("ModelInfer", message, timeout=50)
        await call("ModelInfer", infer(), metadata=(("x-envoy-expected-rq-timeout-ms", "2000"),), timeout=50)
        await call("ModelInfer", infer())

    before = time.monotonic()
    talk(served, said)
    first, second, third = served.seen
    assert (first.key, first.tags, first.priority, first.parameters) == (
        "N1",
        {"origin": "JFK"},
        1,
        {"temperature": 0.5},
    )
    assert before + 30 < first.deadline < time.monotonic() + 60  # gRPC rounds what it sends
    assert before < second.deadline < time.monotonic() + 2
    assert third.deadline is None


def test_the_server_and_the_model_describe_themselves(talk, mean):
    async def said(call):
        return (
            await call("ServerLive", messages.ServerLiveRequest()),
            await call("ServerReady", messages.ServerReadyRequest()),
            await call("ModelReady", messages.ModelReadyRequest(name="mean", version=RELEASE[:8])),
            await call("ServerMetadata", messages.ServerMetadataRequest()),
            await call("ModelMetadata", messages.ModelMetadataRequest(name="mean")),
        )

    unready = mean()
    unready.ready = False
    live, ready, model_ready, server, model = talk(unready, said)
    assert (live.live, ready.ready, model_ready.ready) == (True, False, False)
    assert list(server.extensions) == ["binary_tensor_data", "parameters", "schedule_policy"]
    assert list(model.versions) == [RELEASE]
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs][2] == ("kind", "BYTES", [-1])


def broken(index, **changed):
    message = infer()
    message.inputs[index].MergeFrom(messages.ModelInferRequest.InferInputTensor(**changed))
    return message


def with_tags(tags):
    message = infer()
    message.parameters["tags"].string_param = tags
    return message


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (infer(model_name="maen"), "NOT_FOUND", "no model named 'maen'; did you mean 'mean'? (known: mean)"),
        (infer(model_version="123456"), "NOT_FOUND", "no version '123456' of 'mean' answers now"),
        (infer(a=(0.5,)), "INVALID_ARGUMENT", "input 'b' has 2 rows and 'a' has 1"),
        (infer(raw_input_contents=[b""]), "INVALID_ARGUMENT", "there are 1 `raw_input_contents` for 3 inputs;"),
        (infer(raw_input_contents=[b""] * 3), "INVALID_ARGUMENT", "input 'a' has `contents` and `raw_input_contents`"),
        (broken(0, datatype="BF16"), "INVALID_ARGUMENT", "input 'a' has datatype 'BF16'; allowed: BOOL, UINT8"),
        (broken(0, datatype="FP16"), "INVALID_ARGUMENT", "input 'a' is FP16, which no `contents` can hold; allowed"),
        (broken(0, datatype="FP64"), "INVALID_ARGUMENT", "input 'a' has 0 values; allowed: 2, as its shape [2] says"),
        (
            broken(2, shape=[3], contents=messages.InferTensorContents(bytes_contents=[b"\xff"])),
            "INVALID_ARGUMENT",
            "input 'kind' has a text at 2 that is not UTF-8",
        ),
        (with_tags("{"), "INVALID_ARGUMENT", "parameter `tags` is not JSON:"),
        (infer(outputs=[{"name": "wrod"}]), "INVALID_ARGUMENT", "no output named 'wrod' (known: probability)"),
        (messages.RepositoryIndexRequest(), "NOT_FOUND", "this server has no model repository to list or change"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_words_of_rest(talk, mean, message, code, says):
    error = refused(talk, mean(), message)
    assert error.code().name == code
    assert error.details().startswith(says)


@pytest.mark.parametrize(
    ("kind", "seconds", "code", "pushback"),
    [
        (BadRequest, (), "INVALID_ARGUMENT", None),
        (Denied, (), "UNAUTHENTICATED", None),
        (Missing, (), "NOT_FOUND", None),
        (Taken, (), "FAILED_PRECONDITION", None),
        (TooMany, (2.0,), "RESOURCE_EXHAUSTED", "2000"),
        (Overloaded, (0.25,), "UNAVAILABLE", "250"),
        (Late, (), "DEADLINE_EXCEEDED", "1000"),
        (TimeoutError, (), "DEADLINE_EXCEEDED", None),
    ],
)
def test_each_error_has_its_code_and_says_when_to_ask_again(talk, mean, kind, seconds, code, pushback):
    class Fails(mean):
        async def __call__(self, request):
            raise kind("no", *seconds)

    told = refused(talk, Fails(), infer())
    assert (told.code().name, told.details()) == (code, "no")
    assert told.trailing_metadata().get("grpc-retry-pushback-ms") == pushback


def test_a_caller_is_admitted_by_the_path_that_the_call_has_over_rest(talk, mean):
    seen = []

    def admit(call):
        seen.append((call.path, call.headers.get(b"authorization")))
        if call.path != b"/v2/health/live" and call.headers.get(b"authorization") != b"Bearer k":
            raise Denied("this server needs an API key")

    async def said(call):
        await call("ServerLive", messages.ServerLiveRequest())
        await call("ModelInfer", infer(), metadata=(("authorization", "Bearer k"),))
        load = messages.RepositoryModelLoadRequest(model_name="mean")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call("RepositoryModelLoad", load)
        return refusal.value.code().name, refusal.value.details()

    served = mean()
    assert talk(served, said, admit=admit) == ("UNAUTHENTICATED", "this server needs an API key")
    assert seen == [
        (b"/v2/health/live", None),
        (b"/v2/models/mean/infer", b"Bearer k"),
        (b"/v2/repository/models/mean/load", None),
    ]
    with pytest.raises(grpc.aio.AioRpcError, match="this server needs an API key"):
        streamed(talk, served, infer(), admit=admit)


def test_a_defect_of_ours_is_not_shown(talk, mean):
    class Broken(mean):
        async def __call__(self, request):
            raise ZeroDivisionError("the secret")

    told = refused(talk, Broken(), infer())
    assert (told.code().name, told.details()) == ("INTERNAL", "the server failed on this request; its log says why")


def test_a_message_above_the_limit_is_refused_unread(talk, mean):
    served = mean()
    message = infer(raw=True, b=[0.0] * 200)
    told = refused(talk, served, message, most_bytes=1000)
    assert told.code().name == "RESOURCE_EXHAUSTED"
    assert served.seen == []


def streaming(mean):
    class Streams(mean):
        async def __call__(self, request):
            async def pieces():
                for word in ("a", "b"):
                    yield Tensor("text", "BYTES", (1,), [word])
                if request.key == "fails":
                    raise BadRequest("no more words")

            return Response(request.id, pieces(), RELEASE)

    return Streams()


def streamed(talk, served, *asked, **settings):
    async def said(channel):
        respond = messages.ModelStreamInferResponse.FromString
        method = channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer", messages.ModelInferRequest.SerializeToString, respond
        )
        return [answer async for answer in method(iter(asked))]

    # `call` closes over the channel, which is what a stream needs.
    return talk(served, lambda call: said(call.__closure__[0].cell_contents), **settings)


def final(message):
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    return message


def test_a_stream_answers_each_request_in_turn_and_goes_on_after_one_that_fails(talk, mean):
    wrong = infer(a=(0.5,), id="r2")
    first, second, third = streamed(talk, mean(), infer(), wrong, infer(id="r3"))
    assert (first.error_message, first.infer_response.id) == ("", "r1")
    assert first.infer_response.parameters["triton_final_response"].bool_param
    assert second.error_message.startswith("input 'b' has 2 rows and 'a' has 1")
    assert (second.infer_response.id, third.infer_response.id, third.error_message) == ("r2", "r3", "")


def test_a_model_that_streams_answers_a_tensor_at_a_time(talk, mean):
    fails = final(infer())
    fails.parameters["key"].string_param = "fails"
    *words, end, again, more, error = streamed(talk, streaming(mean), final(infer()), fails)
    texts = [answer.infer_response.outputs[0].contents.bytes_contents[0] for answer in (*words, again, more)]
    assert texts == [b"a", b"b", b"a", b"b"]
    assert [answer.infer_response.parameters["triton_final_response"].bool_param for answer in words] == [False, False]
    assert end.infer_response.parameters["triton_final_response"].bool_param
    assert len(end.infer_response.outputs) == 0
    assert error.error_message == "no more words"


def test_a_model_that_streams_says_which_method_to_call(talk, mean):
    told = refused(talk, streaming(mean), infer())
    assert (told.code().name, told.details()[-25:]) == ("INVALID_ARGUMENT", "allowed: ModelStreamInfer")


class Shelf:
    """One model in memory."""

    state = "READY"

    def index(self):
        return [ModelState("mean", "1", self.state, "" if self.state == "READY" else "unloaded")]

    async def load(self, name):
        self.state = "READY"

    async def unload(self, name):
        self.state = "UNAVAILABLE"


def test_models_are_listed_loaded_and_unloaded(talk, mean):
    shelf = Shelf()

    async def said(call):
        index = messages.RepositoryIndexRequest
        await call("RepositoryModelUnload", messages.RepositoryModelUnloadRequest(model_name="mean"))
        gone = await call("RepositoryIndex", index())
        ready = await call("RepositoryIndex", index(ready=True))
        await call("RepositoryModelLoad", messages.RepositoryModelLoadRequest(model_name="mean"))
        return gone, ready, await call("RepositoryIndex", index(ready=True))

    gone, ready, back = talk(mean(), said, Repository(shelf, "explicit"))
    assert [(each.name, each.state, each.reason) for each in gone.models] == [("mean", "UNAVAILABLE", "unloaded")]
    assert [len(ready.models), len(back.models)] == [0, 1]


def test_loading_is_refused_where_the_settings_do_not_allow_it(talk, mean):
    message = messages.RepositoryModelLoadRequest(model_name="mean")
    told = refused(talk, mean(), message, repository=Repository(Shelf()))
    assert told.code().name == "PERMISSION_DENIED"
    assert "set it to 'explicit'" in told.details()


def test_a_port_in_use_is_told(mean):
    async def main():
        served = mean()
        first, second = (GrpcServer(served, Edge(served.signature)) for _ in range(2))
        port = await first.listen("127.0.0.1", 0)
        try:
            with pytest.raises(Taken, match=rf"cannot listen on 127.0.0.1:{port} for gRPC"):
                await second.listen("127.0.0.1", port)
        finally:
            await second.close(0)
            await first.close(0)

    asyncio.run(main())


def test_a_close_waits_for_what_is_being_answered(mean):
    class Slow(mean):
        async def __call__(self, request):
            self.begun.set_result(None)
            await self.go
            return await mean.__call__(self, request)

    async def main():
        served = Slow()
        served.begun, served.go = (asyncio.get_running_loop().create_future() for _ in range(2))
        server = GrpcServer(served, Edge(served.signature))
        port = await server.listen("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = asyncio.ensure_future(call(channel, "ModelInfer", infer()))
            await served.begun
            closing = asyncio.ensure_future(server.close(10.0))
            await asyncio.sleep(0)
            served.go.set_result(None)
            await closing
            return await answer

    assert asyncio.run(main()).id == "r1"
