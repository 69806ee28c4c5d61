from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.corruptions.sign_flip import SignFlip
from roadworthy.testing.corruptions import mixed_sample


def test_the_sign_of_some_rows_is_turned() -> None:
    sample = mixed_sample(2000)
    spoilt = SignFlip(("heat",), share=0.5)(sample, 0.8, np.random.default_rng(0))
    turned = spoilt.columns["heat"] == -sample.columns["heat"]
    assert turned.mean() == pytest.approx(0.4, abs=0.04)
    assert (spoilt.columns["heat"][~turned] == sample.columns["heat"][~turned]).all()
    assert spoilt.columns["holes"] is sample.columns["holes"]
