"""Ray Serve on the model: MODEL PORT FOLDER. Runs in Ray's own virtual environment, until it is told to end."""

from __future__ import annotations

import signal
import sys

import numpy as np
import onnxruntime
import ray
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Perceptron:
    """`{"x": [...]}` to `{"scores": [...]}`."""

    def __init__(self, file: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.002)
    async def predict(self, rows: list[list[float]]) -> list[list[float]]:
        return self.session.run(None, {"x": np.array(rows, np.float32)})[0].tolist()

    async def __call__(self, request):
        body = await request.json()
        return {"scores": await self.predict(body["x"])}


if __name__ == "__main__":
    model, port, folder = sys.argv[1:4]
    ray.init(
        num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=folder, log_to_driver=False,
        object_store_memory=100 * 2**20, _system_config={"metrics_report_interval_ms": 3_600_000},
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, logging_config={"enable_access_log": False})
    serve.run(Perceptron.bind(model))
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    ray.shutdown()
