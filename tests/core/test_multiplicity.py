from __future__ import annotations

import pytest
from scipy.stats import false_discovery_control

from roadworthy.core.multiplicity import benjamini_hochberg, corrected, holm


def test_holm_counts_every_test_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.2, 0.03, 0.04]) == pytest.approx([0.04, 0.2, 0.09, 0.09])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_both_corrections_agree_with_scipy_and_hand():
    p = [0.6, 0.001, 0.039, 0.008, 0.041]
    assert corrected(p, "holm") == pytest.approx([0.6, 0.005, 0.117, 0.032, 0.117])
    assert corrected(p, "benjamini-hochberg") == pytest.approx(false_discovery_control(p).tolist())


def test_no_tests_need_no_correction():
    assert holm([]) == benjamini_hochberg([]) == []
