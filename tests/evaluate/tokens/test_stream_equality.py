from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
from roadworthy.evaluate.tokens.stream_equality import (
    StreamDecoder,
    StreamReport,
    check_stream,
    check_streaming,
    held_back,
    stream_fault,
    token_by_token,
)
from roadworthy.evaluate.tokens.tokenizers import Tokenizer
from roadworthy.serve.engines.function import Function
from roadworthy.serve.streamed import Streamed

UTF8 = Tokenizer("utf8", lambda text: list(text.encode()), lambda ids: bytes(ids).decode("utf-8", "replace"))
SHORT = [(case.name, case.text) for case in naughty_strings() if len(case.text) < 300]
FOREIGN = [one for one in SHORT if not one[1].isascii() and one[1].isprintable()]


def words(text: str) -> Tokenizer:
    """Ids of whole words, a leading space belonging to the word, which a decoder strips as sentencepiece does."""
    known = text.split(" ")
    return Tokenizer(
        "words", lambda t: [known.index(w) for w in t.split(" ")], lambda ids: " ".join(known[i] for i in ids)
    )


def shares(report: StreamReport) -> dict[str, Measurement]:
    return {m.name: m for m in report.measured}


def test_token_by_token_cuts_every_character_that_takes_several_bytes() -> None:
    report = check_stream(UTF8, token_by_token(UTF8.decode), FOREIGN)
    assert len(FOREIGN) > 50
    assert shares(report)["stream_equal"].value == 0.0
    assert shares(report)["replacements_invented"].value == 1.0
    assert "replacement characters that the whole text has not" in report.faults[0].because
    assert check_stream(UTF8, token_by_token(UTF8.decode), [("ascii", "hello")]).faults == ()


def test_holding_back_gives_the_whole_text() -> None:
    report = check_stream(UTF8, held_back(UTF8.decode), SHORT)
    assert report.faults == ()
    assert report.left_out == 5  # half characters have no UTF-8
    assert shares(report)["stream_equal"].n == len(SHORT) - 5


@given(st.text(max_size=40), st.integers(0, 3))
def test_holding_back_gives_any_text_even_one_that_ends_inside_a_character(text: str, cut: int) -> None:
    ids = list(text.encode("utf-8", "replace"))
    ids = ids[: max(0, len(ids) - cut)]
    assert "".join(held_back(UTF8.decode)(ids)) == UTF8.decode(ids)


def test_words_keep_the_spaces_between_them_when_held_back_and_lose_them_token_by_token() -> None:
    text = "the quick brown fox"
    made = words(text)
    (fault,) = check_stream(made, token_by_token(made.decode), [("fox", text)]).faults
    assert (fault.at, fault.because) == (3, "white space was lost or added between the pieces")
    assert not check_stream(made, held_back(made.decode), [("fox", text)]).faults


def test_a_decoder_that_says_the_prompt_again_is_caught() -> None:
    """As vLLM #48853: a prompt that ends inside a character is streamed once more, whole."""

    def again(ids: Sequence[int]) -> Iterator[str]:
        yield "the whole prompt, "
        yield UTF8.decode(ids)

    (fault,) = check_stream(UTF8, again, [("said", "hello")]).faults
    assert fault.because == "18 characters stand before it that are no part of the answer"


@pytest.mark.parametrize(
    ("pieces", "whole", "at", "because"),
    [
        (["he", "l"], "hello", 3, "the last 2 characters never came"),
        (["hexlo"], "hello", 2, "other characters came"),
        (["caf\ufffd", "\ufffd"], "café", 3, "2 replacement characters that the whole text has not"),
        ([], "hello", 0, "the last 5 characters never came"),
    ],
)
def test_a_difference_has_a_place_and_a_cause(pieces: list[str], whole: str, at: int, because: str) -> None:
    fault = stream_fault("said", pieces, whole)
    assert fault is not None
    assert fault.at == at
    assert because in fault.because
    assert stream_fault("said", [whole], whole) is None


