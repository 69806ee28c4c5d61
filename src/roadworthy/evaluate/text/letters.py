"""Letters are many texts as one array of code points, so that a million letters are spoilt at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Letters:
    """`codes` (m,) are the code points of all texts, one text after the other; `lengths` (n,) says how long each is."""

    codes: Codes
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Letters:
        """The letters of the texts; a lone surrogate is a letter like any other."""
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
        return cls(codes, np.fromiter(map(len, texts), np.int64, len(texts)))

    def texts(self) -> list[str]:
        """The texts again."""
        joined = self.codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        ends = np.cumsum(self.lengths)
        starts = ends - self.lengths
        return [joined[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def are(self, kind: Callable[[str], bool]) -> Mask:
        """Which letters are of a kind, as `str.isalpha` has it."""
        found, where = np.unique(self.codes, return_inverse=True)
        return np.array([kind(chr(code)) for code in found.tolist()], dtype=bool)[where]

    def with_next(self, mask: Mask) -> Mask:
        """Those in the mask whose next letter, in the same text, is in it too."""
        both = np.zeros(len(self.codes), dtype=bool)
        both[:-1] = mask[:-1] & mask[1:]
        ends = np.cumsum(self.lengths) - 1
        both[ends[self.lengths > 0]] = False
        return both

    def replaced(self, mask: Mask, codes: Codes) -> Letters:
        """With other letters (as many as the mask holds) in place of those in the mask."""
        changed = self.codes.copy()
        changed[mask] = codes
        return Letters(changed, self.lengths)

    def swapped(self, mask: Mask) -> Letters:
        """With each letter in the mask and the one behind it in each other's place; of two in a row only the first."""
        first = np.flatnonzero(mask)
        first = first[np.diff(first, prepend=-2) > 1]
        changed = self.codes.copy()
        changed[first], changed[first + 1] = self.codes[first + 1], self.codes[first]
        return Letters(changed, self.lengths)

    def dropped(self, mask: Mask) -> Letters:
        """Without the letters in the mask."""
        return Letters(self.codes[~mask], self._lengths((~mask).astype(np.int64)))

    def inserted(self, mask: Mask, codes: Codes) -> Letters:
        """With one more letter behind each in the mask."""
        times = 1 + mask.astype(np.int64)
        longer = np.repeat(self.codes, times)
        longer[np.cumsum(times)[mask] - 1] = codes
        return Letters(longer, self._lengths(times))

    def _lengths(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        upto = np.concatenate(([0], np.cumsum(times)))
        ends = np.cumsum(self.lengths)
        return np.asarray(upto[ends] - upto[ends - self.lengths], dtype=np.int64)
