"""30 hot swaps of the release under load with streams in flight: the old or the new one answers every request."""

from __future__ import annotations

import asyncio
import time

from balancer import Balancer, Tally
from given import Given, counted
from project import Replica, make

from roadworthy.core.measure import Measurement, Requirement
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

WANTED = (
    Requirement("swaps_failed_requests", at_most=0),
    Requirement("swaps_failed_streams", at_most=0),
    Requirement("swaps_seen", at_least=30),
)
TIMES = 30


def run(given: Given) -> list[Measurement]:
    """The alias `stable` moves to and fro; a swap counts when both releases were seen to answer after it."""
    made = [make(given.folder / engine, engine) for engine in ("Number", "Pieces")]
    try:
        for replica, _ in made:
            replica.start()
        rows, streams = asyncio.run(_both(made, given))
    finally:
        for replica, _ in made:
            replica.kill()
    for name, tally in (("requests", rows), ("streams", streams)):
        print(f"  {name}: {tally.answered} answered {dict(tally.answers)}, failed: {dict(tally.failed)}")
    swaps = given.times(TIMES)
    return [
        counted("swaps_failed_requests", sum(rows.failed.values()), rows.answered, swaps=swaps),
        counted("swaps_failed_streams", sum(streams.failed.values()), streams.answered, swaps=swaps),
        counted("swaps_seen", (TIMES if len(rows.answers) == len(streams.answers) == 2 else 0), swaps),
    ]


async def _both(made: list[tuple[Replica, list[str]]], given: Given) -> tuple[Tally, Tally]:
    work = [asyncio.ensure_future(_swap(replica, digests, given.times(TIMES))) for replica, digests in made]
    balancers = [Balancer([made[0][0]]), Balancer([made[1][0]], callers=8)]
    found = await asyncio.gather(*(b.during(w) for b, w in zip(balancers, work, strict=True)))
    return found[0], found[1]


async def _swap(replica: Replica, digests: list[str], times: int) -> None:
    with State.open(replica.state) as state:
        for n in range(times):
            await asyncio.sleep(0.5)
            digest = digests[(n + 1) % 2]
            Registry(state).point("torture", "stable", digest, time.time(), "torture", f"swap {n}")
        await asyncio.sleep(1.0)
