"""500 slow senders do not slow the others: their p99 with the senders over their p99 without."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
from balancer import Balancer
from given import Given, counted
from project import Replica, make

from roadworthy.core.measure import Measurement, Requirement

WANTED = (Requirement("slow_senders_p99_ratio", at_most=2.0), Requirement("slow_senders_failed", at_most=0))
SENDERS, ROUNDS = 500, 3


def run(given: Given) -> list[Measurement]:
    """Rounds without and with, in turn; the median ratio counts, for the machine is noisy."""
    replica, _ = make(given.folder / "model")
    try:
        replica.start()
        pairs = [asyncio.run(_pair(replica)) for _ in range(given.times(ROUNDS))]
    finally:
        replica.kill()
    ratios = [slow / calm for calm, slow, _ in pairs]
    failed = sum(failed for _, _, failed in pairs)
    shown = ", ".join(f"{calm * 1e3:.1f} -> {slow * 1e3:.1f} ms" for calm, slow, _ in pairs)
    print(f"  p99 of others: {shown}")
    return [
        counted("slow_senders_p99_ratio", float(np.median(ratios)), len(ratios), rounds=[round(r, 2) for r in ratios]),
        counted("slow_senders_failed", failed, SENDERS),
    ]


async def _pair(replica: Replica) -> tuple[float, float, int]:
    calm = Balancer([replica], pause_seconds=0.002)
    await calm.during(asyncio.ensure_future(asyncio.sleep(4)))
    senders = [asyncio.create_task(_send_slowly(replica, n)) for n in range(SENDERS)]
    await asyncio.sleep(1)
    slow = Balancer([replica], pause_seconds=0.002)
    await slow.during(asyncio.ensure_future(asyncio.sleep(4)))
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    p99 = [float(np.percentile(balancer.tally.seconds, 99)) for balancer in (calm, slow)]
    return p99[0], p99[1], sum(calm.tally.failed.values()) + sum(slow.tally.failed.values())


async def _send_slowly(replica: Replica, n: int) -> None:
    """A header that comes a letter a time, or a body that does; hung up on, it starts again."""
    assert replica.address is not None
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n"
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(replica.address.host, replica.address.port)
            try:
                if n % 2:
                    writer.write(head + b"\r\n")
                for letter in b"x-slow: " + b"a" * 10_000 if not n % 2 else b'{"rows":' + b" " * 10_000:
                    writer.write(bytes([letter]))
                    await writer.drain()
                    await asyncio.sleep(0.1)
            finally:
                writer.close()
