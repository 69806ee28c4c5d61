"""LitServe 0.2.19: FastAPI in one process, batches in another, a manager's queue between them."""

from __future__ import annotations

from pathlib import Path

from serving.bodies import flat, named
from serving.contestants.base import SERVERS, Contestant, Needs, Start
from serving.models import Model


def _start(python: str, model: Model, folder: Path, port: int) -> Start:
    return Start([python, str(SERVERS / "litserve_server.py"), str(model.file), str(port)])


LITSERVE = Contestant(
    "litserve",
    "batches of 64 with a window of 2 ms, one worker, no access log",
    _start,
    "/predict",
    named,
    lambda answer: flat(answer, "scores"),
    needs=Needs("litserve", ("litserve==0.2.19", "onnxruntime==1.31.1")),
    busy_when_idle=True,
)
