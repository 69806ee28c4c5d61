"""Reads pickles and joblib files of plain models; the first name that is not on the list ends it.

The pickle machine runs in Python, so that every opcode passes here. Joblib's files are pickles with the bytes of
arrays in between, compressed or not.
"""

from __future__ import annotations

import _compat_pickle
import bz2
import functools
import gzip
import importlib
import io
import lzma
import pickle
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import numpy as np

from roadworthy.core.errors import BadData
from roadworthy.serve.formats.allowed import CALLED, MADE, NAMED, Name
from roadworthy.serve.formats.archive import AGAIN
from roadworthy.serve.formats.arrays import read_raw, see_dtype, size_of
from roadworthy.serve.formats.base import Limits, Unsafe
from roadworthy.serve.formats.calls import call, see_key

_PIECE_BYTES = 1 << 20
_STORED: Name = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_ALLOWED = "allowed are scikit-learn's estimators, numpy's arrays and the containers of Python"


def read_pickle(stream: IO[bytes], name: str) -> Any:
    """The object in a pickle that begins where the stream stands. Raises Unsafe, and BadData for a damaged file."""
    return read_with(Unpickler(stream, name), name)


def read_with(machine: Unpickler, name: str) -> Any:
    """What the machine reads."""
    try:
        return machine.load()
    except BadData:
        raise
    except Exception as wrong:
        # Bytes that were never a pickle make the machine stumble in any way that Python knows.
        damaged = f"it is a damaged or truncated pickle ({type(wrong).__name__}: {wrong})"
        raise Unsafe(name, damaged, AGAIN) from wrong


def read_compressed(stream: IO[bytes], name: str, limits: Limits) -> Any:
    """The object in a compressed joblib file. Raises Unsafe."""
    return read_pickle(unpacked(stream, name, limits), name)


class _Stored:
    """Where joblib stored an array: its attributes say what the bytes behind it are."""

    subclass: Any = np.ndarray
    shape: Any = ()
    dtype: Any = None
    order: Any = "C"
    numpy_array_alignment_bytes: Any = None


