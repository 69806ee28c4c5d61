"""Reads PyTorch checkpoints, which are pickles with tensors beside them: names and tensors come out, nothing else.

Two locks on one door: the pickle is run here on stand-ins that do nothing, with a list of exact names, before
`torch.load(weights_only=True)` may read it with torch's own list.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import IO, Any

from roadworthy.core.errors import BadData
from roadworthy.serve.formats.allowed import TENSORS, Name
from roadworthy.serve.formats.archive import AGAIN, open_archive, read
from roadworthy.serve.formats.base import Limits, Unsafe
from roadworthy.serve.formats.pickled import Unpickler, read_with

_DO = (
    "save its tensors alone (`safetensors.torch.save_file(model.state_dict(), path)`) and name the class as `code`, or "
    "export the program (`torch.export.save`)"
)


def see_checkpoint(stream: IO[bytes], name: str, limits: Limits) -> None:
    """Raise Unsafe where a checkpoint of today's form (a zip archive) uses a name that is not on the list."""
    with open_archive(stream, name, limits) as archive:
        pickles = [path for path in archive.namelist() if path.endswith("data.pkl")]
        first = archive.namelist()[0].partition("/")[0]
        if pickles != [f"{first}/data.pkl"]:
            raise Unsafe(name, f"it has its pickle in {pickles!r:.80}", AGAIN)
        read_with(_StandIns(io.BytesIO(read(archive, pickles[0], name)), name), name)


def see_legacy(stream: IO[bytes], name: str) -> None:
    """The same for a checkpoint from before torch 1.6: five pickles in a row, and then the bytes of the tensors."""
    stream.seek(0)
    for _ in range(5):
        read_with(_StandIns(stream, name), name)


def load_checkpoint(stream: IO[bytes], name: str) -> Any:
    """The tensors of a checkpoint that was looked at. Raises BadData where torch itself refuses it."""
    import torch

    stream.seek(0)
    try:
        return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as wrong:
        # torch raises what its readers raise: RuntimeError, KeyError, EOFError, UnpicklingError and others.
        raise BadData(f"{name!r} is refused by torch: {wrong}; {AGAIN}") from wrong


class _StandIn:
    """What a checkpoint believes to be a tensor or a type."""

    def __init__(self, *_: Any) -> None:
        self.__dict__["absorbed"] = True

    def __setstate__(self, state: Any) -> None:
        """Nothing: no state is kept."""


class _StandIns(Unpickler):
    """The machine with the names of a checkpoint, none of which it looks up."""

    def resolved(self, wanted: Name) -> Any:
        if wanted == ("collections", "OrderedDict"):
            return OrderedDict
        if wanted not in TENSORS:
            raise Unsafe(self.name, f"it uses {'.'.join(wanted)}, and allowed are tensors in dicts and lists", _DO)
        return type(wanted[1], (_StandIn,), {})

    def persistent_load(self, pid: Any) -> Any:
        """A tensor's bytes, which lie beside the pickle."""
        return _StandIn(pid)

    def called(self, name: Name, function: Any, args: tuple[Any, ...]) -> Any:
        return OrderedDict() if function is OrderedDict and not args else _StandIn()
