"""Words of a text, and what a word is known by: its letters in any order, and its pieces of four letters.

A swap of two letters leaves the first as it is; any other slip leaves most of the second.
"""

from __future__ import annotations

from zlib import crc32

PIECE = 4
# Whatever ASCII is no letter and no digit parts words; the bytes of other letters stay.
_PARTS = bytes(code if code > 127 or chr(code).isalnum() else 32 for code in range(256))


def words_of(text: str) -> set[bytes]:
    """The distinct words of a text, in small letters, as UTF-8."""
    return set(text.lower().encode("utf-8", "surrogatepass").translate(_PARTS).split())


def letters_of(word: bytes, mask: int) -> int:
    """The bucket of a word's letters, whatever their order."""
    return crc32(bytes(sorted(word))) & mask


def pieces_of(word: bytes, mask: int) -> list[int]:
    """The buckets of the pieces of a word and its ends, each once."""
    ended = b"<%b>" % word
    return list({crc32(ended[k : k + PIECE]) & mask for k in range(max(1, len(ended) - PIECE + 1))})
