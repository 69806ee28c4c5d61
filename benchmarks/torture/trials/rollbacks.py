"""Rollbacks under load over HTTP: how long the candidate still answers after the rollback is written, what fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from balancer import Balancer, Tally
from given import Given, counted
from project import Replica, make

from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.spec import Rollout, Stage
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.events import write_event
from roadworthy.store.state import State

WANTED = (
    Requirement("rollback_seconds", at_most=1.0, unit="s"),
    Requirement("rollback_failed_requests", at_most=0),
    Requirement("rollbacks_seen", at_least=20),
)
TIMES = 20
CANDIDATE = b"0.625"


@dataclass
class Timed(Balancer):
    """Remembers when the candidate answered last."""

    last: float = field(default=0.0)

    def _count(self, answer: bytes, seconds: float) -> None:
        if CANDIDATE in answer:
            self.last = time.time()
        super()._count(answer, seconds)


def run(given: Given) -> list[Measurement]:
    """A canary at 50 % is rolled back again and again, by the controller's own look."""
    replica, digests = make(given.folder / "rollbacks")
    replica.start()
    balancer = Timed([replica])
    try:
        tally, seconds = asyncio.run(_measure(replica, balancer, digests[1], given.times(TIMES)))
    finally:
        replica.kill()
    seconds.sort()
    print(f"  {tally.answered} answered, failed: {dict(tally.failed)}; seconds {[round(s, 2) for s in seconds]}")
    return [
        Measurement("rollback_seconds", seconds[-1], len(seconds), seconds[-1], seconds[-1], "s"),
        Measurement("rollback_seconds_median", seconds[len(seconds) // 2], len(seconds), unit="s"),
        counted("rollback_failed_requests", sum(tally.failed.values()), tally.answered),
        counted("rollbacks_seen", TIMES if len(seconds) == given.times(TIMES) else 0, len(seconds)),
    ]


async def _measure(replica: Replica, balancer: Timed, digest: str, times: int) -> tuple[Tally, list[float]]:
    work: asyncio.Future[list[float]] = asyncio.ensure_future(_roll_back(replica, balancer, digest, times))
    tally = await balancer.during(work)  # type: ignore[arg-type]
    return tally, work.result()


async def _roll_back(replica: Replica, balancer: Timed, digest: str, times: int) -> list[float]:
    seconds = []
    with State.open(replica.state, "process") as state:
        controller = Controller(state, Registry(state))
        for _ in range(times):
            plan = Rollout(stages=(Stage("canary", 0.5),), gates=())
            controller.start("torture", digest, plan, time.time(), "torture", override="again")
            began = time.time()
            while balancer.last < began:  # noqa: ASYNC110  until the candidate answers
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            # A server that cannot load it: the shortest way to a rollback that the controller decides by itself.
            told = {"release": digest, "error": "told by the benchmark"}
            await asyncio.to_thread(write_event, state.engine, time.time(), "load_failed", "torture", told)
            ended = await asyncio.to_thread(controller.look, "torture", time.time())
            assert ended.status == "rolled_back"
            written = time.time()
            await asyncio.sleep(1.5)
            seconds.append(max(0.0, balancer.last - written))
    return seconds
