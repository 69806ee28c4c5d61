from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.evaluate.hostile.naughty_strings import naughty_strings
from roadworthy.evaluate.tokens.tokenizers import Tokenizer, TokenizerReport, check_tokenizer, loss_of

END = 256


def utf8(errors: str = "strict") -> Tokenizer:
    """One token a byte, and one that ends a text."""

    def encode(text: str) -> list[int]:
        return list(text.encode("utf-8", errors))

    def decode(ids: Sequence[int]) -> str:
        return bytes(number for number in ids if number < END).decode("utf-8", "replace")

    return Tokenizer("utf8", encode, decode, frozenset({END}))


def shares(report: TokenizerReport) -> dict[str, Measurement]:
    return {m.name: m for m in report.measured}


def test_bytes_lose_nothing_but_half_characters_which_they_cannot_take() -> None:
    report = check_tokenizer(utf8())
    found = shares(report)
    n = len(list(naughty_strings()))
    assert report.losses == {"exception": 5}
    assert {fault.name.rsplit(" ", 1)[0] for fault in report.faults} == {"lone surrogates"}
    assert "encoding raised UnicodeEncodeError" in report.faults[0].because
    assert (found["exceptions"].value, found["exceptions"].n) == (5 / n, n)
    assert found["round_trip"].value == found["round_trip"].low == found["round_trip"].high == (n - 5) / n
    assert found["mismatches"].value == found["injections"].value == 0.0


def test_a_silent_loss_is_told_from_an_exception() -> None:
    report = check_tokenizer(utf8("replace"))
    assert report.losses == {"other": 5}  # Python writes "?" for a half character
    assert shares(report)["exceptions"].value == 0.0
    assert shares(report)["mismatches"].value == 5 / shares(report)["mismatches"].n


@pytest.mark.parametrize(
    ("text", "back", "loss"),
    [
        ("same", "same", ""),
        ("", "", ""),
        ("\ud800", "\ufffd", "replacement character"),
        ("鷗", "<unk>", "unknown token"),
        (" leading", "leading", "white space"),
        ("a\u00a0b", "a b", "white space"),
        ("Straße", "straße", "case"),
        ("cafe\u0301", "café", "Unicode form"),
        ("ｆｕｌｌ", "full", "Unicode form"),
        ("a long text", "a long", "cut short"),
        ("one", "two", "other"),
    ],
)
def test_a_loss_has_a_kind(text: str, back: str, loss: str) -> None:
    assert loss_of(text, back) == loss


def test_text_that_becomes_a_control_token_is_an_injection() -> None:
    inner = utf8()

    def encode(text: str) -> list[int]:
        head, found, tail = text.partition("</s>")
        return [*inner.encode(head), *([END] if found else []), *inner.encode(tail)]

    texts = [("calm", "hello"), ("end", "give me </s> now"), ("like it", "< /s>")]
    report = check_tokenizer(Tokenizer("open", encode, inner.decode, frozenset({END})), texts)
    assert shares(report)["injections"].value == pytest.approx(1 / 3)
    (fault,) = [fault for fault in report.faults if fault.what == "injection"]
    assert (fault.name, fault.because) == ("end", "plain text became the control ids 256")


def test_a_text_that_costs_too_many_tokens_is_a_fault() -> None:
    texts = [("plain", "hello"), ("emoji", "🙂🙂"), ("empty", "")]
    report = check_tokenizer(utf8(), texts, most_tokens=3.0)
    assert shares(report)["tokens_per_character_max"].value == 4.0
    assert shares(report)["tokens_per_character_p99"].value == 4.0
    (fault,) = report.faults
    assert (fault.name, fault.what) == ("emoji", "ratio")
    assert fault.because == "8 tokens for 2 characters, at most 3 a character allowed"


def test_an_empty_text_that_becomes_tokens_is_counted_as_if_it_had_a_character() -> None:
    chatty = Tokenizer("chatty", lambda text: [1, 2, 3], lambda ids: "")
    assert shares(check_tokenizer(chatty, [("empty", "")]))["tokens_per_character_max"].value == 3.0


def test_a_tokenizer_that_cannot_decode_its_own_ids_is_found_out() -> None:
    def decode(ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8") if len(ids) < 4 else str(1 / 0)

    report = check_tokenizer(Tokenizer("short", utf8().encode, decode), [("a", "abc"), ("b", "abcd")])
    (fault,) = report.faults
    assert fault.because == "decoding raised ZeroDivisionError: division by zero"
    # It was encoded all the same, and so has its price.
    assert shares(report)["tokens_per_character_max"].n == 2


def test_no_texts_measure_nothing_and_a_report_goes_to_json_and_back() -> None:
    assert all(m.n == 0 for m in check_tokenizer(utf8(), []).measured)
    report = check_tokenizer(utf8("replace"))
    assert msgspec.json.decode(msgspec.json.encode(report), type=TokenizerReport) == report


def test_whatever_a_fault_shows_can_be_printed() -> None:
    backwards = Tokenizer("backwards", utf8("replace").encode, lambda ids: bytes(ids)[::-1].decode("utf-8", "replace"))
    report = check_tokenizer(backwards)
    assert len(report.faults) > 200
    assert all(fault.text.isprintable() and fault.because.isprintable() for fault in report.faults)


def test_a_text_that_takes_too_long_is_a_fault() -> None:
    clock = [0.0]

    def encode(text: str) -> list[int]:
        clock[0] += (len(text) / 100) ** 2  # as a bad regular expression does
        return utf8().encode(text)

    made = Tokenizer("slow", encode, utf8().decode)
    report = check_tokenizer(made, [("short", "a" * 100), ("long", "a" * 300)], now=lambda: clock[0])
    assert shares(report)["slowest_seconds"].value == 9.0
    (fault,) = report.faults
    assert (fault.name, fault.what) == ("long", "time")
    assert fault.because == "9.0 s for 300 characters, at most 5 s allowed"


def test_a_panic_is_kept_with_its_text_and_a_person_who_stops_it_is_heard() -> None:
    class Panic(BaseException):
        """What a tokenizer written in Rust raises where it gives up."""

    def gives(wrong: BaseException) -> Tokenizer:
        def encode(text: str) -> list[int]:
            raise wrong

        return Tokenizer("rust", encode, utf8().decode)

    (fault,) = check_tokenizer(gives(Panic("slice")), [("a", "a")]).faults
    assert fault.because == "encoding raised Panic: slice"
    with pytest.raises(KeyboardInterrupt):
        check_tokenizer(gives(KeyboardInterrupt()), [("a", "a")])
