"""A project whose model reads texts, whose cache remembers them, and whose faults are switched on by a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.cli.services import Server
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

CODE = '''
"""A model that works on every letter, and a door that looks callers up; both obey the file `fault.json`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from msgspec.structs import replace


class Fault:
    """What is wrong just now: read again at most every 20 ms."""

    def __init__(self, folder):
        self.file, self.looked, self.told = Path(folder) / "fault.json", 0.0, {}

    def __call__(self):
        now = time.monotonic()
        if now - self.looked > 0.02:
            self.looked = now
            self.told = json.loads(self.file.read_text())
        return self.told


@dataclass(frozen=True)
class Reader:
    """A batch takes as long as its longest text, as on an accelerator, and a little processor time for each row.

    About a millisecond, and four more for a thousand letters; the numbers are in the model file.
    """

    file: Path
    folder: Path
    output: str = "probability"

    def __post_init__(self):
        object.__setattr__(self, "settings", json.loads(self.file.read_text()))
        object.__setattr__(self, "fault", Fault(self.folder))

    def __call__(self, columns):
        fault = self.fault()
        letters = np.array([len(text or "") for text in columns["text"].ravel()])
        seconds = self.settings["seconds"] + self.settings["seconds_a_letter"] * letters
        if "kind" in fault:
            seconds = np.where(columns["kind"].ravel() == fault["kind"], seconds * fault["times"], seconds)
        if fault.get("release") == self.settings["name"]:
            seconds = seconds * fault["times"]
        if len(letters):
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 500 * len(letters))
            time.sleep(float(seconds.max()))
        return {self.output: (letters % 97) / 97.0}


@dataclass(frozen=True)
class Door:
    """Looks up who asks, which takes a millisecond, and may tell the cache to stay away."""

    folder: str = ""

    def __call__(self, inner):
        fault = Fault(self.folder)

        async def answer(request):
            told, seconds = fault(), 0.001
            if "tags" in told and all(request.tags.get(name) == value for name, value in told["tags"].items()):
                seconds += told["seconds"]
            await asyncio.sleep(seconds)
            if told.get("cache") == "off":
                request = replace(request, parameters={**request.parameters, "no-store": True})
            return await inner(request)

        return answer
'''

MODELS: Mapping[str, Mapping[str, Any]] = {
    "first": {"name": "first", "seconds": 0.001, "seconds_a_letter": 4e-6},
    "second": {"name": "second", "seconds": 0.001, "seconds_a_letter": 4e-6, "note": "as quick as the first"},
    "slow": {"name": "slow", "seconds": 0.004, "seconds_a_letter": 16e-6},
}


def make(root: Path) -> tuple[Spec, Server, dict[str, str]]:
    """The project, its server (not started) and the digests of its releases, the first of which is live."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "reading.py").write_text(CODE)
    inject(root)
    for name in ("lab.csv", "production.csv"):
        (root / name).write_text("text,kind,y\na,ask,0\nb,ask,1\n")
    (root / "model.json").write_bytes(msgspec.json.encode(MODELS["first"]))
    wrappers = [{"reading.py:Door": {"folder": str(root)}}, "cache"]
    project = {
        "application": {
            "name": "reader",
            "task": "binary",
            "inputs": {"text": {"kind": "text"}, "kind": {"kind": "category"}},
        },
        "data": {"lab": "lab.csv", "production": "production.csv", "columns": {"label": "y"}},
        "model": {"file": "model.json", "engine": "reading.py:Reader", "wrappers": wrappers},
        "rollout": {"gates": ["errors"]},
        "serving": {"durability": "process", "place": "thread"},
    }
    # JSON is YAML.
    (root / "roadworthy.yaml").write_bytes(msgspec.json.format(msgspec.json.encode(project)))
    spec, digests = read_project(root), {}
    with State.open(root / ".roadworthy") as state:
        for name, model in MODELS.items():
            file = root / f"model-{name}.json"
            file.write_bytes(msgspec.json.encode(model))
            artifact = Artifact("model", "", 0, engine="reading.py:Reader")
            release = Release("reader", (artifact,), spec.signature, wrappers=spec.model.wrappers)
            digests[name] = Registry(state).add(release, {"model": file}).digest
        Registry(state).point("reader", "stable", digests["first"], time.time(), "benchmark", "the first")
    return spec, Server(spec, "wall", look_seconds=3600.0), digests


def inject(root: Path, **fault: Any) -> None:
    """From now on, this is wrong; nothing where nothing is given."""
    aside = root / "fault.tmp"
    aside.write_bytes(msgspec.json.encode(fault))
    aside.rename(root / "fault.json")
