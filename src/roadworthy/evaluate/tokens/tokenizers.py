"""What a tokenizer does to odd text: whether it comes back, becomes control tokens, or costs more than it should."""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing
from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
from roadworthy.evaluate.hostile.printable import printable

Encode = Callable[[str], Sequence[int]]
Decode = Callable[[Sequence[int]], str]
Loss = Literal[
    "",
    "replacement character",
    "white space",
    "case",
    "Unicode form",
    "cut short",
    "unknown token",
    "exception",
    "other",
]

REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back, as a model that answers sees it: no ids added in front or behind.

    `control_ids` are those that text must never become: the beginning and end of a turn, of a document, of a tool call.
    """

    name: str
    encode: Encode
    decode: Decode
    control_ids: frozenset[int] = frozenset()


class TokenizerFault(Struct, frozen=True):
    """A text that did not come back, or that became control tokens. `text` is safe to print."""

    name: str
    text: str
    what: Literal["round trip", "injection", "ratio", "time"]
    loss: Loss
    because: str


class TokenizerReport(Struct, frozen=True):
    """What the texts showed: `round_trip`, `exceptions`, `injections`, tokens per character, and each fault.

    Like all edge cases the texts are a list and no sample, so that shares are exact. `losses` counts the kinds of loss.
    """

    name: str
    measured: tuple[Measurement, ...]
    losses: dict[str, int]
    faults: tuple[TokenizerFault, ...]


class _Seen(Struct, frozen=True):
    """One text, what became of it and how long that took; `tokens` is -1 where it could not be encoded."""

    name: str
    text: str
    seconds: float
    tokens: int
    control: tuple[int, ...]
    loss: Loss
    because: str


def check_tokenizer(
    tokenizer: Tokenizer,
    texts: Iterable[tuple[str, str]] | None = None,
    most_tokens: float = 8.0,
    most_seconds: float = 5.0,
    now: Callable[[], float] = time.perf_counter,
) -> TokenizerReport:
    """Every (name, text), by default our naughty strings: there and back, watching for control ids and for the cost.

    More than `most_tokens` a character is a fault: who pays by the token, or bounds a prompt in characters, is open to
    being made to pay. So is a text that takes over `most_seconds` there and back, by the clock `now`.
    """
    cases = ((case.name, case.text) for case in naughty_strings()) if texts is None else texts
    seen = [_see(tokenizer, name, text, now) for name, text in cases]
    return TokenizerReport(
        tokenizer.name,
        tuple(_measured(seen)),
        dict(Counter(one.loss for one in seen if one.loss).most_common()),
        tuple(fault for one in seen for fault in _faults(one, most_tokens, most_seconds)),
    )


def loss_of(text: str, back: str) -> Loss:
    """What kind of loss lies between a text and what came back of it, "" where there is none.

    >>> loss_of("cafe\\u0301", "caf\\u00e9"), loss_of("a  b", "a b"), loss_of("Ab", "ab"), loss_of("same", "same")
    ('Unicode form', 'white space', 'case', '')
    """
    if back == text:
        return ""
    if back.count(REPLACEMENT) > text.count(REPLACEMENT):
        return "replacement character"
    if "<unk>" in back and "<unk>" not in text:
        return "unknown token"
    if "".join(back.split()) == "".join(text.split()):
        return "white space"
    if back.casefold() == text.casefold():
        return "case"
    if unicodedata.normalize("NFKC", back) == unicodedata.normalize("NFKC", text):
        return "Unicode form"
    return "cut short" if text.startswith(back) else "other"


def ratio(tokens: int, text: str) -> float:
    """Tokens per character; those of an empty text count as if it had one."""
    return tokens / max(1, len(text))


def _see(tokenizer: Tokenizer, name: str, text: str, now: Callable[[], float]) -> _Seen:
    started, ids, back, raised = now(), None, "", ""
    # Whatever a tokenizer raises on a text is what it does to whoever sends that text: it is kept with the text. A
    # panic of one that is written in Rust is no Exception.
    try:
        ids = [int(number) for number in tokenizer.encode(text)]
        back = tokenizer.decode(ids)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as wrong:
        doing = "encoding" if ids is None else "decoding"
        raised = f"{doing} raised {type(wrong).__name__}: {printable(str(wrong), 200)}"
    seconds = now() - started
    loss: Loss = "exception" if raised else loss_of(text, back)
    control = tuple(dict.fromkeys(number for number in ids or () if number in tokenizer.control_ids))
    told = raised or (f"it came back as “{printable(back)}”" if loss else "")
    return _Seen(name, text, seconds, -1 if ids is None else len(ids), control, loss, told)


def _measured(seen: Sequence[_Seen]) -> Iterator[Measurement]:
    lost = sum(one.loss not in ("", "exception") for one in seen)
    raised = sum(one.loss == "exception" for one in seen)
    yield exact("round_trip", len(seen) - lost - raised, len(seen))
    yield exact("mismatches", lost, len(seen))
    yield exact("exceptions", raised, len(seen))
    yield exact("injections", sum(bool(one.control) for one in seen), len(seen))
    slowest = max((one.seconds for one in seen), default=0.0)
    yield (
        Measurement("slowest_seconds", slowest, len(seen), slowest, slowest, "s")
        if seen
        else nothing("slowest_seconds", "s")
    )
    ratios = [ratio(one.tokens, one.text) for one in seen if one.tokens >= 0]
    for name, share in (("tokens_per_character_p99", 0.99), ("tokens_per_character_max", 1.0)):
        if not ratios:
            yield nothing(name)
            continue
        value = float(np.quantile(ratios, share, method="higher"))
        yield Measurement(name, value, len(ratios), value, value)


def exact(name: str, hits: int, n: int, where: str = "") -> Measurement:
    """A share of a list of cases, which is no sample of anything and so is known exactly."""
    return Measurement(name, hits / n, n, hits / n, hits / n, where=where) if n else nothing(name, where=where)


def _faults(one: _Seen, most_tokens: float, most_seconds: float) -> Iterator[TokenizerFault]:
    text = printable(one.text)
    if one.loss:
        yield TokenizerFault(one.name, text, "round trip", one.loss, one.because)
    if one.control:
        told = f"plain text became the control ids {', '.join(map(str, one.control[:8]))}"
        yield TokenizerFault(one.name, text, "injection", "", told)
    if ratio(one.tokens, one.text) > most_tokens:
        told = f"{one.tokens} tokens for {len(one.text)} characters, at most {most_tokens:g} a character allowed"
        yield TokenizerFault(one.name, text, "ratio", "", told)
    if one.seconds > most_seconds:
        told = f"{one.seconds:.1f} s for {len(one.text)} characters, at most {most_seconds:g} s allowed"
        yield TokenizerFault(one.name, text, "time", "", told)
