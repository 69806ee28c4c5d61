"""A PyTorch model: an exported program, or tensors with the class that they belong to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import catalog
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Datatype
from roadworthy.serve.base import engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.ports import ARRAYS, Port, check_ports, feed, taken
from roadworthy.serve.safe_import import kind_of_file, load
from roadworthy.serve.uncertainty.decomposition import Answers, spread
from roadworthy.serve.uncertainty.dropout import Thinned

_DATATYPES: Mapping[str, Datatype] = {
    "torch.float32": "FP32",
    "torch.float64": "FP64",
    "torch.float16": "FP16",
    "torch.bfloat16": "FP32",
    "torch.int64": "INT64",
    "torch.int32": "INT32",
    "torch.int16": "INT16",
    "torch.int8": "INT8",
    "torch.uint8": "UINT8",
    "torch.bool": "BOOL",
}


class Loaded(NamedTuple):
    """A model that is ready: what to call, its inputs with their torch types, and the fewest rows that it takes.

    Where the model does not tell (`exact` is False), whole numbers go in as int64 and others as the type given here.
    """

    run: Callable[..., Any]
    ports: tuple[Port, ...]
    dtypes: tuple[Any, ...]
    exact: bool
    least: int = 1


@engine("torch", needs=(("torch", "torch"),))
@dataclass(frozen=True)
class Torch:
    """A PyTorch model: a `.pt2` of `torch.export.save`, or its tensors with `code: file.py:Model`.

    The tensors come from a safetensors file or a state dict; the class is called with `arguments`, and the code is part
    of the release. Each parameter of `forward` takes the column of its name, or the one parameter takes a matrix of all
    columns; any other arrangement is written in `inputs`: parameter -> columns. Several answers are named by `outputs`,
    the one answer by `output` (`value`). `threads` is a setting of the whole process: the last model loaded decides
    for all of them. `device` is "cpu", "cuda" or "cuda:1". Files that hold code are refused unless `trust` is set.

    With `dropout_samples` the class answers with that many of its own thinned nets, drawn by `seed` (MC dropout, Gal &
    Ghahramani 2016): their mean, `epistemic` and `aleatoric`. `kind` says what it answers: `probabilities`, `logits`
    (of which the mean probabilities become the answer) or `values`.
    """

    file: Path
    code: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    output: str = ""
    threads: int = 1
    device: str = "cpu"
    trust: bool = False
    limits: Limits = LIMITS
    folder: Path = Path()
    dropout_samples: int = 0
    seed: int = 0
    kind: Answers = "probabilities"

    def __post_init__(self) -> None:
        if self.dropout_samples < 0 or self.dropout_samples == 1:
            raise ValueError(f"`dropout_samples` must be 0 (no dropout) or at least 2, got {self.dropout_samples!r}")

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs of shape (n,) or (n, k). Raises BadData for a file that is refused or does not fit its code."""
        rows, loaded = len(next(iter(columns.values()), ())), self._loaded
        if rows < loaded.least:
            # Some graphs take no fewer rows than they were traced with; what is added is cut off again.
            more = {name: _padded(values, loaded.least) for name, values in columns.items()}
            return {name: values[:rows] for name, values in self(more).items()}
        found = self._named(self._run(columns))
        return self._spread(found, rows) if self.dropout_samples else found

    def check(self, signature: Signature) -> None:
        """Raise BadData naming the first input that the model wants and the signature does not promise."""
        check_ports(self._loaded.ports, signature, self.inputs, str(self.file))

    @classmethod
    def describe(cls, file: Path) -> Signature | None:
        """What an exported program takes and answers; None for tensors, which do not tell."""
        if kind_of_file(file) != "exported":
            return None
        made = cls(file)
        zeros = {port.name: np.zeros((2, port.width or 1), ARRAYS[port.datatype]) for port in made._loaded.ports}
        outputs = {name: Field(width=values[:1].size) for name, values in made(zeros).items()}
        return Signature({port.name: port.field for port in made._loaded.ports}, outputs)

    @classmethod
    def example(cls, folder: Path) -> tuple[Torch, dict[str, NDArray[Any]]]:
        """A small model written into `folder`, and rows for it: what the laws run every engine on."""
        import torch
        from safetensors.torch import save_file

        (folder / "example.py").write_text(_EXAMPLE, encoding="utf-8")
        drawn = torch.Generator().manual_seed(0)
        weights = {"layer.weight": torch.randn(2, 3, generator=drawn), "layer.bias": torch.randn(2, generator=drawn)}
        save_file(weights, folder / "example.safetensors")
        rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
        made = cls(folder / "example.safetensors", "example.py:Example", {"classes": 2}, folder=folder)
        return made, {name: rows[:, [k]] for k, name in enumerate("abc")}

    @cached_property
    def _loaded(self) -> Loaded:
        import torch

        if torch.device(self.device).type == "cuda" and not torch.cuda.is_available():
            raise SpecError(f"`device` is {self.device!r}, and torch finds no CUDA device here; write `device: cpu`")
        torch.set_num_threads(self.threads)
        found = load(Path(self.file), self.trust, self.limits)
        if hasattr(found, "graph_signature"):
            if self.dropout_samples:
                raise BadData(
                    f"{str(self.file)!r} was exported for inference, which takes dropout out: `dropout_samples` needs "
                    f"the tensors and `code: file.py:Model`"
                )
            return _of_program(found, str(self.file), self.device)
        loaded = _of_module(self._module(found).eval().to(self.device))
        if not self.dropout_samples:
            return loaded
        return loaded._replace(run=Thinned(loaded.run, self.dropout_samples, self.seed))

    def _module(self, found: Any) -> Any:
        """The module of a class and its tensors; with `trust` it may have come whole."""
        if hasattr(found, "forward") and not self.code:
            return found
        if not self.code:
            raise BadData(
                f"{str(self.file)!r} holds tensors and not what to compute with them: name the class in the engine's "
                f"settings as `code: file.py:Model`, or save the model with `torch.export.save`"
            )
        module = catalog.load(self.code, self.folder)(**self.arguments)
        tensors = found.get("state_dict", found) if isinstance(found, Mapping) else found.state_dict()
        try:
            module.load_state_dict(tensors)
        except (RuntimeError, TypeError) as wrong:
            said = " ".join(str(wrong).split())
            raise BadData(f"the tensors of {str(self.file)!r} do not fit `{self.code}`: {said}") from wrong
        return module

    def _run(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        import torch

        loaded = self._loaded
        with torch.inference_mode():
            fed = [self._fed(columns, port, dtype) for port, dtype in zip(loaded.ports, loaded.dtypes, strict=True)]
            return loaded.run(*fed)

    def _spread(self, found: Mapping[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
        """The one answer of the thinned nets, sample by sample below each other, as their mean and its split."""
        if len(found) != 1:
            raise BadData(f"with `dropout_samples` the model answers one tensor, got {len(found)}: {', '.join(found)}")
        ((name, values),) = found.items()
        if len(values) != rows * self.dropout_samples:
            raise BadData(f"{self.code!r} was given {rows * self.dropout_samples} rows and answers {len(values)}")
        given = spread(values.reshape(self.dropout_samples, rows, *values.shape[1:]), self.kind)
        return {name: given.mean, "epistemic": given.epistemic, "aleatoric": given.aleatoric}

    def _fed(self, columns: Mapping[str, NDArray[Any]], port: Port, dtype: Any) -> Any:
        import torch

        names = taken(port, self._loaded.ports, tuple(columns), self.inputs)
        if not self._loaded.exact and all(columns[name].dtype.kind in "iub" for name in names):
            port, dtype = port._replace(datatype="INT64"), torch.int64
        return torch.from_numpy(np.ascontiguousarray(feed(columns, names, port))).to(self.device, dtype)

    def _named(self, found: Any) -> dict[str, NDArray[Any]]:
        if isinstance(found, Mapping):
            return {name: _array(tensor) for name, tensor in found.items()}
        many = list(found) if isinstance(found, tuple | list) else [found]
        names = self.outputs or ((self.output or "value",) if len(many) == 1 else ())
        names = names or tuple(f"output_{k}" for k in range(len(many)))
        if len(names) != len(many):
            raise BadData(
                f"{str(self.file)!r} answers {len(many)} tensors, and `outputs` names {len(names)}: {names!r}"
            )
        return {name: _array(tensor) for name, tensor in zip(names, many, strict=True)}


def _of_program(program: Any, file: str, device: str) -> Loaded:
    """A program as it was exported, with the bounds on the number of rows that it was exported with."""
    wanted = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    for node in program.graph.nodes:
        if "dropout" in str(node.target) and node.args[2:3] == (True,):
            raise BadData(f"{file!r} was exported in training mode: call `model.eval()` before `torch.export.export`")
    values = [node.meta["val"] for node in nodes]
    ports = tuple(
        Port(node.name, _datatype(value.dtype, file), tuple(n if isinstance(n, int) else None for n in value.shape))
        for node, value in zip(nodes, values, strict=True)
    )
    bounds = [program.range_constraints.get(value.shape[0].node.expr) for value in values if _dynamic(value)]
    least = max([1, *(int(bound.lower) for bound in bounds if bound is not None)])
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return Loaded(program.module(), ports, tuple(value.dtype for value in values), True, least)


def _dynamic(value: Any) -> bool:
    return len(value.shape) > 0 and not isinstance(value.shape[0], int)


def _datatype(dtype: Any, file: str) -> Datatype:
    if str(dtype) not in _DATATYPES:
        raise BadData(f"{file!r} wants {dtype}; supported are {', '.join(_DATATYPES)}")
    return _DATATYPES[str(dtype)]


def _of_module(module: Any) -> Loaded:
    """A module, whose `forward` says how many inputs it has; numbers go in as the type of its weights."""
    import torch

    weights = [tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()]
    dtype = weights[0] if weights else torch.float32
    required = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    ports = tuple(Port(name, _DATATYPES.get(str(dtype), "FP32"), (None, None)) for name in required)
    return Loaded(module, ports, (dtype,) * len(ports), False)


def _padded(values: NDArray[Any], rows: int) -> NDArray[Any]:
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])


def _array(tensor: Any) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    array: NDArray[Any] = (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy()
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


_EXAMPLE = '''"""A model of one layer, for the laws of engines."""

import torch


class Example(torch.nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(x), dim=1)
'''
