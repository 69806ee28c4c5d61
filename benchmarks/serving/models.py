"""The two models as ONNX files, what ONNX Runtime answers in this process, and what that costs: the ceiling."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, CLASSES, MOST_ROWS = 64, 10, 64
SIZES = {"small": (WIDTH, 256, 256, CLASSES), "large": (WIDTH, 2048, 2048, CLASSES)}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A perceptron with random weights: input `x` (n, 64), output `scores` (n, 10)."""

    name: str
    file: Path

    @property
    def shape(self) -> str:
        """The widths of its layers, as in 64-256-256-10."""
        return "-".join(map(str, SIZES[self.name]))

    def answer(self, x: Floats) -> Floats:
        """What ONNX Runtime says, shape (n, 10)."""
        found: Floats = self._session.run(None, {"x": x})[0]
        return found

    def ceiling_us(self, seconds: float, rows: int = MOST_ROWS) -> float:
        """CPU microseconds a row of raw ONNX Runtime on ready batches: no server can cost less."""
        x = np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32)
        feed, done, session, clock = {"x": x}, 0, self._session, time.process_time
        started = clock()
        while clock() < started + seconds:
            session.run(None, feed)
            done += rows
        return (clock() - started) / done * 1e6

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(self.file), options, providers=["CPUExecutionProvider"])


def write_model(name: str, folder: Path) -> Model:
    """The model `small` or `large`, written into `folder`."""
    from onnx import TensorProto, helper, numpy_helper

    rng, nodes, weights, last = np.random.default_rng(0), [], [], "x"
    layers = list(pairwise(SIZES[name]))
    for k, (wide, narrow) in enumerate(layers, 1):
        weights.append(numpy_helper.from_array(rng.normal(0, wide**-0.5, (wide, narrow)).astype(np.float32), f"w{k}"))
        out = "scores" if k == len(layers) else f"z{k}"
        nodes.append(helper.make_node("MatMul", [last, f"w{k}"], [out]))
        if k < len(layers):
            nodes.append(helper.make_node("Relu", [out], [f"h{k}"]))
        last = f"h{k}"
    ports = [
        helper.make_tensor_value_info(port, TensorProto.FLOAT, [None, width])
        for port, width in (("x", WIDTH), ("scores", CLASSES))
    ]
    graph = helper.make_graph(nodes, "mlp", ports[:1], ports[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = folder / f"{name}.onnx"
    file.write_bytes(made.SerializeToString())
    return Model(name, file)
