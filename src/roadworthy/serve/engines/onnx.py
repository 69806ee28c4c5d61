"""An ONNX file run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, Missing, nearest
from roadworthy.core.spec import Signature
from roadworthy.core.wire import Datatype
from roadworthy.serve.base import engine

# What ONNX Runtime calls a type, what Open Inference calls it, and the array that carries it.
_TYPES: dict[str, tuple[Datatype, type[Any]]] = {
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(float16)": ("FP16", np.float16),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(int16)": ("INT16", np.int16),
    "tensor(int8)": ("INT8", np.int8),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(string)": ("BYTES", np.object_),
}


class Port(NamedTuple):
    """An input of a graph: its name, its Open Inference datatype, and its shape with None for "any"."""

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]

    @property
    def width(self) -> int | None:
        """How many values a row has; None where the graph leaves it open."""
        return 1 if len(self.shape) < 2 else self.shape[1]


@engine("onnx", needs=(("onnxruntime", "onnx"),))
@dataclass(frozen=True)
class Onnx:
    """An ONNX graph, on `threads` CPU threads.

    The graph takes an input of each column's name, or one matrix of all columns in the signature's order; any other
    arrangement is written in `inputs`: graph input -> columns. A null text is fed as "". A binary classifier (exported
    without zipmap) answers `probability`, of class 1; other graphs answer under their own names. `output` renames the
    one answer.
    """

    file: Path
    threads: int = 1
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = ""

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises BadData for a file that is not ONNX."""
        feed = {port.name: _feed(columns, self._taken(port, tuple(columns)), port) for port in self._ports}
        found = self._session.run(None, feed)
        return _answers(dict(zip(self._names, found, strict=True)), self.output)

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the graph wants and the signature does not promise."""
        for port in self._ports:
            _check_port(port, self._taken(port, tuple(signature.inputs)), signature, str(self.file))

    @classmethod
    def example(cls, folder: Path) -> tuple[Onnx, dict[str, NDArray[Any]]]:
        """A small model written into `folder`, and rows for it: what the laws run every engine on."""
        from skl2onnx import to_onnx
        from sklearn.linear_model import LogisticRegression

        rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        lab = LogisticRegression().fit(rows, rows[:, 0] > rows[:, 1])
        file = folder / "example.onnx"
        file.write_bytes(to_onnx(lab, rows[:1], options={"zipmap": False}).SerializeToString())
        return cls(file), {name: rows[:, [k]] for k, name in enumerate("abc")}

    @cached_property
    def _session(self) -> Any:
        return _open(self.file, self.threads)

    @cached_property
    def _ports(self) -> tuple[Port, ...]:
        return _ports_of(self._session)

    @cached_property
    def _names(self) -> list[str]:
        return [output.name for output in self._session.get_outputs()]

    def _taken(self, port: Port, columns: tuple[str, ...]) -> tuple[str, ...]:
        """The columns that go into a graph input, whether or not all of them are there."""
        if port.name in self.inputs:
            return self.inputs[port.name]
        alone = len(self._ports) == 1 and port.name not in columns
        return columns if alone and (port.width != 1 or len(columns) == 1) else (port.name,)


def describe(file: Path) -> tuple[Port, ...]:
    """The inputs of an ONNX file. Raises BadData where it is not one."""
    return _ports_of(_open(file, 1))


def _open(file: Path, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    if not Path(file).is_file():
        raise Missing(f"no model file {str(file)!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    # Threads that spin while they wait for work would take the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    broken = (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.Fail, state.NotImplemented)
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except broken as wrong:
        raise BadData(f"{str(file)!r} is not an ONNX model that ONNX Runtime can run: {wrong}") from wrong


def _ports_of(session: Any) -> tuple[Port, ...]:
    return tuple(_port(node) for node in session.get_inputs())


def _port(node: Any) -> Port:
    if node.type not in _TYPES:
        raise BadData(f"graph input {node.name!r} is a {node.type}; supported are {', '.join(_TYPES)}")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return Port(node.name, _TYPES[node.type][0], shape)


_ARRAYS = dict(_TYPES.values())


def _feed(columns: Mapping[str, NDArray[Any]], taken: Sequence[str], port: Port) -> NDArray[Any]:
    array = columns[taken[0]] if len(taken) == 1 else np.concatenate([columns[name] for name in taken], axis=1)
    if port.datatype == "BYTES":
        texts = ["" if value is None else str(value) for value in array.reshape(-1)]
        array = np.array(texts, dtype=object).reshape(array.shape)
    array = array.astype(_ARRAYS[port.datatype], copy=False)
    return array.reshape(-1) if len(port.shape) == 1 else array


def _answers(found: Mapping[str, Any], output: str) -> dict[str, NDArray[Any]]:
    """A label beside (n, k) scores is a classifier: of two classes the second one's probability is the answer."""
    if any(isinstance(value, list) for value in found.values()):
        raise BadData("the graph answers a list of dictionaries: export it without zipmap (options={'zipmap': False})")
    scores = [value for value in found.values() if value.ndim == 2 and value.dtype.kind == "f"]
    if len(found) == 2 and len(scores) == 1 and any(value.ndim == 1 for value in found.values()):
        two = scores[0].shape[1] == 2
        return {output or ("probability" if two else "probabilities"): scores[0][:, 1] if two else scores[0]}
    flat = {name: value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value for name, value in found.items()}
    return {output: next(iter(flat.values()))} if output and len(flat) == 1 else flat


def _check_port(port: Port, taken: Sequence[str], signature: Signature, file: str) -> None:
    for name in taken:
        if name not in signature.inputs:
            near, known = nearest(name, signature.inputs), ", ".join(signature.inputs)
            raise BadData(f"{file!r} wants an input {name!r}{near} (the project has: {known})")
        promised = signature.inputs[name].datatype
        if (promised == "BYTES") != (port.datatype == "BYTES"):
            raise BadData(f"{file!r} wants {port.datatype} for input {name!r} and the project promises {promised}")
    width = sum(signature.inputs[name].width for name in taken)
    if port.width is not None and port.width != width:
        raise BadData(
            f"{file!r} wants {port.width} values a row in {port.name!r} and the project promises {width} "
            f"({', '.join(taken)})"
        )
