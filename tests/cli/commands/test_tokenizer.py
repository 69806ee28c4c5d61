"""`roadworthy tokenizer` says what a tokenizer does to odd text, and answers with its verdict as the exit code."""

from __future__ import annotations

import pytest

SOUND = """
class Letters:
    def encode(self, text):
        return [ord(c) for c in text]

    def decode(self, ids):
        return "".join(map(chr, ids))
"""
EAGER = SOUND.replace("class Letters:", "class Letters:\n    control_ids = (7,)").replace(
    "return [ord(c) for c in text]", 'return [7] if "</s>" in text else [ord(c) for c in text]'
)


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(text):
        (tmp_path / "mine.py").write_text(text)
        return "mine.py:Letters"

    return written


def test_a_sound_tokenizer_passes(call, code):
    told = call("tokenizer", code(SOUND), "--json")
    assert told.code == 0, told.out
    assert {v["of"]: v["decision"] for v in told.body["verdicts"]}["injections"] == "pass"
    assert told.body["report"]["faults"] == []
    assert "every text came back" in call("tokenizer", code(SOUND)).out


def test_text_that_becomes_a_control_token_fails(call, code):
    told = call("tokenizer", code(EAGER))
    assert told.code == 1
    assert "fail: injections" in told.out
    assert "injection" in told.out


def test_texts_of_ones_own_take_the_place_of_ours(call, code, tmp_path):
    (tmp_path / "prompts.txt").write_text("one\ntwo\n")
    body = call("tokenizer", code(SOUND), "--texts", "prompts.txt", "--json").body
    assert body["report"]["measured"][0]["n"] == 2


@pytest.mark.parametrize(
    ("file", "texts", "says"),
    [("gone.json", None, "no tokenizer at"), ("mine.py:Letters", "gone.txt", "cannot be read as UTF-8 text")],
)
def test_what_is_not_there_is_told(call, code, file, texts, says):
    code(SOUND)
    told = call("tokenizer", file, *(["--texts", texts] if texts else []))
    assert (told.code, says in told.err) == (2, True), told.err
