"""300 deaths of controllers and of the server in the middle of rollouts under load: nothing contradicts itself."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from random import Random

import msgspec
from given import Given, counted
from project import Replica, make

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.measure import Measurement, Requirement
from roadworthy.core.project import read_project
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State
from roadworthy.testing.rollout_deaths import CHANCE, Deaths, strays

WANTED = (
    Requirement("rollout_faults", at_most=0),
    Requirement("rollout_unknown_answers", at_most=0),
    Requirement("rollout_stray_seconds", at_most=2.0, unit="s"),
    Requirement("rollout_kills", at_least=300),
)
TIMES = 300
# One in so many deaths is the server's, which takes a second to come back.
SERVERS = 10
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}).encode()


def run(given: Given) -> list[Measurement]:
    """Two controllers and a server on one directory, each killed at random, with callers all the time."""
    replica, _ = make(given.folder / "rollouts")
    root = given.folder / "rollouts"
    (root / "chance.py").write_text(CHANCE)
    _third(root)
    replica.start()
    over = threading.Event()
    asking = threading.Thread(target=_ask, args=(replica, over))
    asking.start()
    times = given.times(TIMES)
    servers = max(1, times // SERVERS)
    command = [sys.executable, "-m", "roadworthy.testing.rollout_deaths", str(root), "torture"]
    killing = subprocess.Popen([*command, str(times - servers), str(given.seed)], stdout=subprocess.PIPE)
    killed = _kill_servers(replica, killing, servers, given.rng)
    told, _ = killing.communicate(timeout=60)
    over.set()
    asking.join()
    replica.kill()
    found = msgspec.json.decode(told, type=Deaths)
    with State.open(replica.state, "process") as state:
        late, unknown = strays(state, "torture")
        rows = state.records.counts()
    print(f"  steps: {found.steps}; {found.told} incidents told; rows: {sum(rows.values())}; strays {late:.2f} s")
    for fault in [*found.faults, *unknown][:5]:
        print(f"  {fault}")
    full = found.kills + killed == times
    return [
        counted("rollout_faults", len(found.faults), found.kills),
        counted("rollout_unknown_answers", len(unknown), sum(rows.values())),
        counted("rollout_stray_seconds", late, sum(rows.values()), "s"),
        counted("rollout_kills", TIMES if full else 0, found.kills + killed),
    ]


def _third(root) -> None:
    """Another release, so that there is always one to roll out."""
    spec = read_project(root)
    with State.open(root / ".roadworthy") as state:
        file = root / "model-0.375.txt"
        file.write_text("0.375")
        artifact = Artifact("model", "", 0, engine="engines.py:Number")
        Registry(state).add(Release("torture", (artifact,), spec.signature), {"model": file})


def _ask(replica: Replica, over: threading.Event) -> None:
    """A caller who tries again; what was answered is in the records."""
    while not over.is_set():
        try:
            assert replica.address is not None
            url = f"{replica.address.url}/v2/models/torture/infer"
            urllib.request.urlopen(urllib.request.Request(url, BODY), timeout=2).read()
        except (OSError, urllib.error.URLError, AssertionError):
            time.sleep(0.02)
        time.sleep(0.005)


def _kill_servers(replica: Replica, killing: subprocess.Popen[bytes], times: int, rng: Random) -> int:
    killed = 0
    while killing.poll() is None or killed < times:
        time.sleep(rng.uniform(0.2, 1.5))
        if killed < times:
            replica.kill()
            replica.start()
            killed += 1
    return killed
