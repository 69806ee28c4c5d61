"""BentoML 1.4.39: one service, adaptive batching; uvloop and httptools added, which it takes where they are there."""

from __future__ import annotations

from pathlib import Path

from serving.bodies import flat, nested
from serving.contestants.base import SERVERS, Contestant, Needs, Start
from serving.models import Model


def _start(python: str, model: Model, folder: Path, port: int) -> Start:
    command = [python, "-m", "bentoml", "serve", "bentoml_service:Perceptron", "--host", "127.0.0.1"]
    environment = {"MODEL_FILE": str(model.file), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
    return Start([*command, "--port", str(port), "--working-dir", str(SERVERS)], environment)


BENTOML = Contestant(
    "bentoml",
    "adaptive batches of 64, one worker, uvloop and httptools added, no access log, no tracking",
    _start,
    "/predict",
    nested,
    flat,
    needs=Needs("bentoml", ("bentoml==1.4.39", "onnxruntime==1.31.1", "uvloop", "httptools")),
)
