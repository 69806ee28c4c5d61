"""Reads numpy's arrays from npy and npz files, and tells honest array types from those that would fake pointers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.serve.formats.archive import AGAIN, open_archive, read
from roadworthy.serve.formats.base import Limits, Unsafe

# Reads the pickle behind the header of an array of objects.
Objects = Callable[[IO[bytes], str], Any]


def read_npy(stream: IO[bytes], name: str, objects: Objects) -> NDArray[Any]:
    """One array, from a stream that stands at its beginning. Raises Unsafe."""
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header[version](stream)
    except (ValueError, KeyError, OverflowError, TypeError) as wrong:
        raise Unsafe(name, f"its header is not that of a numpy array ({wrong})", AGAIN) from wrong
    if dtype.hasobject:
        found = objects(stream, name)
        if not isinstance(found, np.ndarray) or found.shape != shape:
            raise Unsafe(name, "its header promises an array that its content is not", AGAIN)
        return found
    return read_raw(stream, name, shape, dtype, fortran)


def read_npz(stream: IO[bytes], name: str, limits: Limits, objects: Objects) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file by their names. Raises Unsafe."""
    with open_archive(stream, name, limits) as archive:
        return {
            path.removesuffix(".npy"): read_npy(io.BytesIO(read(archive, path, name)), f"{name}/{path}", objects)
            for path in archive.namelist()
        }


def read_raw(
    stream: IO[bytes], name: str, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool = False
) -> NDArray[Any]:
    """An array of plain values from the bytes that follow in a stream. Raises Unsafe where there are fewer."""
    see_dtype(dtype, name)
    size = size_of(shape, name) * dtype.itemsize
    here = stream.tell()
    left = stream.seek(0, 2) - here
    stream.seek(here)
    if dtype.hasobject or size > left:
        raise Unsafe(name, f"it declares an array {shape} of {dtype}, {size:,} bytes, and {left:,} are left", AGAIN)
    array = np.frombuffer(bytearray(stream.read(size)), dtype)
    array = array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def size_of(shape: Any, name: str) -> int:
    """How many values an array of this shape has. Raises Unsafe where it is no shape."""
    if not isinstance(shape, tuple) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise Unsafe(name, f"it declares an array of the shape {shape!r:.80}", AGAIN)
    return math.prod(int(n) for n in shape)


def see_dtype(dtype: Any, name: str) -> None:
    """Raise Unsafe unless numpy, asked for such a type, makes the same one.

    A pickle sets the flags of a type itself: one that hides that its values are objects turns bytes into pointers.
    """
    if not isinstance(dtype, np.dtype) or not _honest(dtype):
        raise Unsafe(name, f"it declares an array type that numpy would not make ({dtype!r:.80})", AGAIN)


def _honest(dtype: np.dtype[Any]) -> bool:
    if dtype.subdtype is not None or dtype.metadata is not None:
        return False
    if dtype.names is None or dtype.fields is None:
        again = np.dtype((np.void, dtype.itemsize)) if dtype.kind == "V" else np.dtype(dtype.str)
        return _alike(dtype, again)
    inner = [dtype.fields[field][:2] for field in dtype.names]
    if any(part.hasobject or not _honest(part) for part, _ in inner):
        return False
    formats, offsets = [part for part, _ in inner], [offset for _, offset in inner]
    plan = {"names": list(dtype.names), "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    return _alike(dtype, np.dtype(plan, align=dtype.isalignedstruct))  # type: ignore[call-overload]


def _alike(dtype: np.dtype[Any], again: np.dtype[Any]) -> bool:
    return dtype == again and dtype.flags == again.flags and dtype.itemsize == again.itemsize
