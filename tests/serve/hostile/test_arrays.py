"""Joblib, npy and npz files that hide pickles in their arrays, lie about their sizes, or point at other files."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper

from roadworthy.serve.formats.base import Limits

Refused = Callable[..., None]


class Calls:
    def __init__(self, function: Any, *args: Any) -> None:
        self.reduced = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def objects(marker: Path) -> np.ndarray[Any, Any]:
    return np.array([Calls(os.mkdir, str(marker)), None], dtype=object)


def wrapped(**changed: Any) -> bytes:
    """A joblib file of one stored array, whose description was changed."""
    told = NumpyArrayWrapper(np.ndarray, (2,), "C", np.dtype("f8"), numpy_array_alignment_bytes=None)
    vars(told).update(changed)
    return pickle.dumps(told, 3)[:-1] + bytes(16) + b"."


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 1), ("bz2", 1), ("xz", 1)])
def test_a_joblib_file_that_calls_does_not_run(
    compress: Any, tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.joblib"
    joblib.dump({"model": Calls(os.mkdir, str(marker))}, file, compress=compress)
    refused(file, r"posix\.mkdir")
    joblib.load(file)
    assert ran()


def test_a_joblib_array_of_objects_does_not_run(
    tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.joblib"
    joblib.dump(objects(marker), file)
    refused(file, r"posix\.mkdir")
    joblib.load(file)
    assert ran()


LIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "more values than there are": (r"8,796,093,022,208 bytes, and", lambda: wrapped(shape=(1 << 40,))),
    "values of another file": (r"numpy\.memmap", lambda: wrapped(subclass=np.memmap)),
    "a shape of texts": (r"an array of the shape \('2',\)", lambda: wrapped(shape=("2",))),
    "a negative shape": (r"an array of the shape \(-1,\)", lambda: wrapped(shape=(-1,))),
    "no type": (r"stores an array of", lambda: wrapped(dtype="f8")),
    "an array in other files": (
        r"joblib\.numpy_pickle_compat\.NDArrayWrapper",
        lambda: b"\x80\x02cjoblib.numpy_pickle_compat\nNDArrayWrapper\n)\x81}(U\x08filenameU\x0b/etc/passwdub.",
    ),
    "a map of another file": (
        r"joblib\._memmapping_reducer\._strided_from_memmap",
        lambda: b"\x80\x02cjoblib._memmapping_reducer\n_strided_from_memmap\n(U\x0b/etc/passwdtR.",
    ),
    "half of the compressed bytes": (r"damaged or truncated", lambda: zlib.compress(pickle.dumps([1] * 999))[:-9]),
    "LZ4": (r"compressed with LZ4", lambda: b"\x04\x22\x4d\x18" + bytes(40)),
}


@pytest.mark.parametrize("how", LIES)
def test_a_joblib_file_that_lies_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, made = LIES[how]
    file = tmp_path / "model.joblib"
    file.write_bytes(made())
    refused(file, because)


def test_a_joblib_bomb_is_refused_before_it_has_unpacked(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "model.joblib"
    file.write_bytes(zlib.compress(bytes(40 << 20)))
    refused(file, r"unpacks to 9,\d{3},\d{3} bytes, and 8,388,608 are allowed", Limits(most_bytes=8 << 20))


def test_an_npy_file_of_objects_does_not_run(
    tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.npy"
    np.save(file, objects(marker), allow_pickle=True)
    refused(file, r"posix\.mkdir")
    np.load(file, allow_pickle=True)
    assert ran()


def test_an_npz_file_of_objects_does_not_run(
    tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.npz"
    np.savez(file, weights=np.ones(3), names=objects(marker))
    refused(file, r"model\.npz/names\.npy' is refused: it uses posix\.mkdir")
    with np.load(file, allow_pickle=True) as loaded:
        loaded["names"]
    assert ran()


def npy(header: str) -> bytes:
    whole = io.BytesIO()
    np.lib.format.write_array_header_1_0(whole, {"descr": "<f8", "fortran_order": False, "shape": (2,)})
    text = header.encode().ljust(117) + b"\n"
    return whole.getvalue()[:8] + len(text).to_bytes(2, "little") + text + bytes(16)


HEADERS = {
    "code": (r"header is not that", "{'descr': __import__('os').mkdir('probe'), 'fortran_order': False, 'shape': ()}"),
    "a huge shape": (r"8,796,093,022,208 bytes", "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}"),
    "no shape": (r"header is not that", "{'descr': '<f8', 'fortran_order': False}"),
    "hidden objects": (r"truncated", "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (2,)}"),
}


@pytest.mark.parametrize("how", HEADERS)
def test_an_npy_header_that_lies_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, header = HEADERS[how]
    file = tmp_path / "model.npy"
    file.write_bytes(npy(header))
    refused(file, because)


def test_an_npz_whose_entry_is_no_array_is_refused(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "model.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights.npy", b"\x93NUMPX")
    refused(file, r"weights\.npy' is refused: its header")
