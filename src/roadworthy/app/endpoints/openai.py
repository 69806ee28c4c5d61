"""An OpenAI-compatible server as a Handler: chat or plain completions, whole or streamed piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from roadworthy.app.endpoints.events import events
from roadworthy.app.endpoints.refusals import Failed, refusal, said
from roadworthy.app.endpoints.rows import values, whole_body
from roadworthy.app.endpoints.wire import Incoming, Wire
from roadworthy.core.errors import BadData, BadRequest
from roadworthy.core.wire import Datatype, Request, Response, Tensor

Api = Literal["chat", "completions"]
PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}

# Columns and parameters of a request that are settings of the model; another number is no prompt.
SETTINGS = frozenset({"max_tokens", "max_completion_tokens", "min_tokens", "temperature", "top_p", "seed", "stop"})
DONE = b"[DONE]"


class _Words(Struct):
    """What was written, in a `message`, a `delta` or (completions) a choice itself."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Any = None


class _Choice(Struct):
    message: _Words = field(default_factory=_Words)
    delta: _Words = field(default_factory=_Words)
    text: str | None = None
    finish_reason: str | None = None
    index: int = 0


class _Details(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion_tokens_details: _Details | None = None


class _Told(Struct):
    """A whole answer, or one chunk of a stream."""

    choices: list[_Choice] = field(default_factory=list)
    usage: _Usage | None = None
    error: Any = None
    id: str = ""
    model: str = ""


_TOLD = msgspec.json.Decoder(_Told)


class OpenAi:
    """Asks one prompt a row: the input `messages` (JSON), `prompt`, or the one text that a request has.

    `url` is the server, its `/v1`, or a whole route. Streamed, the outputs are a stream with one tensor a piece:
    `output` for visible text, `reasoning` for what the model thinks to itself, and at the end `finish_reason` and
    the server's counts (`prompt_tokens`, `completion_tokens`, `reasoning_tokens`). Otherwise the same names are whole
    columns. `settings` go into every body.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        stream: bool = True,
        api: Api = "chat",
        output: str = "text",
        settings: Mapping[str, Any] | None = None,
        **wire: Any,
    ) -> None:
        self.wire = Wire(url, **wire)
        self.model, self.stream, self.output, self.settings = model, stream, output, dict(settings or {})
        self.path = self.wire.base
        self.api: Api = "completions" if self.path.endswith("/completions") and "/chat/" not in self.path else api
        if not self.path.endswith("/completions"):
            self.path = self.path.removesuffix("/v1") + "/v1" + PATHS[self.api]

    def __repr__(self) -> str:
        return f"OpenAi({self.wire.url + self.path!r}, {self.model!r}, stream={self.stream})"

    async def __aenter__(self) -> OpenAi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wire.__aexit__()

    async def __call__(self, request: Request) -> Response:
        """The answer to each row, in order. Raises what the server refused as the error of the same meaning.

        A stream takes one row. It raises Lost where the server dies in mid-stream, and BadData for a line that is no
        event, for an event that is no chunk, and for an end without `[DONE]`.
        """
        bodies = self._bodies(request)
        if self.stream:
            if len(bodies) != 1:
                raise BadRequest(f"a stream answers one row at a time; got {len(bodies)}")
            return await self._streamed(request, bodies[0])
        answers = await asyncio.gather(*(self._whole(body, request.deadline) for body in bodies))
        names = dict.fromkeys(name for answer in answers for name in answer)
        outputs = {name: _column(name, [answer.get(name) for answer in answers]) for name in names}
        return Response(request.id, outputs)

    async def _streamed(self, request: Request, body: bytes) -> Response:
        incoming = await self.wire.send("POST", self.path, body, request.deadline)
        if incoming.status != 200:
            raise refusal(self.wire.url, incoming.status, incoming.headers, await incoming.read())
        if not incoming.headers.get("content-type", "").startswith("text/event-stream"):
            kind = incoming.headers.get("content-type", "nothing")
            incoming.close()
            raise BadData(f"{self.wire.url}{self.path} was asked for a stream and sends {kind!r}; try without one")
        return Response(request.id, self._pieces(incoming))

    async def _whole(self, body: bytes, deadline: float | None) -> dict[str, Any]:
        answer = await self.wire.ask("POST", self.path, body, deadline)
        if answer.status != 200:
            raise refusal(self.wire.url, answer.status, answer.headers, answer.body)
        told = self._read(answer.body)
        if not told.choices:
            raise BadData(f"{self.wire.url} answered without `choices`: {answer.body[:60]!r}")
        choice = told.choices[0]
        found = dict(self._written(choice, choice.message))
        found.setdefault(self.output, "")
        return {**found, **_end(choice.finish_reason, told.usage)}

    async def _pieces(self, incoming: Incoming) -> AsyncGenerator[Tensor, None]:
        """What each event adds, then how it ended."""
        done, finish, usage = False, None, None
        async with aclosing(events(incoming.pieces())) as found:
            async for event in found:
                if done:
                    continue
                if event.data == DONE:
                    done = True
                    continue
                told = self._read(event.data)
                usage = told.usage or usage
                for choice in told.choices:
                    finish = choice.finish_reason or finish
                    for name, text in self._written(choice, choice.delta):
                        yield Tensor(name, "BYTES", (1,), [text])
        if not done:
            raise BadData(f"the stream of {self.wire.url} ended without [DONE]: the answer may be cut")
        for name, value in _end(finish, usage).items():
            yield _column(name, [value])

    def _written(self, choice: _Choice, words: _Words) -> list[tuple[str, str]]:
        """The parts of a piece that hold something, each with the name of its tensor."""
        tools = msgspec.json.encode(words.tool_calls).decode() if words.tool_calls else ""
        parts = (
            ("reasoning", words.reasoning_content or words.reasoning),
            (self.output, words.content or choice.text),
            ("tool_calls", tools),
        )
        return [(name, text) for name, text in parts if text]

    def _read(self, raw: bytes) -> _Told:
        try:
            told = _TOLD.decode(raw)
        except msgspec.DecodeError as wrong:
            shown = raw[:60].decode("utf-8", "replace")
            raise BadData(f"{self.wire.url} does not answer as OpenAI does ({wrong}): {shown!r}") from wrong
        if told.error:
            raise Failed(f"{self.wire.url} failed in mid-answer: {said(raw)}")
        return told

    def _bodies(self, request: Request) -> list[bytes]:
        whole = whole_body(request)
        if whole is not None:
            return [msgspec.json.encode(self._told({**self.settings, **whole}))]
        name = _prompt_of(request)
        parameters = {key: value for key, value in request.parameters.items() if key in SETTINGS}
        bodies = []
        for i, prompt in enumerate(values(request.inputs[name])):
            own = {key: values(tensor)[i] for key, tensor in request.inputs.items() if key in SETTINGS}
            asked = self._asked(name, prompt)
            bodies.append(msgspec.json.encode(self._told({**self.settings, **parameters, **own, **asked})))
        return bodies

    def _asked(self, name: str, prompt: Any) -> dict[str, Any]:
        if name != "messages":
            text = "" if prompt is None else str(prompt)
            return {"prompt": text} if self.api == "completions" else {"messages": [{"role": "user", "content": text}]}
        try:
            return {"messages": msgspec.json.decode(prompt)}
        except (msgspec.DecodeError, TypeError) as wrong:
            raise BadRequest(f"`messages` must be a JSON list of messages, got {prompt!r:.60}") from wrong

    def _told(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The body with the model and the wish for a stream (and for its counts) in it."""
        told = {**({"model": self.model} if self.model else {}), **asked, "stream": self.stream}
        if self.stream:
            told["stream_options"] = {"include_usage": True, **(asked.get("stream_options") or {})}
        return told


def _prompt_of(request: Request) -> str:
    """The name of the input that holds the prompts."""
    for name in ("messages", "prompt"):
        if name in request.inputs:
            return name
    texts = [name for name, tensor in request.inputs.items() if tensor.datatype == "BYTES" and name not in SETTINGS]
    if len(texts) != 1:
        found = ", ".join(texts) or "none"
        raise BadRequest(f"which column is the prompt? Name it `prompt` (columns of text: {found})")
    return texts[0]


def _end(finish: str | None, usage: _Usage | None) -> dict[str, Any]:
    """How an answer ended and what the server counted, as far as it tells."""
    told: dict[str, Any] = {"finish_reason": finish}
    if usage is not None:
        details = usage.completion_tokens_details
        told["prompt_tokens"], told["completion_tokens"] = usage.prompt_tokens, usage.completion_tokens
        told["reasoning_tokens"] = details.reasoning_tokens if details else None
    return {name: value for name, value in told.items() if value is not None}


def _column(name: str, column: list[Any]) -> Tensor:
    datatype: Datatype = "INT64" if all(isinstance(value, int | None) for value in column) else "BYTES"
    return Tensor(name, datatype, (len(column),), column)
