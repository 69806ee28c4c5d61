"""200 random deaths by `kill -9` of who appends, and 40 of who seals: no acknowledged row lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from roadworthy.store.records import RecordLog

pytest.importorskip("polars")

KILLS = 200

# It imports once and forks for each life, so that a life costs what it does and not what Python does.
LIVES = """
import asyncio, json, os, random, signal, sys, time
from pathlib import Path

import numpy, polars
from roadworthy.core.record import Record
from roadworthy.core.spec import Log
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal

path, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(11)

def append(first, acknowledged):
    async def client(log, name):
        k = first
        while True:
            id = f"{name}-{k:06d}"
            await log.append(lambda: [Record(id, float(k), "r", "stable", {"x": k, "name": name}, {"p": 0.5})])
            os.write(acknowledged, f"{id}\\n".encode())
            k += 1

    async def clients():
        log = RecordLog(path, "process" if first % 2 else "power")
        await asyncio.gather(*(client(log, name) for name in "abcd"))

    asyncio.run(clients())

def seal_on():
    log = RecordLog(path, "process")
    while True:
        seal(log, Log(seal_rows=20, hot_minutes=0), 1e9)
        time.sleep(0.002)

def fork(act):
    pid = os.fork()
    if not pid:
        try:
            act()
        finally:
            os._exit(1)
    return pid

def kill(pid):
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9  # it was alive until now

first, heard, sealer = 0, [], fork(seal_on)
for life in range(kills):
    reading, writing = os.pipe()
    appender = fork(lambda: append(first, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        got = [pipe.readline() for _ in range(rng.randint(4, 60))]
        time.sleep(rng.uniform(0, 0.05))
        # To seal takes a while to begin; who seals dies at every fifth death, now before and now after who appends.
        if before := rng.random() < 0.1:
            kill(sealer)
        kill(appender)
        if after := not before and rng.random() < 0.1:
            kill(sealer)
        if before or after:
            sealer = fork(seal_on)
        got += pipe.readlines()
    # The pipe may end in the middle of a line; that one was not acknowledged to anybody.
    heard += [line.decode().strip() for line in got if line.endswith(b"\\n")]
    # Each life begins with ids of the one before, as clients do who got no answer and ask again.
    newest = max(int(id.split("-")[1]) for id in heard)
    first = max(0, newest - 10)
kill(sealer)
print(json.dumps(heard))
"""


@pytest.mark.slow
def test_200_deaths_lose_and_double_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    done = subprocess.run(
        [sys.executable, "-c", LIVES, str(path), str(KILLS)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    acknowledged = set(json.loads(done.stdout))
    log = RecordLog(path)
    found = log.read()
    times = Counter(record.id for record in found)
    assert acknowledged - set(times) == set()
    assert [id for id, n in times.items() if n > 1] == []
    assert all(record.id == f"{record.inputs['name']}-{record.inputs['x']:06d}" for record in found)
    assert log.count() == len(found) == log.scan().collect().height
    assert log.verify(0.0).damaged == ()
    segments = log.segments()
    assert len(segments) > KILLS / 4
    assert len(acknowledged) > 20 * KILLS
    log.close()