class Unpickler(pickle._Unpickler):
    """The machine of the standard library with a list of names, and opcodes that touch only the file's own objects."""

    # What the machine of the standard library keeps, which its types do not tell.
    stack: list[Any]
    proto: int
    readline: Any
    read: Any

    def __init__(self, stream: IO[bytes], name: str) -> None:
        super().__init__(stream)
        self.proto = 0
        self.name, self.stream = name, stream
        # By identity: what the file got by name. None of it is the file's to change.
        self.named: dict[int, tuple[Name, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The object behind an exact name on the list."""
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        # numpy 2 moved its inside, and still reads what numpy 1 wrote.
        wanted = (f"numpy._core.{module[11:]}" if module.startswith("numpy.core.") else module, name)
        found = self.resolved(wanted)
        self.named[id(found)] = wanted, found
        return found

    def resolved(self, wanted: Name) -> Any:
        """The object behind a name. Raises Unsafe where it is not on the list."""
        if wanted == _STORED:
            return _Stored
        if wanted not in MADE | CALLED | NAMED:
            raise Unsafe(self.name, f"it uses {'.'.join(wanted)}, and {_ALLOWED}")
        try:
            return getattr(importlib.import_module(wanted[0]), wanted[1])
        except (ImportError, AttributeError) as absent:
            missing = f"it needs {'.'.join(wanted)}, which is not installed here in that version ({absent})"
            raise Unsafe(self.name, missing, "install the version of scikit-learn that saved it") from absent

    def persistent_load(self, pid: Any) -> Any:
        """Nothing: a model that stands on its own refers to nothing outside of it."""
        raise self.opcode("PERSID")

    def called(self, name: Name, function: Any, args: tuple[Any, ...]) -> Any:
        """What REDUCE makes."""
        if name not in CALLED:
            raise Unsafe(self.name, f"it calls {'.'.join(name)}, which may be mentioned but not called")
        functions = name[1] == "partial"
        if (functions or name[1] == "_reconstructor") and not self._known(args[0] if args else None, functions):
            raise Unsafe(self.name, f"it hands {'.'.join(name)} something that has no name on the list")
        return call(name, function, args, self.name)

    def opcode(self, opcode: str) -> Unsafe:
        """The refusal of an opcode that no tool writes into a saved model."""
        return Unsafe(self.name, f"it uses the pickle opcode {opcode}, as no saved model does")

    def _known(self, given: Any, functions: bool) -> bool:
        name = self.named.get(id(given), (None,))[0]
        return name in MADE or (functions and name in NAMED)

    def _of(self, kind: type) -> Any:
        """The container on top of the stack, which must be the file's own."""
        top = self.stack[-1]
        if not isinstance(top, kind):
            raise Unsafe(self.name, f"it puts items into a {type(top).__name__}", AGAIN)
        return top

    def _pop_mark(self) -> list[Any]:
        items: list[Any] = self.pop_mark()  # type: ignore[attr-defined]
        return items

    def load_reduce(self) -> None:
        args, function = self.stack.pop(), self.stack[-1]
        name, _ = self.named.get(id(function), (None, None))
        if name is None:
            raise Unsafe(self.name, f"it calls a {type(function).__name__} that it made itself", AGAIN)
        self.stack[-1] = self.called(name, function, tuple(args))

    def load_newobj(self) -> None:
        args, cls = self.stack.pop(), self.stack[-1]
        name, _ = self.named.get(id(cls), (None, None))
        if args or name is None or name not in MADE | {_STORED}:
            what = ".".join(name) if name else type(cls).__name__
            raise Unsafe(self.name, f"it makes a {what} in a way that no saved model does", AGAIN)
        self.stack[-1] = cls.__new__(cls)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if id(made) in self.named or isinstance(made, type):
            name = ".".join(self.named[id(made)][0]) if id(made) in self.named else repr(made)
            raise Unsafe(self.name, f"it changes {name}, which all of this process uses", AGAIN)
        if isinstance(made, _Stored):
            vars(made).update(state)
            self.stack[-1] = self._array(made)
            return
        _see_state(made, state, self.name)
        if isinstance(made, functools.partial) and not self._known(state[0], functions=True):
            raise Unsafe(self.name, "it binds arguments to something that has no name on the list")
        self.stack.append(state)
        super().load_build()  # type: ignore[misc]
        if isinstance(made, np.dtype):
            see_dtype(made, self.name)

    def load_append(self) -> None:
        item = self.stack.pop()
        self._of(list).append(item)

    def load_appends(self) -> None:
        items = self._pop_mark()
        self._of(list).extend(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._of(dict)[see_key(key, self.name)] = value

    def load_setitems(self) -> None:
        items = self._pop_mark()
        self._of(dict).update(self._pairs(items))

    def load_dict(self) -> None:
        # The mark comes first: it changes which list the stack is.
        items = self._pop_mark()
        self.stack.append(dict(self._pairs(items)))

    def load_additems(self) -> None:
        items = self._pop_mark()
        self._of(set).update(see_key(item, self.name) for item in items)

    def load_frozenset(self) -> None:
        items = self._pop_mark()
        self.stack.append(frozenset(see_key(item, self.name) for item in items))

    def load_inst(self) -> None:
        # Its name is looked up first, so that the refusal says what was wanted.
        self.find_class(*(self.readline()[:-1].decode("ascii") for _ in range(2)))
        raise self.opcode("INST")

    def load_obj(self) -> None:
        raise self.opcode("OBJ")

    def load_extension(self) -> None:
        # The registry of extensions caches objects, which then come without their name being asked for.
        raise self.opcode("EXT")

    def load_bytearray8(self) -> None:
        # The machine of the standard library makes room for the declared length before it reads.
        (declared,) = struct.unpack("<Q", self.read(8))
        data = bytearray(self.read(declared))
        if len(data) != declared:
            raise EOFError("bytes are missing")
        self.stack.append(data)

    def load_newobj_ex(self) -> None:
        raise self.opcode("NEWOBJ_EX")

    def load_buffer(self) -> None:
        raise self.opcode("NEXT_BUFFER")

    def _pairs(self, items: list[Any]) -> Iterator[tuple[Any, Any]]:
        return ((see_key(key, self.name), value) for key, value in zip(items[::2], items[1::2], strict=True))

    def _array(self, stored: _Stored) -> Any:
        """The array whose bytes follow in the stream."""
        frame = self._unframer.current_frame  # type: ignore[attr-defined]
        if frame is not None and frame.read(1):
            raise Unsafe(self.name, "it stores an array within a frame of its pickle", AGAIN)
        if stored.subclass is not np.ndarray or not isinstance(stored.dtype, np.dtype):
            raise Unsafe(self.name, f"it stores an array of {stored.subclass!r:.60}", AGAIN)
        see_dtype(stored.dtype, self.name)
        if stored.dtype.hasobject:
            return read_pickle(self.stream, self.name)
        if stored.numpy_array_alignment_bytes is not None:
            self.stream.read(int.from_bytes(self.stream.read(1), "little"))
        return read_raw(self.stream, self.name, stored.shape, stored.dtype, stored.order == "F")

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.INST[0]: load_inst,
        pickle.OBJ[0]: load_obj,
        pickle.EXT1[0]: load_extension,
        pickle.EXT2[0]: load_extension,
        pickle.EXT4[0]: load_extension,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.NEXT_BUFFER[0]: load_buffer,
        pickle.READONLY_BUFFER[0]: load_buffer,
    }


def _see_state(made: Any, state: Any, name: str) -> None:
    """Raise Unsafe where BUILD would give an object a state that no tool writes."""
    if isinstance(made, np.ndarray):
        _see_array(made, state, name)
    elif isinstance(state, tuple) and not hasattr(made, "__setstate__"):
        raise Unsafe(name, f"it sets slots of a {type(made).__name__}", AGAIN)
    elif isinstance(state, dict) and state.get("input") in ("filename", "file"):
        raise Unsafe(name, f"its {type(made).__name__} reads the files that a request names", AGAIN)


def _see_array(made: Any, state: Any, name: str) -> None:
    """The state of an array that was just made: as many bytes, or objects, as its shape says."""
    masked = isinstance(made, np.ma.MaskedArray)
    if made.size or not isinstance(state, tuple) or len(state) != (7 if masked else 5):
        raise Unsafe(name, "it changes an array, or gives it a state that numpy does not write", AGAIN)
    _, shape, dtype, _, data = state[:5]
    see_dtype(dtype, name)
    n = size_of(shape, name)
    kind, length = (list, n) if dtype.hasobject else (bytes, n * dtype.itemsize)
    if type(data) is not kind or len(data) != length or (masked and len(state[5]) != n):
        raise Unsafe(name, f"it declares an array {shape} of {dtype} and holds another number of values", AGAIN)


_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x5d\0\0": lzma.open}


def unpacked(stream: IO[bytes], name: str, limits: Limits) -> IO[bytes]:
    """What is in a compressed stream, from its beginning. Raises Unsafe where that is too much."""
    size = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(6)
    stream.seek(0)
    if head[:4] == b"\x04\x22\x4d\x18":
        raise Unsafe(name, "it is compressed with LZ4, which is not read here", "save it with `compress='zlib'`")
    whole = io.BytesIO()
    for piece in _pieces(stream, head, name):
        whole.write(piece)
        limits.see(name, whole.tell(), size)
    whole.seek(0)
    return whole


def _pieces(stream: IO[bytes], head: bytes, name: str) -> Iterator[bytes]:
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    try:
        if opener is not None:
            with opener(stream) as inside:
                while piece := inside.read(_PIECE_BYTES):
                    yield piece
            return
        inflate = zlib.decompressobj()
        while not inflate.eof:
            more = inflate.unconsumed_tail or stream.read(_PIECE_BYTES)
            if not more:
                raise EOFError("it ends too early")
            yield inflate.decompress(more, _PIECE_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as wrong:
        raise Unsafe(name, f"it is a damaged or truncated compressed file ({wrong})", AGAIN) from wrong
