from __future__ import annotations

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.route.routers.packed import Packed


@pytest.mark.parametrize(("dtype", "tolerance"), [("<f4", 1e-7), ("<f2", 1e-3), ("<u2", 0.5)])
def test_an_array_comes_back_from_json_to_its_precision(dtype, tolerance):
    values = np.random.default_rng(0).random((7, 3)) * 9
    again = msgspec.json.decode(msgspec.json.encode(Packed.of(values, dtype)), type=Packed)
    assert again.array().shape == (7, 3)
    assert np.allclose(again.array(), values if dtype != "<u2" else values.astype(int), rtol=tolerance)


def test_zeros_take_no_room():
    assert len(Packed.of(np.zeros(100_000)).data) < 1000


@pytest.mark.parametrize("data", ["no base64!", "AAAA", Packed.of([1.0, 2.0]).data])
def test_a_text_that_is_no_such_array_is_refused(data):
    with pytest.raises(BadData, match="cannot be read"):
        Packed((3,), "<f4", data).array()
