from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.corruptions.sentinel import Sentinel
from roadworthy.testing.corruptions import mixed_sample


def test_numbers_hold_the_sentinel_and_nothing_else_does() -> None:
    sample = mixed_sample(2000)
    spoilt = Sentinel(value=-999, share=0.4)(sample, 0.5, np.random.default_rng(0))
    assert (spoilt.columns["heat"] == -999).mean() == pytest.approx(0.2, abs=0.03)
    assert ((spoilt.columns["heat"] == -999) != (spoilt.columns["holes"] == -999)).any()
    for name in ("town", "said", "seen"):
        assert spoilt.columns[name] is sample.columns[name]


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`share` must be above 0 and at most 1, got 0"):
        Sentinel(share=0)
