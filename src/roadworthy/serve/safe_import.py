"""Opens model files that strangers made: nothing in them runs unless a person said that they trust the file.

What a file is follows from its content. ONNX, safetensors and skops come first; pickles of any kind are read with an
exact list of names (`formats.allowed`). What this does not promise: that the C code of a framework has no faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from roadworthy.core.errors import BadData, Missing, MissingExtra, RoadworthyError
from roadworthy.serve.formats.allowed import SKOPS
from roadworthy.serve.formats.archive import AGAIN, open_archive
from roadworthy.serve.formats.arrays import read_npy, read_npz
from roadworthy.serve.formats.base import INSTEAD, LIMITS, Limits, Unsafe
from roadworthy.serve.formats.checkpoint import load_checkpoint, see_checkpoint, see_legacy
from roadworthy.serve.formats.exported import rewrite, see_operators
from roadworthy.serve.formats.kind import Kind, kind_of
from roadworthy.serve.formats.mlmodel import read_mlmodel
from roadworthy.serve.formats.onnx_graph import see_onnx
from roadworthy.serve.formats.pickled import read_compressed, read_pickle
from roadworthy.serve.formats.tensors import see_safetensors
from roadworthy.serve.formats.trees import see_trees

Reader = Callable[[IO[bytes], str, Limits], Any]


def kind_of_file(file: Path) -> Kind:
    """What a file or folder is, from its content. Raises Missing where there is none, BadData where it is empty."""
    if file.is_dir():
        return "mlflow" if (file / "MLmodel").is_file() else "folder"
    if not file.is_file():
        raise Missing(f"no model file {str(file)!r}")
    if not file.stat().st_size:
        raise BadData(f"{str(file)!r} is empty")
    with file.open("rb") as stream:
        return kind_of(stream)


def load(file: Path, trust: bool = False, limits: Limits = LIMITS) -> Any:
    """What is in a model file: an estimator, arrays, tensors by name, or an exported program.

    With `trust` the file is read by the tool that wrote it, and may run whatever code it holds. Raises Unsafe, which
    says what was found, what is allowed and what to do; MissingExtra where the tool is not installed.
    """
    kind = kind_of_file(file)
    readers = {**_READERS, **(_TRUSTING if trust else {})}
    if kind not in readers:
        check(file, limits)
        raise _unreadable(file, kind)
    with file.open("rb") as stream:
        return _trusted(file, readers[kind], stream) if trust else readers[kind](stream, str(file), limits)


def check(file: Path, limits: Limits = LIMITS) -> Kind:
    """Raise Unsafe where reading the file could run code, fill the memory or open other files; say what it is."""
    kind = kind_of_file(file)
    if file.is_dir():
        if kind == "mlflow":
            check(read_mlmodel(file).file, limits)
        return kind
    with file.open("rb") as stream:
        if kind == "onnx":
            see_onnx(stream, str(file))
        elif kind in ("folder", "mlflow", "zip"):
            open_archive(stream, str(file), limits).close()
        elif kind in _READERS:
            _READERS[kind](stream, str(file), limits)
        else:
            raise _unreadable(file, kind)
    return kind


def _trusted(file: Path, reader: Reader, stream: IO[bytes]) -> Any:
    """What the tool that wrote a trusted file reads in it; whatever it stumbles over, the file is named."""
    try:
        return reader(stream, str(file), LIMITS)
    except RoadworthyError:
        raise
    except Exception as wrong:
        found = f"{str(file)!r} cannot be read by the tool that wrote it: {type(wrong).__name__}: {wrong}"
        raise BadData(found) from wrong


def _unreadable(file: Path, kind: Kind) -> BadData:
    if kind == "torchscript":
        found = "it is a TorchScript archive, which is code"
        return Unsafe(str(file), found, "export the model with `torch.export.save(torch.export.export(model, ...))`")
    if kind == "mlmodel":
        return BadData(f"{str(file)!r} describes an MLflow model: name the folder in which it is")
    if kind in ("onnx", "mlflow", "folder", "zip"):
        return BadData(f"{str(file)!r} is of the kind {kind!r}, which an engine runs: name it as `model.engine`")
    known = ", ".join(sorted({*_READERS, "onnx", "mlflow"}))
    return BadData(f"{str(file)!r} is of no kind of model file that is known here (known: {known})")


def _estimator(made: Any, name: str) -> Any:
    see_trees(made, name)
    return made


def _skops(stream: IO[bytes], name: str, limits: Limits, trust: bool = False) -> Any:
    skops = _needed("a skops file", "skops.io", "sklearn")
    open_archive(stream, name, limits).close()
    stream.seek(0)
    data = stream.read()
    try:
        strange = sorted(set(skops.get_untrusted_types(data=data)) - SKOPS)
        if strange and not trust:
            listed = f"it contains types that are not on the list of known ones: {', '.join(strange)}"
            raise Unsafe(name, listed, f"export the model to ONNX instead, or {INSTEAD.partition(', or ')[2]}")
        return _estimator(skops.loads(data, trusted=sorted({*SKOPS, *strange})), name)
    except BadData:
        raise
    except Exception as wrong:
        # skops raises whatever its nodes stumble over: KeyError, TypeError, ValueError, BadZipFile and others.
        raise Unsafe(name, f"skops cannot read it ({type(wrong).__name__}: {wrong})", AGAIN) from wrong


def _safetensors(stream: IO[bytes], name: str, limits: Limits) -> Any:
    see_safetensors(stream, name)
    torch = _needed("a safetensors file", "safetensors.torch", "torch")
    return torch.load_file(name)


def _checkpoint(stream: IO[bytes], name: str, limits: Limits) -> Any:
    see_checkpoint(stream, name, limits)
    return load_checkpoint(stream, name)


def _legacy(stream: IO[bytes], name: str, limits: Limits) -> Any:
    see_legacy(stream, name)
    return load_checkpoint(stream, name)


def _exported(stream: IO[bytes], name: str, limits: Limits) -> Any:
    torch = _needed("an exported program", "torch", "torch")
    with TemporaryFile() as copy:
        rewrite(stream, copy, name, limits)
        copy.seek(0)
        try:
            program = torch.export.load(copy)
        except Exception as wrong:
            # Its reader raises assertions, KeyErrors, RuntimeErrors and others for a program that it cannot build.
            raise BadData(f"{name!r} is refused by torch: {type(wrong).__name__}: {wrong}; {AGAIN}") from wrong
    see_operators(program, name)
    return program


def _needed(who: str, module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as absent:
        raise MissingExtra(who, module.partition(".")[0], extra) from absent


def _objects(stream: IO[bytes], name: str) -> Any:
    return read_pickle(stream, name)


_READERS: Mapping[Kind, Reader] = {
    "skops": _skops,
    "safetensors": _safetensors,
    "pickle": lambda stream, name, limits: _estimator(read_pickle(_begun(stream), name), name),
    "joblib": lambda stream, name, limits: _estimator(read_compressed(stream, name, limits), name),
    "npy": lambda stream, name, limits: read_npy(_begun(stream), name, _objects),
    "npz": lambda stream, name, limits: read_npz(stream, name, limits, _objects),
    "torch": _checkpoint,
    "torch legacy": _legacy,
    "exported": _exported,
}

# What a person trusts is read by the tool that wrote it.
_TRUSTING: Mapping[Kind, Reader] = {
    "skops": lambda stream, name, limits: _skops(stream, name, limits, trust=True),
    "pickle": lambda stream, name, limits: _needed("a pickle", "joblib", "sklearn").load(name),
    "joblib": lambda stream, name, limits: _needed("a joblib file", "joblib", "sklearn").load(name),
    "torch": lambda stream, name, limits: _torch_load(name),
    "torch legacy": lambda stream, name, limits: _torch_load(name),
    "exported": lambda stream, name, limits: _needed("an exported program", "torch", "torch").export.load(name),
}


def _torch_load(name: str) -> Any:
    return _needed("a checkpoint", "torch", "torch").load(name, map_location="cpu", weights_only=False)


def _begun(stream: IO[bytes]) -> IO[bytes]:
    stream.seek(0)
    return stream
