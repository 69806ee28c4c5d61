"""What is no number is refused in a sentence, and not tripped over."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats


def test_numbers_of_any_kind_are_floats_and_nothing_is_nan():
    assert floats([1, True, np.float32(0.5)], "labels").tolist() == [1.0, 1.0, 0.5]
    assert np.isnan(floats([None], "labels")).all()
    already = np.arange(3.0)
    assert floats(already, "labels") is already


@pytest.mark.parametrize("values", [["yes", "no"], np.array(["yes"], object), [[1.0], [1.0, 2.0]], [{}]])
def test_what_is_no_number_is_named(values):
    with pytest.raises(BadData, match=r"^labels must be numbers"):
        floats(values, "labels")
