"""What a pickle may call while it is read, and with which arguments; anything else is refused.

Each function here stands for a name in `allowed.CALLED`: it looks at the arguments and makes the object.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from roadworthy.serve.formats.allowed import Name
from roadworthy.serve.formats.archive import AGAIN
from roadworthy.serve.formats.arrays import see_dtype, size_of
from roadworthy.serve.formats.base import Unsafe

Args = tuple[Any, ...]

_SIMPLE = (str, bytes, int, float, bool, complex, type(None), type, np.generic)
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def call(name: Name, function: Any, args: Args, file: str) -> Any:
    """What the call makes. Raises Unsafe where the arguments are not those of a saved model."""
    if not _fits(name, args):
        given = ", ".join(type(arg).__name__ for arg in args)
        raise Unsafe(file, f"it calls {'.'.join(name)} with ({given}), as no saved model does", AGAIN)
    if name in _DTYPES:
        see_dtype(args[_DTYPES[name]], file)
    if name[1] == "_frombuffer":
        size_of(args[2], file)
    made = _MAKERS.get(name, function)(*args)
    if name == ("numpy", "dtype"):
        see_dtype(made, file)
    return made


def see_key(key: Any, file: str) -> Any:
    """A key of a dict or member of a set. Nested tuples are refused: hashing them can take for ever."""
    if isinstance(key, _SIMPLE) or (isinstance(key, tuple) and all(isinstance(part, _SIMPLE) for part in key)):
        return key
    raise Unsafe(file, f"it has a {type(key).__name__} as the key of a dict or in a set", AGAIN)


def _fits(name: Name, args: Args) -> bool:
    rule = _RULES.get(name)
    return rule(args) if rule else all(type(arg) in (int, float) for arg in args)


def _types(*kinds: type | tuple[type, ...]) -> Callable[[Args], bool]:
    return lambda args: len(args) == len(kinds) and all(map(isinstance, args, kinds))


def _one(*kinds: type) -> Callable[[Args], bool]:
    """No argument, or one of these types exactly."""
    return lambda args: not args or (len(args) == 1 and type(args[0]) in kinds)


def _members(args: Args) -> bool:
    return _one(list, tuple, set)(args) and all(isinstance(member, _SIMPLE) for arg in args for member in arg)


def _empty_array(args: Args) -> bool:
    return len(args) == 3 and args[0] is np.ndarray and args[1:] == ((0,), b"b")


def _empty_masked_array(args: Args) -> bool:
    return len(args) == 4 and args[0] is np.ma.MaskedArray and args[1] is np.ndarray and args[2:] == ((0,), "b")


def _scalar(args: Args) -> bool:
    return _types(np.dtype, bytes)(args) and not args[0].hasobject and len(args[1]) == args[0].itemsize


def _buffer(args: Args) -> bool:
    return _types((bytes, bytearray), np.dtype, tuple, str)(args) and not args[1].hasobject and args[3] in "CFA"


def _generators(args: Args) -> bool:
    kinds = [getattr(np.random, generator) for generator in _GENERATORS]
    functions = {"__bit_generator_ctor"}
    return all(
        arg in _GENERATORS
        if isinstance(arg, str)
        else arg in kinds or type(arg) in kinds or getattr(arg, "__name__", "") in functions
        for arg in args
    )


def _tree(args: Args) -> bool:
    """The C code of a tree trusts these three: a count that is too large reads beyond the array."""
    if not _types(int, np.ndarray, int)(args):
        return False
    features, classes, outputs = args
    return features >= 0 and classes.ndim == 1 and len(classes) == outputs > 0 and bool((classes > 0).all())


def _rebuilt(args: Args) -> bool:
    """Protocols 0 and 1: an instance of a class (checked by the caller) on the base of object or dict."""
    if len(args) != 3 or not isinstance(args[0], type):
        return False
    cls, base, state = args
    return (base is object and state is None) or (base is dict and issubclass(cls, dict) and type(state) is dict)


def _rebuild(cls: Any, base: Any, state: Any) -> Any:
    made = base.__new__(cls)
    if state:
        made.update(state)
    return made


def _frombuffer(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any) -> Any:
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order=order)


_RULES: Mapping[Name, Callable[[Args], bool]] = {
    ("_codecs", "encode"): lambda args: _types(str, str)(args) and args[1] in ("latin1", "latin-1"),
    ("builtins", "bytearray"): lambda args: _one(bytes)(args) or (_types(str, str)(args) and args[1] == "latin-1"),
    ("builtins", "bytes"): _one(bytes),
    ("builtins", "dict"): _one(dict),
    ("builtins", "frozenset"): _members,
    ("builtins", "list"): _one(list, tuple),
    ("builtins", "set"): _members,
    ("builtins", "slice"): lambda args: len(args) == 3 and all(type(arg) in (int, type(None)) for arg in args),
    ("builtins", "tuple"): _one(list, tuple),
    ("collections", "OrderedDict"): lambda args: not args,
    ("collections", "defaultdict"): lambda args: not args or (len(args) == 1 and isinstance(args[0], type)),
    ("copyreg", "_reconstructor"): _rebuilt,
    ("functools", "partial"): lambda args: len(args) == 1,
    ("numpy", "dtype"): _types(str, (bool, int), (bool, int)),
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _buffer,
    ("numpy.ma.core", "_mareconstruct"): _empty_masked_array,
    ("numpy.random._pickle", "__bit_generator_ctor"): _generators,
    ("numpy.random._pickle", "__generator_ctor"): _generators,
    ("numpy.random._pickle", "__randomstate_ctor"): _generators,
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): _types(type, int, (tuple, type(None))),
    ("sklearn.tree._tree", "Tree"): _tree,
    ("sklearn.utils._bunch", "Bunch"): lambda args: not args,
}

_DTYPES: Mapping[Name, int] = {("numpy._core.multiarray", "scalar"): 0, ("numpy._core.numeric", "_frombuffer"): 1}

_MAKERS: Mapping[Name, Callable[..., Any]] = {
    ("_codecs", "encode"): str.encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("copyreg", "_reconstructor"): _rebuild,
    ("functools", "partial"): functools.partial,
    # Always a copy: the type of all float64 arrays of this process is not the file's to change.
    ("numpy", "dtype"): lambda text, align, copy: np.dtype(text, bool(align), copy=True),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: np.ndarray((0,), "b"),
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
}
