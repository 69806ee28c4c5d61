"""A clock that stands still while the thread that made it waits for a processor which others use.

A model at the lowest priority is not slow because the machine is busy. What it waits for of its own will (a disk,
another machine) counts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

WAITS = Path("/proc/thread-self/schedstat")


class OwnClock:
    """`time.monotonic` less the seconds that one thread spent in the run queue of Linux; elsewhere `time.monotonic`."""

    def __init__(self) -> None:
        try:
            # The link names the thread that follows it; the file behind it stays that of this thread.
            self._file = os.open(WAITS.parent.resolve() / WAITS.name, os.O_RDONLY)
        except OSError:
            self._file = -1

    def __call__(self) -> float:
        """Seconds; only differences mean something."""
        if self._file < 0:
            return time.monotonic()
        return time.monotonic() - int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        """Let go of the file; from then on it is `time.monotonic`."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
