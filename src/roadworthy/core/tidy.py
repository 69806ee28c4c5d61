"""Tidy turns text as production delivers it into text as a lab would have written it down.

Pure functions of one text: no chance, no state, no idea of a model. Serving and measuring use the same ones, so that a
repair that was measured is the repair that is deployed.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

Step = Literal["mojibake", "markup", "nfkc", "invisible", "homoglyphs", "quotes", "spaces", "unshout", "lower"]

# Latin letters, and those of other alphabets that look the same (the commonest of Unicode's confusables.txt).
LOOKS_LATIN = dict(
    zip(
        "аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅУΑΒΕΖΗΙΚΜΝΟΡΤΥΧονιρ",
        "aeopcyxijshdqwABEKMHOPCTXIJSYABEZHIKMNOPTYXovip",
        strict=True,
    )
)
_FOREIGN = f"[{''.join(LOOKS_LATIN)}]"
_LATIN = re.compile("[A-Za-z]")
_GREEK_OR_CYRILLIC = re.compile(f"(?!{_FOREIGN})[\u0370-\u052f]")
_MIXED_WORD = re.compile(rf"(?=\w*[A-Za-z])(?=\w*{_FOREIGN})\w+")
_TO_LATIN = str.maketrans(LOOKS_LATIN)

# Zero-width, joiners, marks of direction, soft hyphens, byte order marks, variation selectors, tags.
INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff"
_INVISIBLE = re.compile(f"[{INVISIBLE}\U000e0000-\U000e007f\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# A joiner holds an emoji together, and shapes letters in scripts of Asia: it is no damage there.
_NEEDED_JOINER = re.compile("(?<=[^\x00-\u0590])[\u200c\u200d](?=[^\x00-\u0590])|(?<=[^\x00-\u0590])\ufe0f")

_CP1252 = bytes(range(0x80, 0xA0)).decode("cp1252", "replace")
# Where Windows-1252 has no letter, readers keep the control character (WHATWG).
_AS_WINDOWS = {0x80 + k: letter for k, letter in enumerate(_CP1252) if letter != "\ufffd"}
_AS_BYTE = {ord(letter): byte for byte, letter in _AS_WINDOWS.items()}
_TAIL = "[" + re.escape("".join(_AS_WINDOWS.values())) + "\x80-\xbf]"
# Only what hardly anybody writes on purpose: lone pairs such as `É…` are left alone.
_MOJIBAKE = re.compile(f"(?:[ÂÃ]{_TAIL}|[à-ï]{_TAIL}{{2}}|[ð-ô]{_TAIL}{{3}})+|(?:[Ä-ß]{_TAIL}){{2,}}")

_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL)
_QUOTED = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+")
_BULLET = re.compile(r"(?m)^[ \t]*(?:[-*•‣◦▪–]|\d{1,2}[.)])[ \t]+(?=\S)")
_SIGNATURE = re.compile(r"(?:\n|^)(?:--[ \t]*\n.*|Sent from my [^\n]*\s*|Get Outlook for [^\n]*\s*)\Z", re.DOTALL)
_PIPES = re.compile(r"(?m)^[ \t]*\|(.*)\|[ \t]*$")
_QUOTES = str.maketrans("‘’‚‛“”„‟′″«»–—", '\'\'\'\'""""\'"""--')
_BLANKS = re.compile(r"\s+")


class Tidy(Struct, frozen=True):
    """Text made plain by the named steps, which are taken in the order of `STEPS` however they are named.

    >>> Tidy(("nfkc", "invisible"))("Ｗｈｅｒｅ is my ca\u200brd?")
    'Where is my card?'
    """

    steps: tuple[Step, ...] = ("nfkc", "invisible", "spaces")

    def __call__(self, text: str) -> str:
        """The text after every step. What needs no mending comes back as it was."""
        for name, step in STEPS.items():
            if name in self.steps:
                text = step(text)
        return text


