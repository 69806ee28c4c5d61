"""What a caller wants of an answer: which of its outputs, and which of them as bytes behind the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from roadworthy.app.binary import to_bytes
from roadworthy.core.errors import BadRequest, unknown
from roadworthy.core.wire import Tensor

EVERYTHING = "binary_data_output"

# Extensions that we do not have: an answer without them would be misread.
_NOT_HERE = ("classification", "shared_memory_region")


class WantedOutput(Struct):
    """One entry of `outputs` in a request."""

    name: str
    parameters: dict[str, Any] | None = None


class BinaryOutput(Struct):
    """An answered tensor whose data follow the JSON."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int]


class Wish(Struct, frozen=True):
    """`names` in the order wanted, each once (none: all of them). `binary` says for each, `otherwise` for the rest."""

    names: tuple[str, ...]
    binary: Mapping[str, bool]
    otherwise: bool = False

    def chosen(self, outputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The tensors wanted. Raises BadRequest for one that the model did not answer."""
        try:
            return [outputs[name] for name in self.names] if self.names else list(outputs.values())
        except KeyError as absent:
            raise BadRequest(unknown("output", absent.args[0], outputs)) from absent

    def split(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor | BinaryOutput], list[bytes]]:
        """The tensors as the JSON names them, and the bytes that follow it, in the same order."""
        told: list[Tensor | BinaryOutput] = []
        blobs: list[bytes] = []
        for tensor in tensors:
            if not self.binary.get(tensor.name, self.otherwise):
                told.append(tensor)
                continue
            blobs.append(to_bytes(tensor))
            size = {"binary_data_size": len(blobs[-1])}
            told.append(BinaryOutput(tensor.name, tensor.datatype, tensor.shape, size))
        return told, blobs


def wish_of(outputs: Sequence[WantedOutput] | None, everything: Any, known: Mapping[str, Any]) -> Wish:
    """The wish in a request: its `outputs`, and its parameter `binary_data_output`. Raises BadRequest."""
    _see_truth(f"parameter `{EVERYTHING}`", everything)
    binary: dict[str, bool] = {}
    for wanted in outputs or ():
        if wanted.name not in known:
            raise BadRequest(unknown("output", wanted.name, known))
        binary[wanted.name] = _as_bytes(wanted, everything)
    return Wish(tuple(binary), binary, everything)


def _as_bytes(wanted: WantedOutput, everything: bool) -> bool:
    parameters = wanted.parameters or {}
    for name in _NOT_HERE:
        if name in parameters:
            raise BadRequest(f"output {wanted.name!r}: parameter `{name}` is not understood; allowed: `binary_data`")
    asked = parameters.get("binary_data", everything)
    _see_truth(f"output {wanted.name!r}: parameter `binary_data`", asked)
    return bool(asked)


def _see_truth(what: str, given: Any) -> None:
    if type(given) is not bool:
        raise BadRequest(f"{what} is {given!r:.60}; allowed: true or false")
