"""Whether a text that is streamed piece by piece is the text that would have come whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.hostile.printable import printable
from roadworthy.evaluate.tokens.tokenizers import REPLACEMENT, Decode, Tokenizer, exact

StreamDecoder = Callable[[Sequence[int]], Iterable[str]]
# A name, the pieces of the stream or what it raised, and the whole text.
Compared = tuple[str, list[str] | Exception, str]


class StreamFault(Struct, frozen=True):
    """A text whose stream was another one: from which character on, and both from there. All is safe to print."""

    name: str
    at: int
    streamed: str
    whole: str
    because: str


class StreamReport(Struct, frozen=True):
    """`stream_equal` and `replacements_invented` over the texts, and every text that differed.

    `left_out` counts what could not be compared, because the whole text is not the same twice, or never came.
    """

    measured: tuple[Measurement, ...]
    faults: tuple[StreamFault, ...]
    left_out: int = 0


def token_by_token(decode: Decode) -> StreamDecoder:
    """The stream of a server that decodes each token by itself: wrong wherever a character takes several tokens."""
    return lambda ids: (decode([number]) for number in ids)


def held_back(decode: Decode) -> StreamDecoder:
    """The stream of a server that decodes with the tokens before, and holds back what may yet become a character.

    The way of text-generation-inference and of vLLM's slow detokenizer: the text is what a window of tokens has more
    than its beginning has, and is held back while it ends in a replacement character.
    """

    def stream(ids: Sequence[int]) -> Iterator[str]:
        start, read = 0, 0
        for end in range(1, len(ids) + 1):
            before, now = decode(ids[start:read]), decode(ids[start:end])
            if len(now) > len(before) and not now.endswith(REPLACEMENT):
                yield now[len(before) :]
                start, read = read, end
        rest = decode(ids[start:])[len(decode(ids[start:read])) :]
        if rest:
            yield rest

    return stream


def stream_fault(name: str, pieces: Sequence[str], whole: str) -> StreamFault | None:
    """How the pieces differ from the whole; None where they are the same and hold no half characters of their own."""
    streamed = "".join(pieces)
    if streamed == whole:
        return None
    at = next(
        (k for k, (a, b) in enumerate(zip(streamed, whole, strict=False)) if a != b), min(len(streamed), len(whole))
    )
    return StreamFault(name, at, printable(streamed[at:], 60), printable(whole[at:], 60), _cause(streamed, whole))


def _cause(streamed: str, whole: str) -> str:
    invented = streamed.count(REPLACEMENT) - whole.count(REPLACEMENT)
    if invented > 0:
        return f"{invented} replacement characters that the whole text has not: characters were cut in two"
    if "".join(streamed.split()) == "".join(whole.split()):
        return "white space was lost or added between the pieces"
    if whole and streamed.endswith(whole):
        return f"{len(streamed) - len(whole)} characters stand before it that are no part of the answer"
    if whole.startswith(streamed):
        return f"the last {len(whole) - len(streamed)} characters never came"
    return "other characters came"


def check_stream(tokenizer: Tokenizer, decoder: StreamDecoder, texts: Iterable[tuple[str, str]]) -> StreamReport:
    """Encode each (name, text), and compare the decoder's stream with the tokenizer's decoding of all ids at once."""
    found: list[Compared | None] = []
    for name, text in texts:
        # A text that the tokenizer itself cannot take is the affair of check_tokenizer.
        try:
            ids = tokenizer.encode(text)
            whole = tokenizer.decode(ids)
        except Exception:
            found.append(None)
            continue
        found.append((name, _pieces(decoder, ids), whole))
    return _report(found)


def _pieces(decoder: StreamDecoder, ids: Sequence[int]) -> list[str] | Exception:
    """What a decoder raises in mid-stream is its answer to that text."""
    try:
        return list(decoder(ids))
    except Exception as wrong:
        return wrong


async def check_streaming(
    streaming: Handler, whole: Handler, requests: Sequence[Request], output: str = ""
) -> StreamReport:
    """Ask both handlers the same, and compare the pieces of the one, put together, with the text of the other.

    `whole` is asked twice: where it does not say the same twice (a temperature above 0, say) nothing can be compared,
    and the request is left out. `output` is the name of the text, by default the first that comes.
    """
    found: list[Compared | None] = []
    for request in requests:
        try:
            texts = ["".join(await _texts(await whole(_named(request, k)), output)) for k in range(2)]
        # A request that has no whole answer has nothing to be compared with; it is counted as left out.
        except Exception:
            texts = []
        if len(set(texts)) != 1:
            found.append(None)
            continue
        found.append((request.id, await _streamed(streaming, request, output), texts[0]))
    return _report(found)


async def _streamed(streaming: Handler, request: Request, output: str) -> list[str] | Exception:
    """The pieces. A stream that ends in an error is a difference, not a reason to leave the text out."""
    try:
        return await _texts(await streaming(_named(request, "stream")), output)
    except Exception as wrong:
        return wrong


async def _texts(response: Response, output: str) -> list[str]:
    if isinstance(response.outputs, Mapping):
        name = output or next(iter(response.outputs))
        return _words(response.outputs[name].data)
    pieces: list[str] = []
    async for tensor in response.outputs:
        if not output or tensor.name == output:
            output = output or tensor.name
            pieces += _words(tensor.data)
    return pieces


def _words(data: Any) -> list[str]:
    return [str(part) for part in np.asarray(data, dtype=object).reshape(-1).tolist()]


def _named(request: Request, suffix: object) -> Request:
    return msgspec.structs.replace(request, id=f"{request.id}-{suffix}")


def _report(found: Sequence[Compared | None]) -> StreamReport:
    compared = [one for one in found if one is not None]
    faults, invented = [], 0
    for name, pieces, whole in compared:
        if isinstance(pieces, Exception):
            told = f"the stream raised {type(pieces).__name__}: {printable(str(pieces), 200)}"
            faults.append(StreamFault(name, 0, "", printable(whole, 60), told))
            continue
        fault = stream_fault(name, pieces, whole)
        faults += [fault] if fault else []
        invented += "".join(pieces).count(REPLACEMENT) > whole.count(REPLACEMENT)
    measured = (
        exact("stream_equal", len(compared) - len(faults), len(compared)),
        exact("replacements_invented", invented, len(compared)),
    )
    return StreamReport(measured, tuple(faults), len(found) - len(compared))