def test_a_replacement_character_of_the_text_itself_is_none_of_the_streams_making() -> None:
    report = check_stream(UTF8, held_back(UTF8.decode), [("said", "a \ufffd b \ufffd")])
    assert shares(report)["replacements_invented"].value == 0.0
    assert not report.faults


def test_a_decoder_that_raises_is_a_difference() -> None:
    def broken(ids: Sequence[int]) -> Iterator[str]:
        yield "he"
        raise IndexError("no token 300")

    decoder: StreamDecoder = broken
    (fault,) = check_stream(UTF8, decoder, [("said", "hello")]).faults
    assert fault.because == "the stream raised IndexError: no token 300"


def test_a_report_goes_to_json_and_back() -> None:
    report = check_stream(UTF8, token_by_token(UTF8.decode), FOREIGN)
    assert msgspec.json.decode(msgspec.json.encode(report), type=StreamReport) == report
    assert all(fault.streamed.isprintable() and fault.whole.isprintable() for fault in report.faults)


ASKED = [
    Request(f"r{k}", {"said": Tensor("said", "BYTES", (1,), [t])}, 0.0) for k, t in enumerate(["café au lait", "hi"])
]


def answer(request: Request) -> str:
    return f"you said: {request.inputs['said'].data[0]}"


async def whole(request: Request) -> Response:
    return Response(request.id, {"text": Tensor("text", "BYTES", (1,), [answer(request)])})


def streaming(decode_each: bool, fails: bool = False) -> Handler:
    async def pieces(ids: bytes) -> AsyncIterator[Tensor]:
        decoder = token_by_token(UTF8.decode) if decode_each else held_back(UTF8.decode)
        for piece in decoder(list(ids)):
            yield Tensor("text", "BYTES", (1,), [piece])
        if fails:
            raise RoadworthyError("the model failed in its stream")

    async def stream(request: Request) -> Response:
        return Response(request.id, pieces(answer(request).encode()))

    return stream


def test_a_handlers_stream_is_compared_with_its_whole_text() -> None:
    good = asyncio.run(check_streaming(streaming(decode_each=False), whole, ASKED))
    assert good.faults == ()
    assert shares(good)["stream_equal"].n == 2
    bad = asyncio.run(check_streaming(streaming(decode_each=True), whole, ASKED))
    assert [fault.name for fault in bad.faults] == ["r0"]
    assert shares(bad)["replacements_invented"].value == 0.5


def test_a_stream_that_ends_in_an_error_differs() -> None:
    report = asyncio.run(check_streaming(streaming(decode_each=False, fails=True), whole, ASKED))
    assert [fault.because[:22] for fault in report.faults] == ["the stream raised Road"] * 2


def test_what_is_not_the_same_twice_or_never_comes_whole_is_left_out() -> None:
    chance = random.Random(0)

    async def warm(request: Request) -> Response:
        if request.id.startswith("r0"):
            raise RoadworthyError("no")
        return Response(request.id, {"text": Tensor("text", "BYTES", (1,), [str(chance.random())])})

    report = asyncio.run(check_streaming(streaming(decode_each=False), warm, ASKED))
    assert report.left_out == 2
    assert shares(report)["stream_equal"].n == 0


ECHO = '''"""Says it again, one byte at a time or in whole characters."""


def echo(row):
    for byte in row["said"].encode():
        yield {"text": bytes([byte]).decode("utf-8", "replace")}


def careful(row):
    yield from ({"text": letter} for letter in row["said"])
'''


@pytest.mark.parametrize(("function", "faults"), [("echo", ["r0"]), ("careful", [])])
def test_a_real_streaming_engine_is_checked_through_its_handler(
    tmp_path: Path, function: str, faults: list[str]
) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    signature = Signature({"said": Field("text")}, {"text": Field("text")})

    async def plain(request: Request) -> Response:
        return Response(request.id, {"text": Tensor("text", "BYTES", (1,), request.inputs["said"].data)})

    async def run() -> StreamReport:
        handler = Streamed(Function(f"echo.py:{function}", rows=True, folder=tmp_path), signature)
        report = await check_streaming(handler, plain, ASKED, "text")
        await handler.close()
        return report

    assert [fault.name for fault in asyncio.run(run()).faults] == faults
