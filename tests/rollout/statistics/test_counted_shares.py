from __future__ import annotations

import numpy as np
import pytest

from roadworthy.rollout.statistics.counted_shares import Coding, apart_of_pairs, apart_of_split, said_test, spread_out
from roadworthy.rollout.statistics.sequential import difference_of_split, mean_bounds


def test_numbers_fall_between_deciles_and_missing_ones_apart() -> None:
    coding = Coding.of(np.arange(1000.0))
    assert coding.code(np.array([-5.0, 50.0, 950.0, 1e9, np.nan])).tolist() == [1, 1, 10, 10, 0]
    assert coding.tested().shape == (10, coding.codes)
    assert said_test(coding, 0) == "are missing"
    assert said_test(coding, 1).startswith("are at least 99.9")


def test_a_value_that_makes_up_most_rows_keeps_its_own_part() -> None:
    coding = Coding.of(np.array([0.0] * 90 + [1.0] * 10))
    zero, one = coding.code(np.array([0.0, 1.0])).tolist()
    assert zero != one


def test_text_falls_into_its_value_or_among_the_rare() -> None:
    coding = Coding.of(np.array(["a", "a", "b", None], object))
    assert coding.code(np.array(["a", "b", "c", None], object)).tolist() == [1, 2, 3, 0]
    assert [said_test(coding, k) for k in (1, 3)] == ["are 'a'", "are none of the frequent values"]


def test_counts_by_block_give_what_rows_give() -> None:
    """Against `difference_of_split` on the indicator of each test, with the variance of independent rows."""
    rng = np.random.default_rng(0)
    on_candidate = rng.random(4000) < np.linspace(0.1, 0.5, 4000)
    values = rng.normal(size=4000) + 0.3 * on_candidate + np.linspace(0, 2, 4000)
    coding = Coding.of(values[~on_candidate])
    code, tested = coding.code(values), coding.tested()
    apart = apart_of_split(on_candidate, code, tested, 0.05, 1000.0)
    rows = [difference_of_split(on_candidate, test[code]) for test in tested]
    differences = np.array([difference for difference, _, _ in rows])
    assert apart.value == pytest.approx(np.abs(differences).max(), rel=1e-6)
    assert apart.which == int(np.abs(differences).argmax())
    # The rows' spread allows for dependence and is never smaller.
    widest = max(abs(d) + s * mean_bounds(0, 1, n, 0.05 / len(tested), 1000.0)[1] for d, s, n in rows)
    assert apart.low < apart.value < apart.high <= widest * (1 + 1e-6)


def test_pairs_that_agree_are_known_exactly() -> None:
    coding = Coding.of(np.arange(100.0))
    code = coding.code(np.arange(100.0))
    apart = apart_of_pairs(code, code, coding.tested(), 0.05, 1000.0)
    assert (apart.value, apart.low, apart.high) == (0.0, 0.0, 0.0)


def test_many_values_are_picked_evenly() -> None:
    picked = spread_out(np.arange(100_000))
    assert 9_000 <= len(picked) <= 11_000
    assert picked[-1] > 99_000
