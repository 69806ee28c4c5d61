"""Opens a tokenizer by what its file is: Hugging Face, tekken or sentencepiece, or a class in a Python file."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData, Missing, MissingExtra, SpecError
from roadworthy.evaluate.tokens.tokenizers import Tokenizer

EXTRA = "tokenizers"


def open_tokenizer(where: str, root: Path | None = None) -> Tokenizer:
    """The tokenizer in a file, or behind `file.py:Name`, relative to `root`.

    `Name` is a class that is made without arguments, a function that returns a tokenizer, or one that is ready: it has
    `encode(text)` and `decode(ids)`, and where it knows them `control_ids`. Raises Missing, BadData, SpecError and
    MissingExtra.
    """
    if ".py:" in where:
        return _of_code(where, root)
    path = (root or Path()) / where
    if not path.is_file():
        raise Missing(f"no tokenizer at {str(path)!r}; give a tokenizer.json, tekken.json, *.model or `file.py:Name`")
    try:
        return _of_json(path) if path.suffix == ".json" else _sentencepiece(path)
    except (BadData, MissingExtra):
        raise
    # The libraries raise what they like, down to plain Exception, for a file that they cannot read.
    except Exception as wrong:
        raise BadData(f"{str(path)!r} cannot be read as a tokenizer: {type(wrong).__name__}: {wrong}") from wrong


def _of_json(path: Path) -> Tokenizer:
    told: Any = json.loads(path.read_bytes())
    if isinstance(told, dict) and "model" in told:
        return _hugging_face(path)
    if isinstance(told, dict) and "vocab" in told and "config" in told:
        return _tekken(path)
    raise BadData(f"{str(path)!r} is neither a Hugging Face tokenizer (`model`) nor tekken (`config` and `vocab`)")


def _hugging_face(path: Path) -> Tokenizer:
    made = _imported("tokenizers").Tokenizer.from_file(str(path))
    special = frozenset(n for n, token in made.get_added_tokens_decoder().items() if token.special)

    def encode(text: str) -> Sequence[int]:
        ids: list[int] = made.encode(text, add_special_tokens=False).ids
        return ids

    # Special tokens are written out: a text that became one would else be taken for lost.
    return Tokenizer(path.name, encode, lambda ids: str(made.decode(list(ids), skip_special_tokens=False)), special)


def _tekken(path: Path) -> Tokenizer:
    made = _imported("mistral_common.tokens.tokenizers.tekken", "mistral_common").Tekkenizer.from_file(path)
    special = frozenset(range(made.num_special_tokens))

    def encode(text: str) -> Sequence[int]:
        ids: list[int] = made.encode(text, bos=False, eos=False)
        return ids

    return Tokenizer(path.name, encode, lambda ids: str(made.decode(list(ids))), special)


def _sentencepiece(path: Path) -> Tokenizer:
    made = _imported("sentencepiece").SentencePieceProcessor(model_file=str(path))
    special = frozenset(n for n in range(made.vocab_size()) if made.is_control(n))

    def encode(text: str) -> Sequence[int]:
        ids: list[int] = made.encode(text)
        return ids

    return Tokenizer(path.name, encode, lambda ids: str(made.decode(list(ids))), special)


def _of_code(where: str, root: Path | None) -> Tokenizer:
    found = load(where, root)
    made = found if hasattr(found, "encode") and not isinstance(found, type) else found()
    if not callable(getattr(made, "encode", None)) or not callable(getattr(made, "decode", None)):
        raise SpecError(
            f"`{where}` has no `encode(text)` and `decode(ids)`, which a tokenizer must have; got {made!r:.80}"
        )
    return Tokenizer(where, made.encode, made.decode, frozenset(getattr(made, "control_ids", ())))


def _imported(module: str, package: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as absent:
        raise MissingExtra("this tokenizer", package or module, EXTRA) from absent
