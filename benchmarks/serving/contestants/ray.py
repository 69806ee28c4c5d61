"""Ray Serve 2.60.0: its own proxy in front of one replica; its HAProxy way binds to every interface and is left out."""

from __future__ import annotations

from pathlib import Path

from serving.bodies import flat, named
from serving.contestants.base import SERVERS, Contestant, Needs, Start
from serving.models import Model

# What `RAY_SERVE_THROUGHPUT_OPTIMIZED` sets, except the direct ingress, which goes past the proxy that is measured.
TUNED = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_SERVE_FREEZE_GC_ON_STARTUP": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def _start(python: str, model: Model, folder: Path, port: int) -> Start:
    command = [python, str(SERVERS / "ray_app.py"), str(model.file), str(port), str(folder / "ray")]
    return Start(command, TUNED)


RAY = Contestant(
    "ray",
    "batches of 64 with a window of 2 ms, one replica, default proxy, router and user code on the main loop",
    _start,
    "/",
    named,
    lambda answer: flat(answer, "scores"),
    needs=Needs("ray", ("ray[serve]==2.60.0", "onnxruntime==1.31.1")),
    busy_when_idle=True,
)
