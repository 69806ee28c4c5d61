"""Label texts matches the outcomes written in a table with class names, however either of them is spelt."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Spelling = Callable[[str], str]

# In the order in which they are applied, each with what it ignores.
SPELLINGS: Mapping[str, Spelling] = {
    "another Unicode form": lambda text: unicodedata.normalize("NFKC", text),
    "blanks": lambda text: " ".join(text.split()),
    "quotes": lambda text: text.strip("\"'`\u2018\u2019\u201c\u201d"),
    'a "." at the end': lambda text: text.rstrip().removesuffix("."),
    "upper and lower case": str.casefold,
}


def spelt(text: str, ignored: Sequence[str]) -> str:
    """The text without what is ignored."""
    for name in SPELLINGS:
        text = SPELLINGS[name](text) if name in ignored else text
    return text


def numbered(targets: NDArray[np.object_], classes: Sequence[str], ignored: Sequence[str] = ()) -> NDArray[np.float64]:
    """The class number of each target (n,), NaN where it is unknown or of no class."""
    number = {spelt(name, ignored): float(k) for k, name in enumerate(classes)}
    found = {text: number.get(spelt(text, ignored), np.nan) for text in set(targets.tolist()) if text is not None}
    return np.array([found.get(text, np.nan) for text in targets.tolist()], dtype=np.float64)


def ignorable(targets: NDArray[np.object_], classes: Sequence[str]) -> tuple[str, ...]:
    """The least that must be ignored so that as many targets as possible have a class; () where nothing helps.

    Spellings that would make two classes one are never ignored.
    """
    needed = list(SPELLINGS)
    while needed and len({spelt(name, needed) for name in classes}) < len(classes):
        needed.pop()
    matched = _matched(targets, classes, needed)
    if matched == _matched(targets, classes, ()):
        return ()
    for name in tuple(needed):
        fewer = [other for other in needed if other != name]
        needed = fewer if _matched(targets, classes, fewer) == matched else needed
    return tuple(needed)


def _matched(targets: NDArray[np.object_], classes: Sequence[str], ignored: Sequence[str]) -> int:
    return int((~np.isnan(numbered(targets, classes, ignored))).sum())
