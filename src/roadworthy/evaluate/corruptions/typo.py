"""Typo: fingers hit the key beside, twice, not at all or too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.text.letters import Codes, Letters, Mask
from roadworthy.evaluate.text.texts import spoil_texts

Slip = Literal["beside", "extra", "drop", "swap", "double"]
SLIPS: tuple[Slip, ...] = ("beside", "extra", "drop", "swap")

# Each row of keys with how far it is shifted to the right, in keys.
KEYS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))


def _places() -> dict[str, tuple[float, float]]:
    return {key: (row, shift + k) for row, (keys, shift) in enumerate(KEYS) for k, key in enumerate(keys)}


def _beside(key: str) -> list[int]:
    (row, place), places = _places()[key], _places()
    near = (k for k, (r, p) in places.items() if k != key and (r - row) ** 2 + (p - place) ** 2 < 1.8)
    return [ord(k) for k in near]


# Row `code` holds the neighbours of a small letter over and over, so that a draw below 60 takes each as often (60 is
# a multiple of every count from 2 to 6).
NEIGHBOURS = np.array(
    [np.resize(_beside(chr(code)), 60) if chr(code) in _places() else np.zeros(60) for code in range(128)],
    dtype=np.uint32,
)


@corruption("typo")
@dataclass(frozen=True)
class Typo:
    """`rate` times severity of the Latin letters are mistyped on a QWERTY keyboard, in `share` of the rows.

    A slip is, each as often: the key `beside`, that key as `extra`, a `drop`, a `swap` with the next letter; or
    only the `form` named. Capitals stay capitals, digits and marks are left alone.
    """

    columns: tuple[str, ...] = ()
    form: Literal["keyboard", "beside", "extra", "drop", "swap", "double"] = "keyboard"
    rate: float = 0.1
    share: float = 1.0
    called: str = ""
    label_preserving: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("share", self.share)):
            if not 0 < value <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1, got {value!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = (rng.random(sample.n) < self.share) & (severity > 0)
        return spoil_texts(sample, self.columns, hit, lambda texts: self._mistyped(texts, self.rate * severity, rng))

    def _mistyped(self, texts: list[str], rate: float, rng: np.random.Generator) -> list[str]:
        letters = Letters.of(texts)
        typed = _is_latin(letters.codes)
        kinds: tuple[Slip, ...] = SLIPS if self.form == "keyboard" else (self.form,)
        kind = np.where(typed & (rng.random(len(typed)) < rate), rng.integers(0, len(kinds), len(typed)), -1)
        # What lengthens or shortens the texts comes last: until then every letter is in its place.
        slips = {slip: kind == k for k, slip in enumerate(kinds)}
        if "swap" in slips:
            slips["swap"] &= letters.with_next(typed)
            letters = letters.swapped(slips["swap"])
        if "beside" in slips:
            letters = letters.replaced(slips["beside"], _near(letters.codes[slips["beside"]], rng))
        return _relengthened(letters, slips, rng).texts()


def _relengthened(letters: Letters, slips: dict[Slip, Mask], rng: np.random.Generator) -> Letters:
    """One letter more behind those in `extra` and `double`, and those in `drop` gone."""
    more = slips.get("extra", slips.get("double"))
    gone = slips.get("drop")
    if more is not None:
        added = letters.codes[more] if "double" in slips else _near(letters.codes[more], rng)
        letters = letters.inserted(more, added)
        gone = None if gone is None else np.repeat(gone, 1 + more)
    return letters if gone is None else letters.dropped(gone)


def _is_latin(codes: Codes) -> Mask:
    small = codes | 32
    return np.asarray((small >= 97) & (small <= 122))


def _near(codes: Codes, rng: np.random.Generator) -> Codes:
    """The key beside each letter, small or capital as the letter is; what is no Latin letter stays."""
    drawn = rng.integers(0, 60, len(codes))
    latin = _is_latin(codes)
    near = NEIGHBOURS[np.where(latin, codes | 32, 97), drawn] - (32 - (codes & 32))
    return np.where(latin, near, codes).astype(np.uint32)
