"""Memory watches how much a process holds: idle, at its peak, and whether it keeps growing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import Missing
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.stats import nothing
from roadworthy.evaluate.process.leak import growth, leak


class Memory(Struct, frozen=True):
    """What a process held (resident bytes, with the processes that it started) while it was watched.

    `slope` is its growth over the later half, in bytes a second, and `per_1k` that for 1,000 requests. `because` says
    why something could not be had.
    """

    idle: Measurement
    peak: Measurement
    slope: Measurement
    per_1k: Measurement
    verdict: Verdict
    because: str = ""


class Watch:
    """Reads the memory of a process every `every_seconds` while a `with` block runs; of our own without a pid.

    >>> with Watch(every_seconds=0.01) as watch:
    ...     held = bytearray(10_000_000)
    >>> watch.memory().verdict.decision
    'wait'
    """

    def __init__(
        self,
        pid: int | None = None,
        every_seconds: float = 0.1,
        read: Callable[[int], int | None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not every_seconds > 0:
            raise ValueError(f"`every_seconds` must be above 0, got {every_seconds!r}")
        self.pid = os.getpid() if pid is None else pid
        self.every_seconds = every_seconds
        self.rows: list[tuple[float, int]] = []
        self._read, self._now = read or resident_bytes, now
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)
        self._peak_before = peak_bytes(self.pid) or 0

    def __enter__(self) -> Watch:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Read once more; a process that has ended, or hides its memory, leaves no row."""
        held = self._read(self.pid)
        if held is not None:
            self.rows.append((self._now(), held))

    def memory(self, requests: int = 0, most_bytes_per_second: float = 10_000.0, least_seconds: float = 30.0) -> Memory:
        """What was seen up to now; `requests` is how many were answered meanwhile. May be asked again and again.

        10 kB a second are 860 MB a day: about what a nightly restart can still hide.
        """
        if not self.rows:
            return self._unreadable()
        at, held = (np.array(column, dtype=np.float64) for column in zip(*self.rows, strict=True))
        slope = growth(at, held)
        per_1k = nothing("rss_per_1k", "bytes")
        if requests and slope.n:
            factor = 1000 * float(at[-1] - at[0]) / requests
            bounds = (factor * slope.value, slope.n, factor * slope.low, factor * slope.high)
            per_1k = Measurement("rss_per_1k", *bounds, "bytes", conditions={"requests": requests})
        return Memory(
            _alone("rss_idle", self.rows[0][1]),
            self._peak(held.max()),
            slope,
            per_1k,
            leak(at, held, most_bytes_per_second, least_seconds),
        )

    def _unreadable(self) -> Memory:
        because = f"the memory of process {self.pid} cannot be read: it has ended, or this is no Linux"
        idle, peak = nothing("rss_idle", "bytes"), _alone("rss_peak", peak_bytes(self.pid))
        slope, per_1k = nothing("rss_slope", "bytes/s"), nothing("rss_per_1k", "bytes")
        return Memory(idle, peak, slope, per_1k, Verdict("wait", because, "rss_slope"), because)

    def _peak(self, seen: float) -> Measurement:
        """The highest row, or what the system says where a spike fell between two rows."""
        highest = peak_bytes(self.pid) or 0
        grew = highest > self._peak_before
        return _alone("rss_peak", int(max(seen, highest if grew else 0)))

    def _watch(self) -> None:
        while not self._over.wait(self.every_seconds):
            self.look()


def of_process(pid: int) -> Measurement:
    """What a process holds now. Raises Missing where it cannot be read."""
    held = resident_bytes(pid)
    if held is None:
        raise Missing(f"the memory of process {pid} cannot be read: it has ended, or this is no Linux")
    return _alone("rss", held)


def resident_bytes(pid: int) -> int | None:
    """What a process and its descendants hold in memory, from /proc; None where there is no such process, or no /proc.

    Pages that two of them share count twice.
    """
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None
    return own + sum(resident_bytes(child) or 0 for child in _children(pid))


def peak_bytes(pid: int) -> int | None:
    """The most that a process held in its life: from /proc, or of our own process from `getrusage`; else None."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    except OSError:
        return _own_peak() if pid == os.getpid() else None


def _own_peak() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, everybody else KiB.
    return most if os.uname().sysname == "Darwin" else 1024 * most


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def _alone(name: str, held: int | None) -> Measurement:
    """One reading, which is exact for the moment that it was taken in."""
    if held is None:
        return nothing(name, "bytes")
    exact = float(held)
    return Measurement(name, exact, 1, exact, exact, "bytes")
