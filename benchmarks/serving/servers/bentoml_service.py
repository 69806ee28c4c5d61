"""BentoML on the model in MODEL_FILE. Runs in BentoML's own virtual environment, by `bentoml serve`."""

from __future__ import annotations

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Perceptron:
    """`{"x": [[...]]}` to `[[...]]`."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=64, max_latency_ms=60_000)
    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"x": np.asarray(x, np.float32)})[0]
