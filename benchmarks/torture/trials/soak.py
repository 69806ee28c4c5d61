"""Ten minutes of steady load: memory, file descriptors and latency do not creep."""

from __future__ import annotations

import asyncio
import os

import numpy as np
from balancer import Balancer
from given import Given, counted
from project import Replica, make

from roadworthy.core.measure import Measurement, Requirement
from trials.idle import rss_mb

WANTED = (
    Requirement("soak_rss_growth", at_most=0.05),
    Requirement("soak_open_files_growth", at_most=5),
    Requirement("soak_failed", at_most=0),
)
SECONDS, WARM_SECONDS, LOOKS = 600, 60, 20


def run(given: Given) -> list[Measurement]:
    """Growth is the median of the last fifth over that of the first fifth, after a minute of warming up."""
    replica, _ = make(given.folder / "model")
    try:
        replica.start()
        looks, balancer = asyncio.run(_watch(replica, given.times(SECONDS), given.times(WARM_SECONDS)))
    finally:
        replica.kill()
    fifth = max(1, len(looks) // 5)
    first, last = np.median(looks[:fifth], axis=0), np.median(looks[-fifth:], axis=0)
    answered = balancer.tally.answered
    print(f"  {answered} answered; RSS {first[0]:.1f} -> {last[0]:.1f} MB, open files {first[1]:.0f} -> {last[1]:.0f}")
    return [
        counted("soak_rss_growth", float(last[0] / first[0] - 1), answered, mb=[round(look[0], 1) for look in looks]),
        counted("soak_open_files_growth", float(last[1] - first[1]), len(looks)),
        counted("soak_failed", sum(balancer.tally.failed.values()), answered),
    ]


def open_files(pid: int) -> int:
    """File descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  a Path a descriptor is a lot of paths


async def _watch(replica: Replica, seconds: int, warm_seconds: int) -> tuple[list[tuple[float, int]], Balancer]:
    looks: list[tuple[float, int]] = []
    assert replica.process is not None
    pid = replica.process.pid

    async def look() -> None:
        await asyncio.sleep(warm_seconds)
        for _ in range(LOOKS):
            looks.append((rss_mb(pid), open_files(pid)))
            await asyncio.sleep(seconds / LOOKS)

    balancer = Balancer([replica], callers=8, pause_seconds=0.02)
    await balancer.during(asyncio.ensure_future(look()))
    balancer.tally.seconds.clear()
    return looks, balancer
