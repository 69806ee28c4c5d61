"""Extractors are the usual ways to find the answer in a generated text; which one is used changes the score."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.reproduction.label_texts import SPELLINGS, spelt

Extractor = Callable[[str], str]

_NUMBER = re.compile(r"-?[$€£]?\d[\d.,]*")
_STRICT = re.compile(r"####\s*(-?[\d.,]+)")
_SAID = re.compile(r"(?:answer|result)\s*(?:is|=|:)\s*\**\s*([^\n]+?)\s*(?:\.\s|\.?$|\n)", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_LETTER = re.compile(r"(?<![A-Za-z])\(?([A-J])\)?(?![A-Za-z'])")


def _last(pattern: re.Pattern[str]) -> Extractor:
    return lambda text: (pattern.findall(text) or [""])[-1]


def _first(pattern: re.Pattern[str]) -> Extractor:
    return lambda text: (pattern.findall(text) or [""])[0]


# `strict-match` and `flexible-extract` are what lm-evaluation-harness calls them in its GSM8K task.
EXTRACTORS: Mapping[str, Extractor] = {
    "strict-match": _first(_STRICT),
    "flexible-extract": _last(_NUMBER),
    "first-number": _first(_NUMBER),
    "answer-is": _last(_SAID),
    "boxed": _last(_BOXED),
    "letter": _first(_LETTER),
    "first-line": lambda text: text.strip().partition("\n")[0],
}


def right(answers: NDArray[np.object_], targets: NDArray[np.object_], extractor: str) -> NDArray[np.bool_]:
    """Which answers (n,) are the target once extracted; numbers count as numbers, and spelling is ignored."""
    find = EXTRACTORS[extractor]
    pairs = zip(answers.tolist(), targets.tolist(), strict=True)
    return np.array([a is not None and same(find(a), gold(t)) for a, t in pairs], dtype=bool)


def gold(target: str) -> str:
    """What should be found: a worked solution in GSM8K's form names it behind `####`."""
    return target.rpartition("####")[2].strip()


def same(found: str, wanted: str) -> bool:
    """Whether two short answers say the same: 1,250.00 is 1250, and `"Yes."` is yes.

    >>> same("$1,250.00", "1250"), same('"Yes."', "yes"), same("", "1")
    (True, True, False)
    """
    return bool(found) and _bare(found) == _bare(wanted)


def _bare(text: str) -> str:
    plain = re.sub(r"[$€£,\s]", "", text).rstrip(".")
    try:
        return repr(float(plain))
    except ValueError:
        return spelt(spelt(text, tuple(SPELLINGS)), tuple(SPELLINGS))
