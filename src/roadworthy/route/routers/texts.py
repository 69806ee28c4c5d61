"""A text read as features: its words by their letters, their pieces, and the text's signs."""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.route.routers.packed import Packed
from roadworthy.route.routers.reading import FURTHEST, NUMBER_SCALE, Column, Said, Scale
from roadworthy.route.routers.signs import signs_of
from roadworthy.route.routers.sparse import Rows
from roadworthy.route.routers.words import letters_of, pieces_of, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A word that fewer texts have says nothing that another text can confirm.
_LEAST_TEXTS = 2
# The rarity of a word that nobody has, for which its pieces speak: low, for it may be a slip of the pen.
_UNKNOWN = 3.0
# So many words are remembered with their sums, and then forgotten all at once.
_MOST_WORDS = 100_000


class Text(Struct, frozen=True, tag="text"):
    """A column of texts. `seen` and `pieces` say how many of `n` texts have a word or a piece in each bucket.

    A word's features are its letters and its pieces, each set weighted by rarity (idf, Sparck Jones 1972) and of the
    length that the word's rarity gives it; a text's are the sums over its distinct words, divided by their length. So
    what a word adds can be remembered, and a text costs a look-up a word.
    """

    column: str
    n: int
    seen: Packed
    pieces: Packed
    signs: Scale

    @classmethod
    def fit(cls, column: str, texts: Column, bits: int = 16) -> Text:
        """Count the words of texts; no label is needed."""
        mask, counts, pieces = (1 << bits) - 1, np.zeros(1 << bits), np.zeros(1 << bits)
        known: dict[bytes, tuple[int, list[int]]] = {}
        for text in texts:
            words = words_of(_string(text))
            for word in words - known.keys():
                known[word] = letters_of(word, mask), pieces_of(word, mask)
            counts[list({known[word][0] for word in words})] += 1
            pieces[list({piece for word in words for piece in known[word][1]})] += 1
        scale = Scale.of(np.array([signs_of(_string(text)) for text in texts]))
        most = np.iinfo(np.uint16).max
        told, parts = (Packed.of(np.minimum(found, most), "<u2") for found in (counts, pieces))
        return cls(column, len(texts), told, parts, scale)

    @property
    def buckets(self) -> int:
        """How many buckets there are for words, and as many for pieces."""
        return self.seen.shape[0]

    @property
    def width(self) -> int:
        """Words, pieces and signs."""
        return 2 * self.buckets + len(self.signs.middle)

    def rows(self, values: Column) -> Rows:
        """The features of each text."""
        dictionary = _Dictionary(self)
        columns, numbers, counts = [], [], []
        places = np.arange(2 * self.buckets, self.width)
        signs = NUMBER_SCALE * self._scores(values)
        for value, row in zip(values, signs, strict=True):
            found = [dictionary.features(word) for word in words_of(_string(value))]
            length = sqrt(sum(square for _, _, square in found)) or 1.0
            columns += [where for where, _, _ in found] + [places]
            numbers += [what / length for _, what, _ in found] + [row]
            counts.append(sum(len(where) for where, _, _ in found) + len(places))
        if not columns:
            return Rows(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0), self.width)
        starts = np.append(0, np.cumsum(counts))
        return Rows(starts, np.concatenate(columns), np.concatenate(numbers), self.width)

    def strangeness(self, values: Column, known: bool = False) -> NDArray[np.float64]:
        """The mean surprise of the words (nats) plus half the mean squared score of the signs.

        `known` texts are those that were counted; each is judged by the counts of the others.
        """
        surprises = _surprises(self.seen.array() - known, self.n - known)
        mask, found = self.buckets - 1, np.empty(len(values))
        for k, value in enumerate(values):
            buckets = [letters_of(word, mask) for word in words_of(_string(value))]
            found[k] = surprises[buckets].mean() if buckets else surprises.max()
        return np.asarray(found + (self._scores(values) ** 2).mean(axis=1) / 2)

    def _scores(self, values: Column) -> NDArray[np.float64]:
        found = np.array([signs_of(_string(value)) for value in values], np.float64)
        return self.signs.scores(found.reshape(len(values), len(self.signs.middle)))

    def scorer(self, weights: NDArray[np.float64]) -> Callable[[Any], Said]:
        """Sums over remembered words."""
        remembered = _Remembered(self, weights)
        per_sign = (NUMBER_SCALE * weights[2 * self.buckets :]).tolist()
        table = [
            (middle, 1.0 / spread, *pair)
            for middle, spread, pair in zip(self.signs.middle, self.signs.spread, per_sign, strict=True)
        ]
        look, halved, rarest = remembered.__getitem__, 0.5 / len(table), log(1 + self.n)

        def score(value: Any) -> Said:
            text = value if type(value) is str else _string(value)
            strong = weak = squares = surprise = 0.0
            if words := words_of(text):
                strongs, weaks, lengths, surprises = zip(*map(look, words), strict=True)
                length = sqrt(sum(lengths)) or 1.0
                strong, weak, surprise = sum(strongs) / length, sum(weaks) / length, sum(surprises) / len(words)
            else:
                surprise = rarest
            for sign, (middle, inverse, for_strong, for_weak) in zip(signs_of(text), table, strict=True):
                z = (sign - middle) * inverse
                z = -FURTHEST if z < -FURTHEST else FURTHEST if z > FURTHEST else z
                strong += z * for_strong
                weak += z * for_weak
                squares += z * z
            return strong, weak, surprise + halved * squares

        return score


class _Dictionary:
    """The features of each word that was met."""

    def __init__(self, text: Text) -> None:
        self._buckets = text.buckets
        self._words, self._pieces = (_rarity(packed.array(), text.n) for packed in (text.seen, text.pieces))
        self._known: dict[bytes, tuple[NDArray[np.int64], NDArray[np.float64], float]] = {}

    def features(self, word: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """Columns, values, and the sum of the squared values."""
        found = self._known.get(word)
        if found is None:
            found = self._known[word] = self.made(word)
        return found

    def made(self, word: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """The same, worked out anew."""
        mask = self._buckets - 1
        letters, pieces = letters_of(word, mask), pieces_of(word, mask)
        rarity = float(self._words[letters])
        values = self._pieces[pieces]
        length = sqrt(float(values @ values))
        parts = values * ((rarity or _UNKNOWN) / length) if length else values
        numbers = np.append(rarity, parts)
        return np.array([letters, *(self._buckets + p for p in pieces)]), numbers, float(numbers @ numbers)


class _Remembered(dict[bytes, tuple[float, float, float, float]]):
    """What each word adds for the strong and the weak model, to the squared length and to the surprise."""

    def __init__(self, text: Text, weights: NDArray[np.float64]) -> None:
        super().__init__()
        self._dictionary, self._weights, self._mask = _Dictionary(text), weights, text.buckets - 1
        self._surprises = _surprises(text.seen.array(), text.n)

    def __missing__(self, word: bytes) -> tuple[float, float, float, float]:
        columns, values, square = self._dictionary.made(word)
        strong, weak = (values @ self._weights[columns]).tolist()
        if len(self) >= _MOST_WORDS:
            self.clear()
        found = self[word] = strong, weak, square, float(self._surprises[letters_of(word, self._mask)])
        return found


def _rarity(counts: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.where(counts >= _LEAST_TEXTS, np.log((1 + n) / (1 + counts)) + 1, 0.0)


def _surprises(counts: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.log((1 + n) / (1 + np.maximum(counts, 0))))


def _string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
