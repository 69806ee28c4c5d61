"""30 SIGTERMs under load with streams in flight: rolling restarts behind a balancer fail nobody."""

from __future__ import annotations

import asyncio

from balancer import Balancer, Tally
from given import Given, counted
from project import Replica, make

from roadworthy.core.measure import Measurement, Requirement

WANTED = (
    Requirement("sigterm_failed_requests", at_most=0),
    Requirement("sigterm_failed_streams", at_most=0),
    Requirement("sigterm_unclean_exits", at_most=0),
)
TIMES = 30


def run(given: Given) -> list[Measurement]:
    """Two replicas of a model and two of a streaming one, each restarted in turn."""
    pairs = [[make(given.folder / f"{engine}{k}", engine)[0] for k in range(2)] for engine in ("Number", "Pieces")]
    replicas = [replica for pair in pairs for replica in pair]
    try:
        for replica in replicas:
            replica.start()
        rows, streams = asyncio.run(_both(pairs, given))
    finally:
        for replica in replicas:
            replica.kill()
    for name, tally in (("requests", rows), ("streams", streams)):
        print(f"  {name}: {tally.answered} answered, failed: {dict(tally.failed)}")
    times = given.times(TIMES)
    unclean = sum(code != 0 for replica in replicas for code in replica.died)
    return [
        counted("sigterm_failed_requests", sum(rows.failed.values()), rows.answered, signals=times),
        counted("sigterm_failed_streams", sum(streams.failed.values()), streams.answered, signals=times),
        counted("sigterm_unclean_exits", unclean, 2 * times),
    ]


async def _both(pairs: list[list[Replica]], given: Given) -> tuple[Tally, Tally]:
    work = [asyncio.ensure_future(_restart(pair, given.times(TIMES))) for pair in pairs]
    rows, streams = Balancer(pairs[0]), Balancer(pairs[1], callers=8)
    found = await asyncio.gather(*(b.during(w) for b, w in zip((rows, streams), work, strict=True)))
    return found[0], found[1]


async def _restart(pair: list[Replica], times: int) -> None:
    """As a deployment rolls: never both at once."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.5)
    for n in range(times):
        replica = pair[n % 2]
        await loop.run_in_executor(None, replica.stop)
        await loop.run_in_executor(None, replica.start)
        await asyncio.sleep(0.3)