def nfkc(text: str) -> str:
    """Full-width, ligature, superscript and decomposed letters as the plain ones (Unicode Annex 15, NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def visible(text: str) -> str:
    """Without zero-width, direction and control characters; joiners stay where they belong to a script or emoji."""
    if text.isprintable() and text.isascii():
        return text
    kept = {m.start() for m in _NEEDED_JOINER.finditer(text)}
    return _INVISIBLE.sub(lambda m: m[0] if m.start() in kept else "", text)


def latin(text: str) -> str:
    """Look-alikes of other alphabets as Latin letters, in words that mix both; a Russian word stays Russian.

    In Latin text without any other letter of those alphabets, words of nothing but look-alikes are Latin too.
    """
    if text.isascii():
        return text
    if _LATIN.search(text) and not _GREEK_OR_CYRILLIC.search(text):
        return text.translate(_TO_LATIN)
    return _MIXED_WORD.sub(lambda m: m[0].translate(_TO_LATIN), text)


def spaced(text: str) -> str:
    """One blank between words and none around them: line ends, tabs and no-break spaces are blanks."""
    return _BLANKS.sub(" ", text).strip()


def straight(text: str) -> str:
    """Curly quotes and long dashes as the keyboard has them."""
    return text if text.isascii() else text.translate(_QUOTES)


def unmarked(text: str) -> str:
    """Without what pasting leaves behind: tags, entities, `>` of quotes, bullets, table pipes, signatures."""
    plain = html.unescape(_TAG.sub(" ", _SIGNATURE.sub("", text)))
    plain = _PIPES.sub(lambda m: m[1].replace("|", " "), plain)
    plain = _BULLET.sub("", _QUOTED.sub("", plain)).replace("\u00a0", " ")
    return text if plain == text else plain.strip()


def demojibaked(text: str) -> str:
    """UTF-8 that was read as Windows-1252 (`â€™`, `Ã©`), once or twice, read as what it is."""
    for _ in range(3):
        mended = text if text.isascii() else _MOJIBAKE.sub(_read_again, text)
        if mended == text:
            break
        text = mended
    return text


def unshouted(text: str) -> str:
    """Text of at least two words all in capitals as a sentence; anything else as it is."""
    return text.capitalize() if text.isupper() and len(text.split()) > 1 else text


def as_windows(text: str) -> str:
    """The text's UTF-8 as a program shows it that takes it for Windows-1252: what `demojibaked` undoes."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1").translate(_AS_WINDOWS)


def to_vocabulary(values: Iterable[str]) -> Callable[[str], str]:
    """A function that maps a category to the known one it means: the same, else without blanks, else without case.

    What means none, or two that differ in blanks or case only, stays as it is.

    >>> to_vocabulary([" Private", " Never-worked"])("PRIVATE")
    ' Private'
    """
    known = frozenset(values)
    blanks, cases = _meant(known, spaced), _meant(known, _folded)

    def means(text: str) -> str:
        if text in known:
            return text
        return blanks.get(spaced(text)) or cases.get(_folded(text)) or text

    return means


def _meant(known: Iterable[str], key: Callable[[str], str]) -> dict[str, str | None]:
    """Each key with the one value that has it, None where several have."""
    found: dict[str, str | None] = {}
    for value in sorted(known):
        found[key(value)] = None if key(value) in found else value
    return found


def _folded(text: str) -> str:
    return spaced(nfkc(text)).casefold()


def _read_again(match: re.Match[str]) -> str:
    try:
        return match[0].translate(_AS_BYTE).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return match[0]


# Letters are read right before they are told apart, and blanks are counted when all else is gone.
STEPS: dict[Step, Callable[[str], str]] = {
    "mojibake": demojibaked,
    "markup": unmarked,
    "nfkc": nfkc,
    "invisible": visible,
    "homoglyphs": latin,
    "quotes": straight,
    "spaces": spaced,
    "unshout": unshouted,
    "lower": str.lower,
}
