"""An array as text in JSON: half or single precision, compressed, base64."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Literal

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Width = Literal["<f2", "<f4", "<u2"]


class Packed(Struct, frozen=True):
    """The numbers of an array, row by row, in little-endian order."""

    shape: tuple[int, ...]
    dtype: Width
    data: str

    @classmethod
    def of(cls, values: ArrayLike, dtype: Width = "<f4") -> Packed:
        """Pack an array. Half precision is enough for weights, of which a sum takes hundreds."""
        array = np.asarray(values)
        return cls(array.shape, dtype, b64encode(zlib.compress(array.astype(dtype).tobytes(), 9)).decode())

    def array(self) -> NDArray[np.float64]:
        """The numbers again. Raises BadData where the text is not what `of` wrote."""
        try:
            raw = zlib.decompress(b64decode(self.data, validate=True))
            return np.frombuffer(raw, self.dtype).astype(np.float64).reshape(self.shape)
        except (ValueError, zlib.error) as wrong:
            raise BadData(f"an array of shape {self.shape!r} in a router's file cannot be read: {wrong}") from wrong
