"""A server that nobody asks: its share of a core, and its memory."""

from __future__ import annotations

import time
from pathlib import Path

from given import Given, counted
from project import make

from roadworthy.core.measure import Measurement, Requirement

WANTED = (Requirement("idle_cpu_share", at_most=0.005), Requirement("idle_rss_mb", at_most=120, unit="MB"))
SECONDS = 30


def run(given: Given) -> list[Measurement]:
    """CPU of the process over half a minute, after it has settled."""
    replica, _ = make(given.folder / "model")
    seconds = max(5, given.times(SECONDS))
    try:
        replica.start()
        assert replica.process is not None
        time.sleep(2)
        before = cpu_seconds(replica.process.pid)
        time.sleep(seconds)
        share = (cpu_seconds(replica.process.pid) - before) / seconds
        rss = rss_mb(replica.process.pid)
    finally:
        replica.kill()
    print(f"  {share:.3%} of a core, {rss:.0f} MB")
    return [counted("idle_cpu_share", share, seconds), counted("idle_rss_mb", rss, 1, "MB")]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; the scheduler counts in hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_mb(pid: int) -> float:
    """Resident memory in MB (2^20 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
