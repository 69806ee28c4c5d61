"""A fingerprint is the same bytes for the same input however it is spelled, and other bytes for another input."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice, repeat
from typing import Any

import msgspec
import numpy as np

from roadworthy.core.wire import Request, Tensor

# Below these sizes every whole number is exact as a float32 and as a float64; larger ones are written out in digits.
EXACT_FP32, EXACT_FP64 = 2.0**24, 2.0**53

# What says how to answer or to deliver, and not what is asked.
IRRELEVANT = frozenset(
    ("at", "binary_data", "binary_data_output", "binary_data_size", "deadline", "key", "priority", "tags", "timeout")
)

# A vector of 64 float32 is kept as it is: hashing it would take longer than all else here.
PLAIN_BYTES = 320
DIGEST_BYTES = 16
MOST_LAYOUTS = 64

_texts = msgspec.msgpack.Encoder().encode
_canonical_json = msgspec.json.Encoder(order="deterministic", enc_hook=repr).encode


class Fingerprint:
    """Calling it gives the fingerprint of every row of a request, or None: too many, or not to be read row by row.

    A tensor's list, nested list and array, whole and decimal numbers, null and NaN, and any order of names are the
    same input. A number is compared as its tensor's datatype holds it: FP32 as float32, FP64 as float64, and a whole
    number exactly, whatever its size. Parameters count, but for those in `IRRELEVANT`; id, key, tags and time do not.
    """

    def __init__(self, most_rows: int = 64) -> None:
        self.most_rows = most_rows
        self._layouts: dict[tuple[str, ...], tuple[tuple[str, ...], bytes]] = {}

    def __call__(self, request: Request) -> list[bytes] | None:
        """One fingerprint a row, of at most `PLAIN_BYTES`."""
        inputs = request.inputs
        try:
            order, head = self._layouts.get(tuple(inputs)) or self._layout(inputs)
            if request.parameters:
                head = _relevant(request.parameters) + head
            n = inputs[order[0]].shape[0] if order else 0
            if n == 1:
                return [_of_row(head, order, inputs)]
            return _of_rows(head, order, inputs, n) if 0 < n <= self.most_rows else None
        # What cannot be read has no fingerprint; whoever is asked next says what is wrong with it.
        except (TypeError, ValueError, AttributeError, IndexError):
            return None

    def _layout(self, inputs: Mapping[str, Tensor]) -> tuple[tuple[str, ...], bytes]:
        """The names in order, and what a fingerprint of them begins with."""
        order = tuple(sorted(inputs))
        layout = order, _texts(order)
        if len(self._layouts) < MOST_LAYOUTS:
            self._layouts[tuple(inputs)] = layout
        return layout


def _of_row(head: bytes, order: Sequence[str], inputs: Mapping[str, Tensor]) -> bytes:
    """The fingerprint of the only row. A tensor's length stands before its values, lest two rows run together alike."""
    if len(order) == 1:
        vector = inputs[order[0]].data
        # A vector of float32, as most of them come, is its bytes: what `_whole` packs number by number.
        is_plain = type(vector) is np.ndarray and vector.dtype == np.float32 and vector.ndim == 1
        if is_plain and vector.dot(vector) < EXACT_FP32**2:
            return _short(head + _packer(1, "f")(len(vector)) + vector.tobytes())
    numbers: list[Any] = []
    texts: list[Any] = []
    wide = False
    for name in order:
        tensor = inputs[name]
        data, datatype = tensor.data, tensor.datatype
        if type(data) is not list or (data and type(data[0]) is list):
            data = _flat(data)
        if datatype == "BYTES":
            numbers.append(-1 - len(data))
            texts += data
        else:
            numbers.append(len(data))
            numbers += data
            wide = wide or datatype == "FP64"
    return _whole(head, numbers, texts, wide)


def _of_rows(head: bytes, order: Sequence[str], inputs: Mapping[str, Tensor], n: int) -> list[bytes] | None:
    """The fingerprints of n rows, each as if it had come alone."""
    numbers: list[Iterable[Any]] = []
    texts: list[Iterable[Any]] = []
    for name in order:
        data = _flat(inputs[name].data)
        width, rest = divmod(len(data), n)
        if rest:
            return None
        is_text = inputs[name].datatype == "BYTES"
        numbers.append(repeat(-1 - width if is_text else width))
        (texts if is_text else numbers).extend(data[k::width] for k in range(width))
    wide = any(tensor.datatype == "FP64" for tensor in inputs.values())
    words: Iterable[tuple[Any, ...]] = zip(*texts, strict=True) if texts else repeat(())
    # `repeat` never ends: the rows are counted.
    return [_whole(head, *row, wide) for row in islice(zip(zip(*numbers, strict=False), words, strict=False), n)]


def _whole(head: bytes, numbers: Sequence[Any], texts: Sequence[Any], wide: bool) -> bytes:
    try:
        # The length of the vector bounds each of its values, and is no number where one of them is none.
        size = math.hypot(*numbers)
        if size < EXACT_FP32 and not wide:
            whole = head + _packer(len(numbers), "f")(*numbers)
        elif size < EXACT_FP64:
            whole = head + b"d" + _packer(len(numbers), "d")(*numbers)
        else:
            whole = head + _packed_with_care(numbers, wide)
    except (TypeError, OverflowError):  # a null, or a whole number that no float can hold
        whole = head + _packed_with_care(numbers, wide)
    if texts:
        whole += _texts(texts)
    return _short(whole)


def _short(whole: bytes) -> bytes:
    return whole if len(whole) <= PLAIN_BYTES else blake2b(whole, digest_size=DIGEST_BYTES).digest()


def _packed_with_care(numbers: Sequence[Any], wide: bool) -> bytes:
    """As `_whole` packs them where there are only nulls to mind; in digits where a number is too large to be exact."""
    clean = [math.nan if v is None or v != v else v for v in numbers]
    try:
        size = math.hypot(*[v for v in clean if v == v])
    except OverflowError:
        size = math.inf
    if size < EXACT_FP32 and not wide:
        return _packer(len(clean), "f")(*clean)
    if size < EXACT_FP64:
        return b"d" + _packer(len(clean), "d")(*clean)
    return b"x" + repr([_in_digits(v) for v in clean]).encode()


def _in_digits(value: Any) -> Any:
    return int(value) if isinstance(value, int) or value.is_integer() else value


@lru_cache(maxsize=256)
def _packer(n: int, kind: str) -> Callable[..., bytes]:
    return struct.Struct(f"{n}{kind}").pack


def _flat(data: Any) -> list[Any]:
    """The values row by row; nested lists and arrays are taken apart."""
    flat: list[Any] = data if type(data) is list else np.asarray(data).reshape(-1).tolist()
    while flat and type(flat[0]) is list:
        flat = list(chain.from_iterable(flat))
    return flat


def _relevant(parameters: Mapping[str, Any]) -> bytes:
    counted = {name: value for name, value in parameters.items() if name not in IRRELEVANT}
    return _canonical_json(counted) if counted else b""
