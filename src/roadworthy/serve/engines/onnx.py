"""An ONNX file run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.insides import Columns, Insides
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Datatype
from roadworthy.serve.base import engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.folder import opened
from roadworthy.serve.formats.onnx_graph import see_onnx
from roadworthy.serve.formats.onnx_insides import insides_of
from roadworthy.serve.ports import ARRAYS, Port, check_ports, feed, taken

# What ONNX Runtime calls a type, and what Open Inference calls it.
_TYPES: dict[str, Datatype] = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(int16)": "INT16",
    "tensor(int8)": "INT8",
    "tensor(uint8)": "UINT8",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}


@engine("onnx", needs=(("onnxruntime", "onnx"),))
@dataclass(frozen=True)
class Onnx:
    """An ONNX graph, on `threads` CPU threads.

    The graph takes an input of each column's name, or one matrix of all columns in the signature's order; any other
    arrangement is written in `inputs`: graph input -> columns. A null text is fed as "". A binary classifier (exported
    without zipmap) answers `probability`, of class 1; other graphs answer under their own names. `output` renames the
    one answer. Weights in files of their own need the model to be a folder, with one `.onnx` file in it.
    """

    file: Path
    threads: int = 1
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = ""
    limits: Limits = LIMITS

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises BadData for a file that is not ONNX."""
        found = self._session.run(None, self._feed(columns))
        return _answers(dict(zip(self._names, found, strict=True)), self.output)

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the graph wants and the signature does not promise."""
        check_ports(self._ports, signature, self.inputs, str(self.file))

    def insides(self, rows: Columns) -> Insides | None:
        """The trees or weights that the graph ends in, proven on these rows; None where it ends in something else."""
        place = _checked(opened(Path(self.file), self, self.limits))
        return insides_of(place.read_bytes(), self._feed, rows, next(iter(self(rows).values())))

    @classmethod
    def describe(cls, file: Path) -> Signature:
        """What the graph takes and answers. Raises BadData where the file is not ONNX."""
        made = cls(file)
        zeros = {port.name: np.zeros((1, port.width or 1), ARRAYS[port.datatype]) for port in made._ports}
        outputs = {name: Field(width=values[:1].size) for name, values in made(zeros).items()}
        return Signature({port.name: port.field for port in made._ports}, outputs)

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

    def _feed(self, columns: Columns) -> dict[str, NDArray[Any]]:
        ports, have = self._ports, tuple(columns)
        return {port.name: feed(columns, taken(port, ports, have, self.inputs), port) for port in ports}

    @cached_property
    def _session(self) -> Any:
        return _open(opened(Path(self.file), self, self.limits), self.threads)

    @cached_property
    def _ports(self) -> tuple[Port, ...]:
        return _ports_of(self._session)

    @cached_property
    def _names(self) -> list[str]:
        return [output.name for output in self._session.get_outputs()]


def describe(file: Path) -> tuple[Port, ...]:
    """The inputs of an ONNX file. Raises BadData where it is not one."""
    return _ports_of(_open(file, 1))


def _open(place: Path, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    file = _checked(place)
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


def _checked(place: Path) -> Path:
    """The graph's file, which reads no file that is not part of the model. Raises Unsafe, BadData or Missing."""
    files: frozenset[str] = frozenset()
    if place.is_dir():
        graphs = sorted(place.glob("*.onnx"))
        if len(graphs) != 1:
            found = ", ".join(graph.name for graph in graphs) or "none"
            raise BadData(f"{str(place)!r} must hold exactly one .onnx file, found {found}")
        inner = [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
        files, place = frozenset(path.relative_to(place).as_posix() for path in inner), graphs[0]
    if not place.is_file():
        raise Missing(f"no model file {str(place)!r}")
    with place.open("rb") as stream:
        see_onnx(stream, str(place), files)
    return place


def _ports_of(session: Any) -> tuple[Port, ...]:
    return tuple(_port(node) for node in session.get_inputs())


def _port(node: Any) -> Port:
    if node.type not in _TYPES:
        raise BadData(f"graph input {node.name!r} is a {node.type}; supported are {', '.join(_TYPES)}")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return Port(node.name, _TYPES[node.type], shape)


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
