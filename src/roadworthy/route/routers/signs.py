"""Signs of a text: how long it is, in what lines, of what characters. No typo changes them by much."""

from __future__ import annotations

from math import log

SIGNS = (
    "characters",
    "words",
    "lines",
    "first_line",
    "longest_line",
    "last_line",
    "characters_a_word",
    "digits",
    "capitals",
    "stops",
    "operators",
    "other_bytes",
    "blank",
    "question",
)
_DIGITS = b"0123456789"
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STOPS = b".,;:"
_OPERATORS = b"=+*/^()$<>-"


def signs_of(text: str) -> list[float]:
    """The numbers of `SIGNS`: lengths as logarithms, characters as shares."""
    raw = text.encode("utf-8", "surrogatepass")
    size = len(raw)
    lines = text.split("\n")
    lengths = list(map(len, lines))
    words = raw.count(b" ") + len(lines)
    share = 1.0 / (size + 1)
    return [
        log(size + 1),
        log(words),
        log(len(lines)),
        log(lengths[0] + 1),
        log(max(lengths) + 1),
        log(lengths[-2] + 1 if len(lengths) > 1 else lengths[-1] + 1),
        size / words,
        (size - len(raw.translate(None, _DIGITS))) * share,
        (size - len(raw.translate(None, _CAPITALS))) * share,
        (size - len(raw.translate(None, _STOPS))) * share,
        (size - len(raw.translate(None, _OPERATORS))) * share,
        (size - len(text)) * share,
        float("_" in text),
        float("?" in text),
    ]
