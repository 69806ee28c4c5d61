"""The one check of what callers send against the model's signature; behind it, the types are trusted."""

from __future__ import annotations

import json
import math
import re
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from random import Random
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import BadRequest, unknown
from roadworthy.core.spec import Field, Kind, Signature
from roadworthy.core.wire import Request, Tensor

Clock = Literal["wall", "request"]
Body = TypeVar("Body")

MOST_ID = 200

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP16", "FP32", "FP64")
_DATATYPES: Mapping[Kind, tuple[str, ...]] = {
    "number": (*_FLOATS, *_INTEGERS),
    "integer": (*_INTEGERS, *_FLOATS),
    "category": ("BYTES",),
    "text": ("BYTES",),
    "boolean": ("BOOL",),
}
_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "number": (float, int),
    "integer": (int, float),
    "category": (str,),
    "text": (str,),
    "boolean": (bool,),
}
_WORDS: Mapping[Kind, str] = {
    "number": "a finite number",
    "integer": "a whole number",
    "category": "text",
    "text": "text",
    "boolean": "true or false",
}
# A number becomes a float32 in front of the model, where anything larger would be an infinity.
_MOST: Mapping[Kind, float] = {"number": 3.4028234e38, "integer": 2**63 - 1}

_NUMBERS, _FP32 = list[float], np.dtype(np.float32)


