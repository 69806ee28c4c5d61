from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData, Missing, MissingExtra, SpecError
from roadworthy.evaluate.tokens.tokenizer_files import open_tokenizer
from roadworthy.evaluate.tokens.tokenizers import check_tokenizer

CODE = '''"""Tokenizers of a project."""


class Letters:
    control_ids = (0,)

    def encode(self, text):
        return [ord(letter) for letter in text]

    def decode(self, ids):
        return "".join(map(chr, ids))


def made():
    return Letters()


ready = Letters()


class Half:
    def encode(self, text):
        return []
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize("name", ["Letters", "made", "ready"])
def test_a_class_a_function_and_an_object_of_a_file_are_tokenizers(root: Path, name: str) -> None:
    opened = open_tokenizer(f"mine.py:{name}", root)
    assert opened.control_ids == {0}
    report = check_tokenizer(opened, [("zürich", "Zürich"), ("nul", "\x00")])
    assert [(fault.name, fault.what) for fault in report.faults] == [("nul", "injection")]


def test_what_is_no_tokenizer_is_refused(root: Path) -> None:
    with pytest.raises(SpecError, match=r"no `encode\(text\)` and `decode\(ids\)`"):
        open_tokenizer("mine.py:Half", root)
    with pytest.raises(Missing, match="no tokenizer at"):
        open_tokenizer("absent.json", root)


@pytest.mark.parametrize(
    ("held", "because"), [("{}", "is neither a Hugging Face"), ("[1]", "is neither"), ("{", "cannot be read")]
)
def test_a_json_file_that_is_no_tokenizer_is_refused(root: Path, held: str, because: str) -> None:
    (root / "tokenizer.json").write_text(held)
    with pytest.raises(BadData, match=because):
        open_tokenizer("tokenizer.json", root)


@pytest.mark.parametrize(
    ("file", "held", "module"),
    [
        ("tokenizer.json", {"model": {}}, "tokenizers"),
        ("tekken.json", {"config": {}, "vocab": []}, "mistral_common"),
        ("spm.model", {}, "sentencepiece"),
    ],
)
def test_a_torn_file_says_so_or_which_extra_reads_it(root: Path, file: str, held: object, module: str) -> None:
    (root / file).write_text(json.dumps(held))
    installed = importlib.util.find_spec(module) is not None
    with pytest.raises(BadData if installed else MissingExtra, match="cannot be read" if installed else module):
        open_tokenizer(file, root)
