"""Text that was made to break software, written so that no terminal, log or page is broken by showing it."""

from __future__ import annotations

import unicodedata


def printable(text: str, most: int = 120) -> str:
    r"""Controls, invisible characters, half characters and stacked marks as escapes; what is long is cut, and says so.

    >>> printable("red \x1b[31m, \u202eback")
    'red \\x1b[31m, \\u202eback'
    >>> printable("a" * 1000, most=3)
    'aaa... (1000 characters)'
    """
    head = text[:most]
    written = "".join(_written(character, before) for before, character in zip(" " + head, head, strict=False))
    return written if len(text) <= most else f"{written}... ({len(text)} characters)"


def _written(character: str, before: str) -> str:
    stacked = unicodedata.category(character).startswith("M") and unicodedata.category(before)[0] in "MZ"
    if character == "\\" or (character.isprintable() and not stacked):
        return character
    return character.encode("unicode_escape").decode("ascii")
