"""MLServer 1.7.1: a runtime of our own for ONNX, in the server's process, with adaptive batching."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from serving.bodies import open_inference_scores, tensors
from serving.contestants.base import SERVERS, Contestant, Needs, Start, free_port
from serving.models import MOST_ROWS, Model

# In the server's own process (its default of one worker process costs 20 % more), without what one can do without.
SETTINGS = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "gzip_enabled": False, "metrics_endpoint": None}


def _start(window_seconds: float, python: str, model: Model, folder: Path, port: int) -> Start:
    # The other two ports cannot be switched off.
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    ours = {
        "name": "mlp",
        "implementation": "mlserver_runtime.Perceptron",
        "max_batch_size": MOST_ROWS,
        "max_batch_time": window_seconds,
        "parameters": {"uri": str(model.file)},
    }
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, **ports}))
    (folder / "model-settings.json").write_text(json.dumps(ours))
    (folder / "mlserver_runtime.py").write_bytes((SERVERS / "mlserver_runtime.py").read_bytes())
    return Start([str(Path(python).with_name("mlserver")), "start", str(folder)], {"MLSERVER_METRICS_DIR": str(folder)})


MLSERVER = Contestant(
    "mlserver",
    "adaptive batches of 64 with a window of 2 ms, no worker process, httptools added, metrics and logs off",
    partial(_start, 0.002),
    "/v2/models/mlp/infer",
    tensors,
    open_inference_scores,
    # With uvloop 0.22 its default settings do not start (its issue 2288).
    needs=Needs("mlserver", ("mlserver==1.7.1", "onnxruntime==1.31.1", "uvloop<0.22", "httptools")),
)

# A shorter window answers a lone caller sooner. Under load it made no difference that we could measure.
QUICK = replace(
    MLSERVER, name="mlserver_quick", about="the same with a window of 0.5 ms", start=partial(_start, 0.0005)
)
