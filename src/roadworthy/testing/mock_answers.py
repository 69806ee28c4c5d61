"""What a mock endpoint says: rows for rows and tokens for prompts, in the words of each protocol."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from roadworthy.core.errors import BadRequest
from roadworthy.testing.mock_script import Script, Token

# What is answered to a row, or to `{"prompt": text}`.
Answer = Callable[[Mapping[str, Any]], Any]


class Written(NamedTuple):
    """An answer in tokens, and whether it was cut short by what the request allowed."""

    tokens: tuple[Token, ...]
    cut: bool

    def text(self, reasoning: bool = False) -> str:
        """The visible text, or the hidden one."""
        return "".join(token.text for token in self.tokens if token.reasoning == reasoning)


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise BadRequest(f"the body is no JSON object: {wrong}") from wrong


def prompt_of(asked: Mapping[str, Any]) -> str:
    """The text of the last message, or the prompt. Raises BadRequest."""
    if isinstance(asked.get("prompt"), str):
        return str(asked["prompt"])
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise BadRequest("the body has no `messages` and no `prompt`")
    content = messages[-1].get("content")
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def written(script: Script, answer: Answer | None, asked: Mapping[str, Any], wrong: bool, rng: Random) -> Written:
    """The tokens for a prompt; a wrong answer has its words in the opposite order."""
    prompt = prompt_of(asked)
    if script.tokens and not wrong:
        tokens: Sequence[Token] = script.tokens
    else:
        text = str(answer({"prompt": prompt})) if answer else script.answers.get(prompt, prompt)
        words = text.split(" ")[:: -1 if wrong else 1]
        spoken = [Token(word if i == 0 else f" {word}", script.gap.draw(rng)) for i, word in enumerate(words)]
        hidden = [Token("hm ", script.gap.draw(rng), reasoning=True) for _ in range(script.reasoning)]
        first, *later = [*hidden, *spoken]
        tokens = [msgspec.structs.replace(first, after=0.0), *later]
    allowed = asked.get("max_completion_tokens") or asked.get("max_tokens")
    most = allowed if isinstance(allowed, int) else len(tokens)
    return Written(tuple(tokens[:most]), most < len(tokens))


def usage(script: Script, asked: Mapping[str, Any], answer: Written) -> dict[str, Any]:
    """The counts that are told, wrong by as much as the script says."""
    prompt, n = len(prompt_of(asked).split()), len(answer.tokens) + script.usage_off
    hidden = sum(token.reasoning for token in answer.tokens)
    details = {"completion_tokens_details": {"reasoning_tokens": hidden}}
    return {"prompt_tokens": prompt, "completion_tokens": n, "total_tokens": prompt + n, **details}


def whole(script: Script, id: str, chat: bool, asked: Mapping[str, Any], answer: Written) -> bytes:
    """The answer in one piece, as chat or plain completions have it."""
    finish = {"index": 0, "finish_reason": "length" if answer.cut else "stop"}
    hidden = {"reasoning_content": answer.text(True)} if answer.text(True) else {}
    said = {"message": {"role": "assistant", "content": answer.text(), **hidden}} if chat else {"text": answer.text()}
    kind = "chat.completion" if chat else "text_completion"
    told = {"id": id, "object": kind, "model": script.model, "choices": [{**said, **finish}]}
    return msgspec.json.encode({**told, "usage": usage(script, asked, answer)})


def events(script: Script, id: str, chat: bool, asked: Mapping[str, Any], answer: Written) -> tuple[list[bytes], bytes]:
    """An event for each token, and those that end the stream."""
    head = {"id": id, "object": "chat.completion.chunk" if chat else "text_completion", "model": script.model}

    def event(choices: list[Any], **more: Any) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode({**head, "choices": choices, **more})

    def said(token: Token) -> dict[str, Any]:
        if not chat:
            return {"text": token.text}
        return {"delta": {"reasoning_content" if token.reasoning else "content": token.text}}

    pieces = [event([{"index": 0, **said(token), "finish_reason": None}]) for token in answer.tokens]
    nothing: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    last = {"index": 0, **nothing, "finish_reason": "length" if answer.cut else "stop"}
    end = event([last])
    if (asked.get("stream_options") or {}).get("include_usage"):
        end += event([], usage=usage(script, asked, answer))
    return pieces, end + b"data: [DONE]\n\n"


def plain(script: Script, answer: Answer | None, asked: Mapping[str, Any], wrong: bool) -> bytes:
    """A row for each row of `/predict`."""
    rows = asked.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadRequest('the body must be {"rows": [{...}]}')
    found = [{script.output: value_of(answer, row, wrong)} for row in rows]
    return msgspec.json.encode({"id": asked.get("id") or "", "rows": found, "release": "mock", "arm": "stable"})


def infer(script: Script, answer: Answer | None, asked: Mapping[str, Any], wrong: bool) -> bytes:
    """One output for the tensors of Open Inference V2."""
    try:
        columns = {told["name"]: _by_row(told["data"], told["shape"]) for told in asked["inputs"]}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    except (KeyError, TypeError, ValueError, IndexError) as torn:
        raise BadRequest('the body must be {"inputs": [{"name", "datatype", "shape", "data"}]}') from torn
    values = [value_of(answer, row, wrong) for row in rows]
    datatype = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
    output = {"name": script.output, "datatype": datatype, "shape": [len(values)], "data": values}
    told: dict[str, Any] = {
        "id": asked.get("id") or "",
        "model_name": script.model,
        "model_version": "1",
        "parameters": {},
    }
    return msgspec.json.encode({**told, "outputs": [output]})


def value_of(answer: Answer | None, row: Mapping[str, Any], wrong: bool) -> Any:
    """What is answered to a row: by default a share that depends on nothing but the row."""
    right = answer(row) if answer else zlib.crc32(msgspec.json.encode(row, order="sorted")) / 2**32
    if not wrong:
        return right
    return 1 - right if isinstance(right, int | float) else "wrong"


def _by_row(data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    n = shape[0]
    width = len(data) // n if n else 0
    return list(data) if len(shape) == 1 or width == 1 else [data[i * width : (i + 1) * width] for i in range(n)]
