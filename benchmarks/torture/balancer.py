"""A load balancer with callers behind it, written as production has them: it asks who is ready, and never tries twice.

Whatever is not answered in full counts as failed, with its reason.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from project import Replica

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}).encode()
ASK = b"POST /v2/models/torture/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
READY = b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
LOOK_SECONDS = 0.05
# How many pieces each stream of the torture project has.
PIECES = 8


@dataclass
class Tally:
    """What came back, and how long each took."""

    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    answers: Counter[bytes] = field(default_factory=Counter)


@dataclass
class Balancer:
    """`callers` closed loops over whichever replicas say that they are ready."""

    replicas: Sequence[Replica]
    callers: int = 16
    pause_seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    _ready: list[Replica] = field(default_factory=list)
    _over: bool = False

    async def during(self, work: asyncio.Future[None]) -> Tally:
        """Keep the load up until `work` is done, and let every request under way come home."""
        watching = [asyncio.create_task(self._watch(replica)) for replica in self.replicas]
        while not self._ready:  # noqa: ASYNC110  it looks anew every 50 ms by itself
            await asyncio.sleep(0.01)
        calling = [asyncio.create_task(self._call(n)) for n in range(self.callers)]
        try:
            await work
        finally:
            self._over = True
            await asyncio.gather(*calling)
            for task in watching:
                task.cancel()
        return self.tally

    async def _watch(self, replica: Replica) -> None:
        while True:
            ready = await self._is_ready(replica)
            if ready != (replica in self._ready):
                (self._ready.append if ready else self._ready.remove)(replica)
            await asyncio.sleep(LOOK_SECONDS)

    async def _is_ready(self, replica: Replica) -> bool:
        if replica.address is None:
            return False
        try:
            reader, writer = await asyncio.open_connection(replica.address.host, replica.address.port)
            writer.write(READY)
            answer = await reader.read()
            writer.close()
        except OSError:
            return False
        return answer.startswith(b"HTTP/1.1 200")

    async def _call(self, n: int) -> None:
        line: tuple[Replica, asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._over:
            if line is None or line[0] not in self._ready:
                if line is not None:
                    line[2].close()
                line = await self._connect(n)
                if line is None:
                    continue
            started = time.monotonic()
            try:
                answer, keep = await ask(line[1], line[2], ASK)
            except (OSError, EOFError, ValueError) as wrong:
                self.tally.failed[f"{type(wrong).__name__}: {wrong}"] += 1
                line = None
                continue
            self._count(answer, time.monotonic() - started)
            if not keep:
                line[2].close()
                line = None
            await asyncio.sleep(self.pause_seconds)
        if line is not None:
            line[2].close()

    async def _connect(self, n: int) -> tuple[Replica, asyncio.StreamReader, asyncio.StreamWriter] | None:
        if not self._ready:
            await asyncio.sleep(0.01)
            return None
        replica = self._ready[n % len(self._ready)]
        assert replica.address is not None
        try:
            reader, writer = await asyncio.open_connection(replica.address.host, replica.address.port)
        except OSError as wrong:
            self.tally.failed[f"cannot connect to a ready server: {wrong}"] += 1
            return None
        return replica, reader, writer

    def _count(self, answer: bytes, seconds: float) -> None:
        status, _, body = answer.partition(b"\n")
        if status != b"200":
            self.tally.failed[f"{status.decode()} {body[:200].decode()}"] += 1
            return
        if body.startswith(b"event:") and body.count(b"0.125") + body.count(b"0.625") != PIECES:
            self.tally.failed[f"a stream broke: {body[-200:].decode()}"] += 1
            return
        self.tally.answered += 1
        self.tally.seconds.append(seconds)
        self.tally.answers[b"0.125" if b"0.125" in body else b"0.625"] += 1


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bytes, bool]:
    """The status, a line feed and the whole body; and whether the connection may be used again."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    keep = b"connection: close" not in lines
    status = lines[0].split()[1]
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    if length is not None:
        return status + b"\n" + await reader.readexactly(length), keep
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status + b"\n" + b"".join(pieces), keep
