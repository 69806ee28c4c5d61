"""A file beside a segment that finds the rows of an id: 64 bits of each id's hash, sorted, with the number of its row.

It is derived from the segment: where it is gone or torn, it is made again.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct as Layout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Mark, number of rows, CRC-32 of what follows: the hashes (8 bytes each), then the rows (4 bytes each).
_HEAD = Layout("<4sIQ")
_MARK = b"RwIX"


def hashes(ids: Iterable[str]) -> NDArray[np.uint64]:
    """64 bits for each id, the same in every version of this package."""
    import numpy as np

    together = b"".join([blake2b(id.encode(), digest_size=8).digest() for id in ids])
    return np.frombuffer(together, "<u8")


def write_index(path: Path, ids: Sequence[str]) -> None:
    """Write the index of a segment's ids, synced to the disk."""
    import numpy as np

    found = hashes(ids)
    order = np.argsort(found, kind="stable").astype("<u4")
    body = found[order].tobytes() + order.tobytes()
    with path.open("wb") as file:
        file.write(_HEAD.pack(_MARK, len(order), zlib.crc32(body)) + body)
        file.flush()
        os.fsync(file.fileno())


class IdIndex:
    """An index that is mapped into memory, so that a search reads a few pages of it."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where the file is not whole, and OSError where it is not there."""
        import numpy as np

        size = path.stat().st_size
        if size < _HEAD.size:
            raise ValueError(f"`{path}` is no index")
        mapped: NDArray[Any] = np.memmap(path, np.uint8, "r")
        mark, n, self._crc = _HEAD.unpack(mapped[: _HEAD.size].tobytes())
        if mark != _MARK or size != _HEAD.size + 12 * n:
            raise ValueError(f"`{path}` is no index, or a torn one")
        self._body = mapped[_HEAD.size :]
        self._hashes = self._body[: 8 * n].view("<u8")
        self._rows = self._body[8 * n :].view("<u4")

    def holds(self, wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of the hashes are there."""
        import numpy as np

        if not len(self._hashes):
            return np.zeros(len(wanted), bool)
        places = np.searchsorted(self._hashes, wanted)
        found: NDArray[np.bool_] = self._hashes[np.minimum(places, len(self._hashes) - 1)] == wanted
        return found

    def rows(self, wanted: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """The numbers of the rows with one of the hashes, in order."""
        import numpy as np

        first = np.searchsorted(self._hashes, wanted, "left")
        last = np.searchsorted(self._hashes, wanted, "right")
        spans = [self._rows[a:b] for a, b in zip(first, last, strict=True) if b > a]
        return np.unique(np.concatenate(spans)) if spans else np.empty(0, np.uint32)

    def whole(self) -> bool:
        """Are its bytes still those that were written? Reads all of them."""
        return bool(zlib.crc32(self._body.tobytes()) == self._crc)
