"""Kills a server with a queue of jobs again and again, and counts what became of every job that it had accepted.

A job is lost where it was answered 202 and never ends, and doubled where its key stands for two jobs, two results were
seen of it, or two records were kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from roadworthy.store.records import RecordLog
from roadworthy.testing.job_server import PORT_FILE

PATIENCE_SECONDS = 60.0


@dataclass
class Tally:
    """What was accepted (the job of each key), the draw of each, which were tried again, and what went wrong."""

    kills: int = 0
    accepted: dict[str, str] = field(default_factory=dict)
    drawn: dict[str, float] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def accept(self, key: str, id: str) -> None:
        """A 202 for a key."""
        known = self.accepted.setdefault(key, id)
        if known != id:
            self.faults.append(f"the key {key!r} stands for the jobs {known!r} and {id!r}")

    def see(self, id: str, job: Mapping[str, Any]) -> bool:
        """A look at a job; True when it is done."""
        if job["state"] in ("failed", "dead", "cancelled"):
            self.faults.append(f"the job {id!r} is {job['state']}: {job.get('error')}")
        if job["state"] != "done":
            return False
        if job["attempts"] > 1:
            self.again.add(id)
        draw = job["result"]["rows"][0]["draw"]
        if self.drawn.setdefault(id, draw) != draw:
            self.faults.append(f"the job {id!r} showed two results")
        return True


class Lost(ConnectionError):
    """The server died before it answered."""


def torture(
    folder: Path,
    kills: int,
    seed: int,
    plan: str = "sqlite",
    environment: Mapping[str, str] | None = None,
    callers: int = 6,
    life_seconds: float = 0.4,
    say: Callable[[str], object] = lambda line: None,
) -> Tally:
    """Put jobs under load, kill the server at `kills` random moments, and see every accepted job through to its end.

    Each life of the server lasts up to `life_seconds` after it began to answer.
    """
    trial = _Trial(folder, plan, {**os.environ, **(environment or {})}, Random(seed), say)
    try:
        asyncio.run(trial.run(kills, callers, life_seconds))
    finally:
        trial.stop()
    return trial.tally


class _Trial:
    def __init__(
        self, folder: Path, plan: str, environment: Mapping[str, str], rng: Random, say: Callable[[str], object]
    ) -> None:
        self.folder, self.plan, self.environment, self.rng, self.say = folder, plan, environment, rng, say
        self.tally = Tally()
        self.over = False
        self.process: subprocess.Popen[bytes] | None = None

    async def run(self, kills: int, callers: int, life_seconds: float) -> None:
        self.start()
        calling = [asyncio.ensure_future(self.call(number)) for number in range(callers)]
        for _ in range(kills):
            await self.live(life_seconds)
            self.kill()
            self.start()
        self.over = True
        await asyncio.gather(*calling)
        accepted = iter(list(self.tally.accepted.items()))
        await asyncio.gather(*(self.see_through(accepted) for _ in range(callers)))
        self.stop()
        self.count_records()

    def start(self) -> None:
        (self.folder / PORT_FILE).unlink(missing_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            command = [sys.executable, "-m", "roadworthy.testing.job_server", str(self.folder), self.plan, "0"]
            self.process = subprocess.Popen(command, env=dict(self.environment), stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.tally.kills += 1
        if self.tally.kills % 10 == 0:
            self.say(f"{self.tally.kills} kills, {len(self.tally.accepted)} jobs accepted\n")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)

    async def live(self, seconds: float) -> None:
        """Let the server live for a while; one in ten dies before it answers anybody."""
        if self.rng.random() < 0.1:
            await asyncio.sleep(self.rng.uniform(0.0, 0.5))
            return
        await self.port()
        await asyncio.sleep(self.rng.uniform(0.01, seconds))

    async def port(self) -> int:
        for _ in range(round(PATIENCE_SECONDS / 0.02)):
            try:
                return int((self.folder / PORT_FILE).read_text())
            except (FileNotFoundError, ValueError):
                await asyncio.sleep(0.02)
        raise TimeoutError(f"the server does not start; see {self.folder / 'server.log'}")

    async def call(self, number: int) -> None:
        """One caller: a new job under a new key, asked for until it is accepted; and a look at an earlier one."""
        turn = 0
        while not self.over:
            turn += 1
            await self.insist(f"{number}-{turn}")
            if turn % 5 == 0:
                await self.look(self.rng.choice(list(self.tally.accepted.values())))

    async def insist(self, key: str) -> None:
        while True:
            headers = {"prefer": "respond-async", "idempotency-key": key}
            try:
                status, answer = await self.ask("POST", "/predict", headers, {"rows": [{"x": 1.0}]})
            except (Lost, OSError):
                await asyncio.sleep(0.02)
                continue
            if status == 202:
                self.tally.accept(key, answer["id"])
                return
            if status != 503:
                self.tally.faults.append(f"a job was answered {status}: {answer}")
                return
            await asyncio.sleep(0.05)

    async def look(self, id: str, wait: int = 0) -> bool:
        try:
            status, job = await self.ask("GET", f"/v2/jobs/{id}?wait={wait}", {}, None)
        except (Lost, OSError):
            return False
        if status == 404:
            self.tally.faults.append(f"the job {id!r} was accepted, and nobody knows it")
        return status == 200 and self.tally.see(id, job)

    async def see_through(self, accepted: Iterator[tuple[str, str]]) -> None:
        """Every accepted job ends, and its key still stands for it."""
        for key, id in accepted:
            if not await self.look(id, wait=30):
                self.tally.faults.append(f"the job {id!r} was accepted and does not end")
            await self.insist(key)

    def count_records(self) -> None:
        """Each accepted job left one answered record."""
        log = RecordLog(self.folder / "records.db", "process")
        answered = [record.id for record in log.read() if record.error is None]
        log.close()
        missing, twice = set(self.tally.accepted.values()) - set(answered), len(answered) - len(set(answered))
        if missing or twice:
            self.tally.faults.append(f"{len(missing)} jobs have no record, and {twice} have two")

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        """One request on a connection of its own. Raises Lost or OSError where the server dies meanwhile."""
        raw = b"" if body is None else json.dumps(body).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}content-length: {len(raw)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", await self.port())
        try:
            writer.write(head.encode() + raw)
            answer = await reader.read()
        finally:
            writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        try:
            return int(top.split(b" ", 2)[1]), json.loads(rest)
        except (IndexError, ValueError) as torn:
            raise Lost("the server died before it answered") from torn
