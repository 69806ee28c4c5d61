"""A runtime of MLServer for the model. Runs in MLServer's own virtual environment, by `mlserver start`."""

from __future__ import annotations

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Perceptron(MLModel):
    """Open Inference tensors in and out, without a codec in between, which would cost more."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        uri = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        x = np.array(tensor.data.root, np.float32).reshape(tensor.shape)
        scores = self.session.run(None, {"x": x})[0]
        output = ResponseOutput(name="scores", datatype="FP32", shape=list(scores.shape), data=scores.ravel().tolist())
        return InferenceResponse(model_name=self.name, outputs=[output])
