"""What a load test sends comes from bodies, tables, traces or the model's own word, and is refused with the line."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest

from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.app.endpoints.plain import Plain
from roadworthy.app.endpoints.v2 import V2
from roadworthy.cli.load_requests import PROMPT, bodies, of_trace, requests_for
from roadworthy.core.errors import BadData, BadRequest
from roadworthy.evaluate.load_test.traces import Trace, TracedRequest
from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Script


def made(endpoint, **given):
    return asyncio.run(requests_for(endpoint, **given))


def data_of(request) -> dict[str, object]:
    return {name: tensor.data for name, tensor in request.inputs.items()}


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{\n "rows": [{"x": 1}]\n}\n', ['{\n "rows": [{"x": 1}]\n}\n']),
        ('{"a": 1}\n\n{"a": 2}\n', ['{"a": 1}', '{"a": 2}']),
    ],
    ids=["one object", "lines"],
)
def test_a_file_holds_one_body_or_one_on_each_line(tmp_path, text, sent):
    (tmp_path / "body.json").write_text(text)
    assert [data_of(one)["body"] for one in bodies(tmp_path / "body.json")] == [[body] for body in sent]


def test_the_tokens_that_a_body_asks_for_are_known(tmp_path):
    (tmp_path / "body.json").write_text('{"messages": [], "max_tokens": 7}')
    assert bodies(tmp_path / "body.json")[0].parameters == {"max_tokens": 7}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"rows: 1", "is no JSON object"),
        (b"[1, 2]", "is no JSON object"),
        (b'{"a": 1}\n{"a": \n', "line 2 is no JSON object"),
        (b"  \n", "is empty"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_body_that_is_none_is_refused_with_its_place(tmp_path, raw, words):
    (tmp_path / "body.json").write_bytes(raw)
    with pytest.raises(BadData, match=words):
        bodies(tmp_path / "body.json")
    with pytest.raises(BadData, match="cannot be read"):
        bodies(tmp_path / "nowhere.json")


def test_rows_of_a_table_become_requests(tmp_path):
    file = tmp_path / "rows.csv"
    pl.DataFrame({"x": [1.5, None], "name": ["a", "b"], "label": [0, 1]}).write_csv(file)
    sent = made(Plain("http://x"), data=file, columns=("x", "name"))
    assert [data_of(one) for one in sent] == [{"x": [1.5], "name": ["a"]}, {"x": [None], "name": ["b"]}]
    with pytest.raises(BadData, match="has no column 'nam'; did you mean 'name'"):
        made(Plain("http://x"), data=file, columns=("nam",))


def test_prompts_of_a_table_bring_their_settings_and_nothing_else(tmp_path):
    file = tmp_path / "prompts.parquet"
    pl.DataFrame({"prompt": ["hi"], "max_tokens": [4], "answer": ["no"]}).write_parquet(file)
    assert data_of(made(OpenAi("http://x"), data=file)[0]) == {"prompt": ["hi"], "max_tokens": [4.0]}
    pl.DataFrame({"question": ["hi"]}).write_parquet(file)
    with pytest.raises(BadData, match=r"has no column `prompt` or `messages` \(it has: question\)"):
        made(OpenAi("http://x"), data=file)
    assert data_of(made(OpenAi("http://x"), data=file, columns=("question",))[0]) == {"question": ["hi"]}


def test_a_v2_model_says_itself_what_it_takes(tmp_path):
    file = tmp_path / "rows.parquet"
    pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "other": [0, 0]}).write_parquet(file)
    with MockEndpoint(Script(inputs=("a", "b"))) as mock:

        async def both():
            async with V2(mock.url, "mock") as handler:
                return await requests_for(handler), await requests_for(handler, data=file)

        zeros, rows = asyncio.run(both())
    assert [data_of(one) for one in zeros] == [{"a": [0], "b": [0]}]
    assert [data_of(one) for one in rows] == [{"a": [1.0], "b": [3.0]}, {"a": [2.0], "b": [4.0]}]


def test_a_trace_gives_prompts_of_its_lengths():
    trace = Trace.of([TracedRequest(0.0, 5, 3), TracedRequest(1.0, 9, 0)])
    first, second = of_trace(trace)
    assert len(data_of(first)["prompt"][0].split()) == 5
    assert (first.parameters, second.parameters) == ({"max_tokens": 3}, {})


def test_without_anything_to_send_a_prompt_is_made_up_and_a_row_cannot_be(tmp_path):
    assert data_of(made(OpenAi("http://x"))[0]) == {"prompt": [PROMPT]}
    with pytest.raises(BadRequest, match="Give --body FILE"):
        made(Plain("http://x"))
    with pytest.raises(BadRequest, match="give one of them"):
        made(Plain("http://x"), body=tmp_path, data=tmp_path)