class _Rule:
    """What one input may be."""

    __slots__ = (
        "datatypes",
        "kind",
        "most",
        "name",
        "nullable",
        "ones",
        "pack",
        "plain",
        "tails",
        "types",
        "whole",
        "width",
    )

    def __init__(self, name: str, field: Field) -> None:
        self.name, self.width, self.kind, self.nullable = name, field.width, field.kind, field.nullable
        self.datatypes = frozenset(_DATATYPES[field.kind])
        self.types = frozenset((*_TYPES[field.kind], *((type(None),) if field.nullable else ())))
        self.pack = struct.Struct(f"{field.width}f").pack
        self.most = _MOST.get(field.kind, 0.0)
        self.whole = field.kind == "integer"
        self.plain = self.types - {type(None), *((float,) if self.whole else ())}
        self.ones = ((1,), (1, 1)) if field.width == 1 else ((1, field.width),)
        self.tails = frozenset({(), (1,)} if field.width == 1 else {(field.width,)})

    def quick(self, datatype: str, shape: tuple[int, ...], data: Any) -> Any:
        """The data in the common cases, one value of a plain type or one vector of numbers.

        None is no refusal: `__call__` looks in full at what this does not know.
        """
        if shape not in self.ones or datatype not in self.datatypes or type(data) is not list:
            return None
        if self.width > 1:
            return self._packed(data) if datatype == "FP32" and len(data) == self.width else None
        if len(data) == 1 and type(data[0]) in self.plain and (not self.most or -self.most <= data[0] <= self.most):
            return data
        return None

    def __call__(self, tensor: Tensor) -> Tensor:
        """The tensor with flat data. Raises BadRequest naming the input, what was given and what is allowed.

        A vector of FP32 becomes an array of 32-bit floats, which is what the model sees and the record keeps.
        """
        data, shape = tensor.data, tensor.shape
        if tensor.datatype not in self.datatypes:
            raise self._wrong(f"has datatype {tensor.datatype!r}", ", ".join(_DATATYPES[self.kind]))
        if isinstance(data, np.ndarray):
            data = data.reshape(-1)
        elif type(data) is not list:
            raise self._wrong(f"has {data!r:.60} for `data`", "a list")
        elif data and type(data[0]) is list:
            data = self._flat(data)
        if not shape or shape[1:] not in self.tails:
            raise self._wrong(f"has shape {list(shape)}", "[n] or [n, 1]" if self.width == 1 else f"[n, {self.width}]")
        if len(data) != shape[0] * self.width:
            raise self._wrong(f"has {len(data)} values", f"{shape[0] * self.width}, as its shape {list(shape)} says")
        return Tensor(tensor.name, tensor.datatype, shape, self._checked(data, tensor.datatype))

    def _checked(self, data: list[Any] | NDArray[Any], datatype: str) -> list[Any] | NDArray[Any]:
        """The values, if each of them is allowed."""
        if isinstance(data, np.ndarray):
            return data if self.most and self._within(data) else self._each(data.tolist())
        packed = self._packed(data) if self.width > 1 and datatype == "FP32" else None
        return self._each(data) if packed is None else packed

    def _each(self, data: list[Any]) -> list[Any]:
        if not self.types.issuperset(map(type, data)):
            raise self._wrong_value(*next((i, v) for i, v in enumerate(data) if type(v) not in self.types))
        return self._numbers(data) if self.most else data

    def _within(self, data: NDArray[Any]) -> bool:
        """Does an array hold numbers within bounds, and no null? Where it does not, a look at each says which."""
        if data.dtype.kind not in ("iu" if self.whole else "iuf"):
            return False
        if data.dtype == np.float32 or data.dtype == np.float16:
            return bool(np.isfinite(data).all())
        return bool(-self.most <= data.min(initial=0).item() and data.max(initial=0).item() <= self.most)

    def _packed(self, data: list[Any]) -> NDArray[np.float32] | None:
        """Numbers as 32-bit floats, each looked at in C alone; None where one is no number or not within bounds."""
        if self.kind != "number":
            return None
        try:
            msgspec.convert(data, _NUMBERS)  # packing would take a boolean for a number
            if math.hypot(*data) <= self.most:
                pack = self.pack if len(data) == self.width else struct.Struct(f"{len(data)}f").pack
                return np.frombuffer(pack(*data), _FP32)
        except (msgspec.ValidationError, OverflowError):
            pass
        return None

    def _numbers(self, data: list[Any]) -> list[Any]:
        """Bounds hold; a NaN, which only some encoders write, is a null."""
        # Only NaN is not itself; `isnan` would fail on a whole number that no float can hold.
        if self.nullable and any(v != v for v in data):
            data = [None if v != v else v for v in data]
        for i, value in enumerate(data):
            if value is None:
                continue
            if not -self.most <= value <= self.most or (self.whole and value != value // 1):
                raise self._wrong_value(i, value)
        return data

    def _flat(self, nested: list[Any]) -> list[Any]:
        """Row-major data may come nested, one list a row."""
        if any(type(row) is not list for row in nested):
            raise self._wrong("mixes rows and values in `data`", "a flat list, or one list a row")
        return list(chain.from_iterable(nested))

    def _wrong(self, given: str, allowed: str) -> BadRequest:
        return BadRequest(f"input {self.name!r} {given}; allowed: {allowed}")

    def _wrong_value(self, i: int, value: Any) -> BadRequest:
        given = json.dumps(value, default=repr)[:60]
        nulls = ", or null" if self.nullable else " (not nullable)"
        return self._wrong(f"has {given} in row {i // self.width}", f"{_WORDS[self.kind]}{nulls}")


class Edge:
    """Turns what callers send into a Request, or a BadRequest that says what is allowed.

    With clock "request" the caller's `at` is the event time (a replay); with "wall" it is ignored. A request that
    brings no deadline gets `timeout_seconds` (0: none); deadlines are on `monotonic`.
    """

    def __init__(
        self,
        signature: Signature,
        clock: Clock = "wall",
        now: Callable[[], float] = time.time,
        rng: Random | None = None,
        timeout_seconds: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.signature, self._clock, self._now = signature, clock, now
        self._timeout, self._monotonic = timeout_seconds, monotonic
        self._rules = {name: _Rule(name, field) for name, field in signature.inputs.items()}
        self._node = f"{(rng or Random()).getrandbits(40):010x}"
        self._counter = count()
        self._tick, self._time = -1, ""

    def request(
        self, id: str | None, tensors: Sequence[Tensor], parameters: Mapping[str, Any] | None, caller: bytes = b""
    ) -> Request:
        """The checked Request. Without an `id` it gets one, in the order of time; `caller` becomes one of its tags."""
        now = self._now()
        if not id:
            id = self._new_id(now)
        elif len(id) > MOST_ID:
            raise BadRequest(f"`id` has {len(id)} characters; allowed: {MOST_ID}")
        inputs = self._inputs(tensors)
        deadline = self._monotonic() + self._timeout if self._timeout else None
        told = {"caller": caller.decode()} if caller else {}
        if not parameters:
            return Request(id, inputs, now, tags=told, deadline=deadline)
        return self._with(id, inputs, now, dict(parameters), deadline, told)

    def _new_id(self, now: float) -> str:
        """As in UUIDv7: milliseconds first, so that an index grows at its end; then what makes it unique."""
        tick = int(now * 1000)
        if tick != self._tick:
            self._tick, self._time = tick, f"{tick:012x}"
        return f"{self._time}-{next(self._counter):06x}-{self._node}"

    def _inputs(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        rules, inputs = self._rules, {}
        rows = tensors[0].shape[0] if tensors and tensors[0].shape else 1
        for tensor in tensors:
            name, shape = tensor.name, tensor.shape
            rule = rules.get(name)
            if rule is None:
                raise BadRequest(unknown("input", name, rules))
            data = rule.quick(tensor.datatype, shape, tensor.data)
            if data is None:
                tensor = rule(tensor)
            elif data is not tensor.data:
                tensor = Tensor(name, tensor.datatype, shape, data)
            inputs[name] = tensor
            if shape[0] != rows:
                raise BadRequest(
                    f"input {name!r} has {shape[0]} rows and {tensors[0].name!r} has {rows}; "
                    "allowed: the same number in every input"
                )
        if len(inputs) != len(rules) or len(tensors) != len(rules):
            raise self._miscounted(tensors)
        if rows < 1:
            raise BadRequest("there are no rows to answer; allowed: at least one")
        return inputs

    def _miscounted(self, tensors: Sequence[Tensor]) -> BadRequest:
        given = [tensor.name for tensor in tensors]
        missing = [repr(name) for name in self._rules if name not in given]
        if missing:
            return BadRequest(f"input {', '.join(missing)} is missing (given: {', '.join(given) or 'none'})")
        twice = sorted({repr(name) for name in given if given.count(name) > 1})
        return BadRequest(f"input {', '.join(twice)} is given more than once; allowed: once")

    def _with(
        self,
        id: str,
        inputs: dict[str, Tensor],
        now: float,
        parameters: dict[str, Any],
        deadline: float | None,
        told: dict[str, str],
    ) -> Request:
        key, tags, at = parameters.pop("key", None), parameters.pop("tags", None), parameters.pop("at", None)
        if key is not None and not isinstance(key, str):
            raise BadRequest(f"parameter `key` is {key!r}; allowed: text")
        if tags is not None and not (isinstance(tags, dict) and all(isinstance(v, str) for v in tags.values())):
            raise BadRequest(f"parameter `tags` is {tags!r:.100}; allowed: an object of text values")
        # `True` is an int to Python; a time never is.
        if at is not None and (type(at) not in (int, float) or not -1e18 < at < 1e18):
            raise BadRequest(f"parameter `at` is {at!r}; allowed: Unix seconds")
        when = float(at) if at is not None and self._clock == "request" else now
        return Request(id, inputs, when, key or "", {**tags, **told} if tags else told, parameters, deadline)


def read_body(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """The decoded body. Raises BadRequest that names the input where the protocol's types are not kept."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        if b"NaN" in body or b"Infinity" in body or "out of range" in str(wrong):
            return _read_loosely(decoder, body)
        raise BadRequest(_reason(wrong, body)) from wrong


def _read_loosely(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    # Python's encoder writes NaN, which JSON does not know: let it through to the check, which can name the input.
    try:
        told = json.loads(body)
        msgspec.json.encode(told)  # half of a surrogate pair could not be said again in an answer
        read: Body = msgspec.convert(told, decoder.type)
    except (ValueError, RecursionError, msgspec.ValidationError) as wrong:
        raise BadRequest(_reason(wrong, body)) from wrong
    return read


def _reason(wrong: Exception, body: bytes) -> str:
    if not body:
        return "the body is empty; allowed: a JSON object"
    if not isinstance(wrong, msgspec.ValidationError):
        return f"the body is not JSON: {str(wrong) or 'it is nested too deeply'}"
    where = re.search(r"\$\.inputs\[(\d+)\]", str(wrong))
    try:
        name = json.loads(body)["inputs"][int(where[1])]["name"] if where else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        name = ""
    allowed = f" (allowed: BOOL, BYTES, {', '.join((*_FLOATS, *_INTEGERS))})" if "].datatype" in str(wrong) else ""
    return f"input {name!r}: {wrong}{allowed}" if name else f"the body does not fit: {wrong}"
