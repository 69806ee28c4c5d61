"""Text features are the columns in which texts can be compared: their length, their words, their signs, their language.

They say that texts changed and how, never what they mean.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.columns import Numbers, Values
from roadworthy.core.language import language_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At most so many texts are looked at, evenly spaced, and of each the first so many characters.
MOST_TEXTS = 10_000
MOST_CHARACTERS = 4_000
# The vocabulary: the commonest terms, 8 bits and 3 hashes each, of which 3 % of other terms are mistaken for known.
_TERMS = 8_000
_HASHES = 3
_LEAST_BITS = 512
_WORD = re.compile(r"\w+")
# Tokens that steer a language model, and characters that nobody sees.
_SPECIAL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|\[/?INST\]|</?s>|<(?:pad|unk|mask|bos|eos)>"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd\U000e0000-\U000e007f]"
)


class Texts(Struct, frozen=True, tag="text", omit_defaults=True):
    """A column of texts: `n` rows, `nulls` of them unknown, their features as columns, and the terms that they use.

    Of many texts only some are looked at, so the features have fewer rows.
    """

    n: int
    nulls: int
    features: Mapping[str, Numbers]
    language: Values
    vocabulary: bytes = b""

    @classmethod
    def of(cls, column: Any, like: Texts | None = None, bits: int = 5) -> Texts:
        """Look at texts; the vocabulary is that of `like`, else of every other text, so that the rest can test it."""
        values = column.tolist() if isinstance(column, np.ndarray) else column.to_list()
        texts = [v for v in values if isinstance(v, str)]
        nulls = len(values) - len(texts)
        texts = texts[:: max(1, -(-len(texts) // MOST_TEXTS))]
        words = [_terms(text) for text in texts]
        vocabulary = _vocabulary(words[::2]) if like is None else like.vocabulary
        features = signs_of(texts)
        features["new_terms"] = _new_terms(words[1::2] if like is None else words, vocabulary)
        kept = {
            name: Numbers.of(feature, like.features.get(name) if like else None, bits)
            for name, feature in features.items()
        }
        languages = np.array([language_of(text) for text in texts], object)
        return cls(len(values), nulls, kept, Values.of(languages, like.language if like else None), vocabulary)

    def parts(self) -> dict[str, Numbers | Values]:
        """The features by name, and the language."""
        return {**self.features, "language": self.language}

    def merge(self, other: Texts) -> Texts:
        """The column of both tables."""
        if self.vocabulary != other.vocabulary:
            raise ValueError("two columns of texts can be merged on one vocabulary only: make one `like` the other")
        features = {name: feature.merge(other.features[name]) for name, feature in self.features.items()}
        language = self.language.merge(other.language)
        return Texts(self.n + other.n, self.nulls + other.nulls, features, language, self.vocabulary)

    def without(self, n: int) -> Texts:
        """The same column with `n` more rows that have no value."""
        return Texts(self.n + n, self.nulls + n, self.features, self.language, self.vocabulary)


def signs_of(texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """What the signs of each text are: how many, how many words, which share is not ASCII, a digit, or special."""
    found = np.array([_signs(text) for text in texts], np.float64).reshape(-1, 5)
    return dict(zip(("length", "words", "non_ascii", "digits", "special"), found.T.copy(), strict=True))


def _signs(text: str) -> tuple[float, float, float, float, float]:
    head = text[:MOST_CHARACTERS]
    n, words = max(1, len(head)), head.count(" ") + head.count("\n") + 1
    ascii_ = len(head.encode("ascii", "ignore"))
    digits = sum(map(head.count, "0123456789"))
    special = sum(1 for _ in _SPECIAL.finditer(head))
    return len(text), words, (len(head) - ascii_) / n, digits / n, special / words


def _terms(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text[:MOST_CHARACTERS].casefold()))


def _vocabulary(words: Iterable[frozenset[str]]) -> bytes:
    """A Bloom filter (Bloom 1970) of the commonest terms, ties by name."""
    counted = Counter(term for terms in words for term in terms)
    common = sorted(counted, key=lambda term: (-counted[term], term))[:_TERMS]
    bits = np.zeros(max(_LEAST_BITS, 8 * len(common)), bool)
    for term in common:
        bits[_places(term, len(bits))] = True
    return np.packbits(bits).tobytes()


def _new_terms(words: Sequence[frozenset[str]], vocabulary: bytes) -> NDArray[np.float64]:
    """Of each text the share of its terms that the vocabulary lacks; NaN where it has no term."""
    bits = np.unpackbits(np.frombuffer(vocabulary, np.uint8)).astype(bool)
    known: dict[str, bool] = {}
    for term in frozenset().union(*words):
        known[term] = bool(bits[_places(term, len(bits))].all()) if len(bits) else False
    return np.array([1 - sum(map(known.__getitem__, terms)) / len(terms) if terms else np.nan for terms in words])


def _places(term: str, bits: int) -> list[int]:
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4 * _HASHES).digest()
    return [int.from_bytes(digest[4 * k : 4 * k + 4], "little") % bits for k in range(_HASHES)]
