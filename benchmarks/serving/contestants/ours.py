"""Our server as `roadworthy serve` runs it on a project: with everything on, with the least, and in between.

Every variant is a Features; what a feature needs in the project file or in a header is one line below.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from serving import bodies
from serving.contestants.base import Absent, Contestant, Start
from serving.models import MOST_ROWS, WIDTH, Floats, Model

Body = Callable[[Floats, int], bytes]
Scores = Callable[[bytes], list[float]]

NAME = "mlp"
TEMPERATURE = 1.5
# Room for what is asked in a second or two, so that the memory told is the server's and not its cache's.
CACHE = {"cache": {"megabytes": 8}}
CALIBRATION = {"temperature": {"temperature": TEMPERATURE}}
TABLE = "label,x\n0,0\n1,1\n"


@dataclass(frozen=True)
class Features:
    """What production asks of a server, and may be left out. Records and metrics cannot be.

    `wrappers` are plans, the outermost first.
    """

    durability: str
    wrappers: tuple[Any, ...] = ()
    api_key: bool = False

    def says(self, scores: Floats) -> Floats:
        """What becomes of the model's scores."""
        if CALIBRATION not in self.wrappers:
            return scores
        grown = np.exp(scores / TEMPERATURE)
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))

    def project(self) -> dict[str, Any]:
        """The project file."""
        return {
            "application": {
                "name": NAME,
                "task": "multiclass",
                "output": "scores",
                "inputs": {"x": {"kind": "number", "width": WIDTH}},
            },
            "data": {"lab": "table.csv", "production": "table.csv", "columns": {"label": "label"}},
            "model": {"file": "model.onnx", "engine": "onnx", "wrappers": list(self.wrappers)},
            "serving": {"most_rows": MOST_ROWS, "durability": self.durability},
        }


EVERYTHING = Features("power", (CACHE, CALIBRATION), api_key=True)
LEAST = Features("process")


def features_on() -> list[str]:
    """What "everything" is, in words."""
    return ["record (power)", "id", "key", "metrics", "API key", *(next(iter(plan)) for plan in EVERYTHING.wrappers)]


def _start(features: Features, python: str, model: Model, folder: Path, port: int) -> Start:
    """A project of its own with one registered release, served."""
    (folder / "model.onnx").write_bytes(model.file.read_bytes())
    (folder / "table.csv").write_text(TABLE)
    (folder / "roadworthy.yaml").write_text(yaml.safe_dump(features.project(), sort_keys=False))
    _run(python, "release", "--project", str(folder))
    headers = {}
    if features.api_key:
        made = json.loads(_run(python, "key", "new", "bench", "--json", "--project", str(folder)))
        headers["Authorization"] = f"Bearer {made['key']}"
    serve = [python, "-m", "roadworthy.cli", "serve", "--project", str(folder), "--port", str(port)]
    return Start(serve, headers=headers)


def _run(python: str, *arguments: str) -> str:
    done = subprocess.run([python, "-m", "roadworthy.cli", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Absent(f"`roadworthy {' '.join(arguments)}` failed:\n{done.stderr or done.stdout}")
    return done.stdout


def _ours(
    name: str, about: str, features: Features, body: Body, scores: Scores = bodies.open_inference_scores, **more: Any
) -> Contestant:
    path = f"/v2/models/{NAME}/infer"
    return Contestant(name, about, partial(_start, features), path, body, scores, says=features.says, **more)


FULL = _ours("ours", "everything on", EVERYTHING, bodies.tensors_with_key)
BARE = _ours("ours_bare", "no key, id or wrapper; records survive the process only", LEAST, bodies.tensors)
HITS = _ours(
    "ours_hits", "everything on, answers out of the cache", EVERYTHING, bodies.repeated,
    distinct=256, seen=bodies.unfilled,
)  # fmt: skip
BINARY = _ours(
    "ours_binary", "everything on, tensors as raw bytes both ways", EVERYTHING, bodies.binary,
    seen=bodies.filled_binary, scores=bodies.binary_scores,
    headers={"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(bodies.HEADER_BYTES)},
)  # fmt: skip
OURS = (FULL, BARE, BINARY, HITS)
