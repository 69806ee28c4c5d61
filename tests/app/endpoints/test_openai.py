"""An OpenAI-compatible server is a Handler: text piece by piece or whole, its counts, and each failure by its name."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from roadworthy.app.client import Lost
from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.app.endpoints.refusals import Failed
from roadworthy.core.errors import BadData, BadRequest, Late, TooMany
from roadworthy.core.wire import Request, Tensor
from roadworthy.testing.mock_script import Fault, Law, Script, Token


def asking(text: str = "one two three", **parameters) -> Request:
    return Request("r1", {"prompt": Tensor("prompt", "BYTES", (1,), [text])}, 0.0, parameters=parameters)


def pieces(against, script: Script, request: Request | None = None, path: str = "") -> list[tuple[str, object]]:
    async def talk(mock):
        async with OpenAi(mock.url + path, "mock") as handler:
            response = await handler(request or asking())
            return [(tensor.name, tensor.data[0]) for tensor in [one async for one in response.outputs]]

    return against(script, talk)


def whole(against, script: Script, request: Request | None = None, path: str = "") -> dict[str, list[object]]:
    async def talk(mock):
        async with OpenAi(mock.url + path, "mock", stream=False) as handler:
            return {name: tensor.data for name, tensor in (await handler(request or asking())).outputs.items()}

    return against(script, talk)


COUNTS = [("finish_reason", "stop"), ("prompt_tokens", 3), ("completion_tokens", 4), ("reasoning_tokens", 1)]


def test_a_stream_has_a_tensor_for_each_piece_and_reasoning_is_not_the_text(against):
    seen = pieces(against, Script(reasoning=1))
    assert seen == [("reasoning", "hm "), ("text", "one"), ("text", " two"), ("text", " three"), *COUNTS]


def test_a_whole_answer_has_the_same_names(against):
    found = whole(against, Script(reasoning=1))
    assert found == {"reasoning": ["hm "], "text": ["one two three"], **{name: [value] for name, value in COUNTS}}


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/v1/completions"])
def test_the_address_may_be_the_server_or_the_route(against, path):
    assert whole(against, Script(), path=path)["text"] == ["one two three"]
    assert [text for name, text in pieces(against, Script(), path=path) if name == "text"] == ["one", " two", " three"]


def test_rows_are_answered_in_their_order_whichever_is_done_first(against):
    texts = [f"row {i}" for i in range(20)]
    request = Request("r", {"question": Tensor("question", "BYTES", (20,), texts)}, 0.0)
    assert whole(against, Script(shuffle_seconds=0.05), request)["text"] == texts


def test_settings_come_from_parameters_and_from_columns(against):
    asked = asking(max_tokens=2, mine=1)
    assert whole(against, Script(), asked)["finish_reason"] == ["length"]
    columns = {**asked.inputs, "max_tokens": Tensor("max_tokens", "INT64", (1,), [1])}
    assert whole(against, Script(), Request("r", columns, 0.0))["text"] == ["one"]


def test_messages_and_whole_bodies_are_sent_as_they_are(against):
    messages = msgspec.json.encode([{"role": "system", "content": "x"}, {"role": "user", "content": "hello"}]).decode()
    request = Request("r", {"messages": Tensor("messages", "BYTES", (1,), [messages])}, 0.0)
    assert whole(against, Script(), request)["text"] == ["hello"]
    body = Request("r", {"body": Tensor("body", "BYTES", (1,), [f'{{"messages": {messages}, "max_tokens": 9}}'])}, 0.0)
    assert pieces(against, Script(), body)[0] == ("text", "hello")


FAULTS = [
    ("reset", Lost, "hung up in mid-answer"),
    ("truncated", Lost, "hung up in mid-answer"),
    ("garbled", BadData, "no server-sent event"),
    ("unfinished", BadData, "ended without \\[DONE\\]"),
    (500, Failed, "answered 500: the script says so"),
    (429, TooMany, "answered 429"),
]


@pytest.mark.parametrize(("kind", "error", "words"), FAULTS, ids=[str(fault[0]) for fault in FAULTS])
def test_each_way_to_fail_has_its_error(against, kind, error, words):
    script = Script(faults=(Fault(kind, 1.0, retry_after_seconds=7.0),))
    with pytest.raises(error, match=words) as caught:
        pieces(against, script)
    if kind == 429:
        assert caught.value.retry_after == 7.0


def test_what_came_before_a_server_died_was_seen(against):
    async def talk(mock):
        async with OpenAi(mock.url) as handler:
            stream = (await handler(asking("a b c d"))).outputs
            seen = [(await anext(stream)).data[0] for _ in range(2)]
            with pytest.raises(Lost):
                await anext(stream)
        return seen

    assert against(Script(faults=(Fault("truncated", 1.0),)), talk) == ["a", " b"]


def test_an_answer_that_never_comes_is_late(against):
    async def talk(mock):
        async with OpenAi(mock.url, timeout_seconds=0.05) as handler:
            with pytest.raises(Late, match=r"within 0\.05 s"):
                await handler(asking())

    against(Script(faults=(Fault("silent", 1.0),)), talk)


def test_a_stream_that_stalls_in_the_middle_is_late(against):
    async def talk(mock):
        async with OpenAi(mock.url, timeout_seconds=0.3) as handler:
            response = await handler(asking())
            with pytest.raises(Late):
                [tensor async for tensor in response.outputs]

    against(Script(tokens=(Token("a"), Token("b", after=60.0))), talk)


def sse(*events: str) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    return [head, *(f"data: {event}\n\n".encode() for event in events)]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (sse('{"error": {"message": "out of memory"}}'), Failed, "failed in mid-answer: out of memory"),
        (sse("{broken"), BadData, "does not answer as OpenAI does"),
        (sse('{"choices": [{"delta": {"content": "a"}}]}'), BadData, "ended without"),
        (
            [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"],
            BadData,
            "try without one",
        ),
    ],
)
def test_what_a_strange_server_says_is_told(saying, answer, error, words):
    async def talk(url: str):
        async with OpenAi(url) as handler:
            response = await handler(asking())
            return [tensor async for tensor in response.outputs]

    with pytest.raises(error, match=words):
        saying(answer, talk)


def test_the_other_name_of_reasoning_and_empty_pieces_are_understood(saying):
    chunks = (
        '{"choices": [{"delta": {"role": "assistant", "content": ""}}]}',
        '{"choices": [{"delta": {"reasoning": "r"}}]}',
    )

    async def talk(url: str):
        async with OpenAi(url) as handler:
            response = await handler(asking())
            return [(tensor.name, tensor.data) async for tensor in response.outputs]

    assert saying(sse(*chunks, "[DONE]"), talk) == [("reasoning", ["r"])]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"a": "x", "b": "y"}, "which column is the prompt\\? Name it `prompt` \\(columns of text: a, b\\)"),
        ({"messages": "no json"}, "must be a JSON list of messages"),
        ({"body": "[1]"}, "must be a JSON object"),
        ({"body": "{"}, "the body is no JSON"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_asking(inputs, words):
    request = Request("r", {name: Tensor(name, "BYTES", (1,), [text]) for name, text in inputs.items()}, 0.0)

    async def ask() -> None:
        async with OpenAi("http://127.0.0.1:1") as handler:
            await handler(request)

    with pytest.raises(BadRequest, match=words):
        asyncio.run(ask())


def test_a_stream_takes_one_row(against):
    async def talk(mock):
        async with OpenAi(mock.url) as handler:
            await handler(Request("r", {"prompt": Tensor("prompt", "BYTES", (2,), ["a", "b"])}, 0.0))

    with pytest.raises(BadRequest, match="one row at a time; got 2"):
        against(Script(), talk)


def test_a_stream_that_was_read_to_its_end_leaves_its_connection_for_the_next(against):
    async def talk(mock):
        async with OpenAi(mock.url) as handler:
            for _ in range(4):
                [tensor async for tensor in (await handler(asking())).outputs]
            return len(mock._lines)

    assert against(Script(gap=Law(seconds=0.001)), talk) == 1
