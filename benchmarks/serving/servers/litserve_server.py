"""LitServe on the model: MODEL PORT. Runs in LitServe's own virtual environment."""

from __future__ import annotations

import sys

import litserve
import numpy as np
import onnxruntime


class Perceptron(litserve.LitAPI):
    """`{"x": [...]}` to `{"scores": [...]}`."""

    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.session.run(None, {"x": x})[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"scores": output.tolist()}


if __name__ == "__main__":
    # A window of 2 ms: without one LitServe polls its queue as fast as it can, and answers slower for it.
    api = Perceptron(max_batch_size=64, batch_timeout=0.002)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=1, timeout=False, fast_queue="fast" in sys.argv
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, log_level="warning", generate_client_file=False,
        access_log=False,
    )  # fmt: skip
