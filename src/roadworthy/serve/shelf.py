"""A Shelf keeps bytes under a key within a bound, for a time; what is asked for again outlives what is asked for once.

It does not know what the bytes mean.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

# What an entry takes beside its bytes: headers, the Entry, its time, places in tables. A test weighs it.
ENTRY_BYTES = 400

# What comes in waits in a tenth of the room until it is asked for again (Yang et al. 2023).
SMALL_SHARE = 0.1
MOST_TIMES = 3


class Entry(Struct, gc=False):
    """Some bytes, since when they are here (seconds), and how often they were asked for lately, up to 3."""

    blob: bytes
    since: float
    times: int = 0


class Shelf:
    """A bounded table of bytes. It evicts by S3-FIFO (Yang et al., "FIFO queues are all you need", SOSP 2023).

    A flood of keys that are asked for once passes through a tenth of the room and leaves the rest alone, which LRU
    would give to it. An entry is fresh for `fresh_seconds` and kept for `stale_seconds` more; `bytes` counts keys,
    values and the table itself.
    """

    def __init__(self, most_bytes: int, fresh_seconds: float, stale_seconds: float, now: Callable[[], float]) -> None:
        self.most_bytes, self.fresh_seconds, self.stale_seconds = most_bytes, fresh_seconds, stale_seconds
        self.bytes = self.evictions = 0
        self._now = now
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        # Hashes of what was evicted from the small part: who comes back goes to the main part at once.
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def fresh(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it is too old or not there."""
        found = self._main.get(key) or self._small.get(key)
        if found is None or now - found.since > self.fresh_seconds:
            return None
        if found.times < MOST_TIMES:
            found.times += 1
        return found

    def stale(self, key: bytes) -> Entry | None:
        """The entry even when it is no longer fresh, until it is too old for that too."""
        found = self._main.get(key) or self._small.get(key)
        if found is None or self._now() - found.since > self.fresh_seconds + self.stale_seconds:
            return None
        return found

    def put(self, key: bytes, blob: bytes, now: float) -> None:
        """Keep the bytes under the key, in place of what was there; what does not fit at all is not kept."""
        size = _size(key, blob)
        if size > self.most_bytes * SMALL_SHARE:
            return
        known = self._main.get(key) or self._small.get(key)
        if known is not None:
            grown = len(blob) - len(known.blob)
            self.bytes += grown
            self._small_bytes += grown if key in self._small else 0
            known.blob, known.since = blob, now
        elif self._ghosts and hash(key) in self._ghosts:
            del self._ghosts[hash(key)]
            self._main[key] = Entry(blob, now)
            self.bytes += size
        else:
            self._small[key] = Entry(blob, now)
            self.bytes += size
            self._small_bytes += size
        while self.bytes > self.most_bytes:
            self._evict()

    def _evict(self) -> None:
        """Let one entry go, or move one on that earned it; an expired one goes first."""
        oldest = next(iter(self._main.values()), None)
        spent = oldest is not None and self._expired(oldest)
        from_small = not spent and (oldest is None or self._small_bytes > self.most_bytes * SMALL_SHARE)
        key, entry = (self._small if from_small else self._main).popitem(last=False)
        if from_small:
            self._small_bytes -= _size(key, entry.blob)
        if entry.times and not spent:
            entry.times = 0 if from_small else entry.times - 1
            self._main[key] = entry
            return
        self.bytes -= _size(key, entry.blob)
        self.evictions += 1
        if from_small:
            self._ghosts[hash(key)] = None
        while len(self._ghosts) > len(self._main):
            self._ghosts.popitem(last=False)

    def _expired(self, entry: Entry) -> bool:
        return self._now() - entry.since > self.fresh_seconds + self.stale_seconds


def _size(key: bytes, blob: bytes) -> int:
    return len(key) + len(blob) + ENTRY_BYTES
