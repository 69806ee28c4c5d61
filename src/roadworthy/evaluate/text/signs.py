"""Signs is what a reader who knows the lab's texts sees in others: misspelt words, foreign ones, tags, a torn end.

A sign is a small number for each text. Signs do not say what caused them: several causes may leave the same one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.tidy import INVISIBLE, demojibaked, latin
from roadworthy.evaluate.text.languages import LANGUAGES, dictionary

Grades = NDArray[np.int64]

# No sign has more grades than this.
GRADES = 6
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_MARKS: tuple[re.Pattern[str], ...] = (
    re.compile(r"</?[A-Za-z][^<>]*>|&[a-z]{2,6};|&#\d+;"),  # tags
    re.compile(r"(?m)^[ \t]*>"),  # quoted lines
    re.compile(r"\n--[ \t]*\n|\nSent from my |\nGet Outlook "),  # a signature
    re.compile("\u00a0"),  # no-break blanks
    re.compile(r"(?m)^[ \t]*(?:[-*•‣◦▪]|\d{1,2}[.)])[ \t]+\S"),  # bullets
    re.compile(r"\|[^|]*\|"),  # table pipes
    re.compile(r"\S[ \t]*\n[ \t]*\S"),  # a line that ends amidst the text
    re.compile("[\uff01-\uff5e]"),  # full width
    re.compile(f"[{INVISIBLE}]"),
    re.compile("[\u0300-\u036f]"),  # accents apart from their letters
    re.compile("[!?.]{3,}"),
    re.compile(r"[^\W\d_]\d|\d[^\W\d_]{3}"),  # digits within words
    re.compile("\ufffd|\\w\\?\\w"),
    re.compile("[.,;:!?]"),
)
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Signs:
    """Reads the signs of texts, knowing the `words` of the lab's, how they `end`, and words that are `near` theirs."""

    words: frozenset[str]
    near: frozenset[str]
    ends: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Signs:
        """Whoever has read these texts. A word seen twice is one that others may misspell."""
        read = [[word.lower() for word in _WORD.findall(text)] for text in texts]
        counts = Counter(word for words in read for word in words)
        ends = Counter(words[-1] for words in read if words)
        spelt = [word for word, count in counts.items() if count > 1 and len(word) > 3]
        often = frozenset(word for word, count in ends.items() if count > 1 and count >= 0.05 * counts[word])
        return cls(frozenset(counts), frozenset(spelt).union(*map(_shortened, spelt)), often)

    def __call__(self, texts: Sequence[str]) -> Grades:
        """One row of grades, each below GRADES, for each text."""
        found = [[word.lower() for word in _WORD.findall(text)] for text in texts]
        unknown = {word for words in found for word in words} - self.words
        misspelt = {word for word in unknown if self._is_near(word)}
        glued = {word for word in unknown - misspelt if self._is_glued(word)}
        foreign = [{word for word in unknown if word in _FOREIGN[language]} for language in LANGUAGES]
        rows = [self._grades(text, words, misspelt, glued, foreign) for text, words in zip(texts, found, strict=True)]
        return np.array(rows, dtype=np.int64).reshape(len(texts), -1)

    def _grades(
        self, text: str, words: list[str], misspelt: set[str], glued: set[str], foreign: list[set[str]]
    ) -> list[int]:
        wrong, stuck, n = sum(w in misspelt for w in words), sum(w in glued for w in words), max(1, len(words))
        grades = [_graded(wrong / n, 0.0, 0.08, 0.16, 0.3), _graded(stuck / n, 0.0, 0.12)]
        grades += [min(2, sum(word in known for word in words)) for known in foreign]
        grades += [self._ending(text, words), _case(text), int(_BIDI.search(text) is not None)]
        grades += [int(not text.isascii() and change(text) != text) for change in (demojibaked, latin)]
        return grades + [int(mark.search(text) is not None) for mark in _MARKS]

    def _ending(self, text: str, words: list[str]) -> int:
        """Whether a mark ends the text, and whether its last word is one that texts end in, a known one, or neither."""
        last = 2 if not words or words[-1] not in self.words else int(words[-1] not in self.ends)
        return last + 3 * (not text.rstrip().endswith((".", "!", "?", "…", ")", '"', "”")))

    def _is_near(self, word: str) -> bool:
        """One letter too few, too many, another, or two in each other's place, away from a word of the lab."""
        return len(word) > 3 and (word in self.near or not self.near.isdisjoint(_shortened(word)))

    def _is_glued(self, word: str) -> bool:
        return any(word[:k] in self.words and word[k:] in self.words for k in range(2, len(word) - 1))


def _shortened(word: str) -> set[str]:
    return {word[:k] + word[k + 1 :] for k in range(len(word))}


def _graded(value: float, *bounds: float) -> int:
    return sum(value > bound for bound in bounds)


def _case(text: str) -> int:
    cases: tuple[Callable[[str], bool], ...] = (str.isupper, str.islower, str.istitle)
    return next((k + 1 for k, is_so in enumerate(cases) if is_so(text)), 0)


_FOREIGN = {
    language: frozenset(part.lower() for said in dictionary(language).values() for part in said.split())
    for language in LANGUAGES
}
