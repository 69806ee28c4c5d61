from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from roadworthy.core.sketch import (
    PERCENTILES,
    RELATIVE_ERROR,
    Sketch,
    cells_of,
    edges,
    middle,
    ranks,
    read_many,
    write_many,
)

ANY = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0.0, 10.0)


@given(st.lists(ANY, min_size=1, max_size=30))
def test_every_value_lies_in_its_cell_and_within_one_percent_of_its_middle(values):
    for value in values:
        cell = int(cells_of([value])[0])
        low, high = edges(cell)
        assert low <= value <= high
        if cell:
            assert abs(middle(cell) - value) <= RELATIVE_ERROR * 1.0001 * abs(value)


@given(st.lists(ANY, min_size=2, max_size=30))
def test_cells_come_in_the_order_of_the_values(values):
    cells = cells_of(sorted(values))
    assert (np.diff(cells) >= 0).all()


@given(st.lists(st.lists(ANY, max_size=15), min_size=3, max_size=3))
def test_sketches_are_a_monoid(parts):
    one, two, three = (Sketch.of(part) for part in parts)
    assert one.merge(two).merge(three) == one.merge(two.merge(three)) == Sketch.of([x for part in parts for x in part])
    assert one.merge(Sketch.zero()) == Sketch.zero().merge(one) == one
    assert one.merge(two) == two.merge(one)


@given(st.lists(ANY, max_size=30), st.integers(0, 10**15))
def test_bytes_give_the_same_sketch_again(values, more):
    sketch = Sketch.of(values)
    big = Sketch(sketch.cells, tuple(count + more for count in sketch.counts))
    assert Sketch.from_bytes(sketch.to_bytes()) == sketch
    assert Sketch.from_bytes(big.to_bytes()) == big


def test_many_sketches_are_written_and_read_at_once():
    sketches = [Sketch.of([1.0, 2.0]), Sketch.zero(), Sketch.of([-3.0, 0.0, 5.0] * 200)]
    owner = np.repeat([0, 1, 2], [len(s.cells) for s in sketches])
    cells, counts = (np.array([x for s in sketches for x in getattr(s, name)]) for name in ("cells", "counts"))
    bodies = write_many(owner, cells, counts, 3)
    assert bodies == [s.to_bytes() for s in sketches]
    assert [part.tolist() for part in read_many(bodies)] == [owner.tolist(), cells.tolist(), counts.tolist()]
    assert [len(part) for part in read_many([])] == [0, 0, 0]


@pytest.mark.parametrize("cut", [1, 3, -1])
def test_bytes_that_were_cut_are_refused(cut):
    body = Sketch.of(np.linspace(0.1, 9, 50)).to_bytes()
    with pytest.raises(ValueError, match="no sketch"):
        Sketch.from_bytes(body[:cut])


def test_nan_is_left_out_and_an_infinity_is_the_largest_number():
    assert Sketch.of([math.nan]).n == 0
    sketch = Sketch.of([math.inf, 1.0, -math.inf])
    assert sketch.n == 3
    assert sketch.quantile(0.99).value > 1e308


def test_adding_one_by_one_is_adding_all():
    values = [0.3, 0.0, -2.0, 0.3]
    total = Sketch.zero()
    for value in values:
        total = total.add(value)
    assert total == Sketch.zero().add_many(values) == Sketch.of(values)


def test_percentiles_are_within_one_percent_of_the_sample():
    values = np.random.default_rng(0).lognormal(-3, 1, 100_000)
    for found in Sketch.of(values).percentiles():
        share = PERCENTILES[found.name]
        assert abs(found.value / np.quantile(values, share, method="inverted_cdf") - 1) <= 0.0101
        assert found.unit == "s"


@pytest.mark.parametrize("n", [1, 5, 30, 100, 1000, 20_000])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_ranks_bound_the_quantile_as_the_binomial_says_and_no_wider(n, share):
    lower, upper = ranks(n, share, 0.95)
    assert binom.cdf(lower - 1, n, share) <= 0.025 < binom.cdf(lower, n, share)
    assert binom.sf(upper - 1, n, share) <= 0.025
    assert upper == 1 or binom.sf(upper - 2, n, share) > 0.025


def test_intervals_cover_the_quantile_of_the_law():
    rng = np.random.default_rng(1)
    for share, true in ((0.5, 1.0), (0.95, math.exp(1.6448536))):
        draws = [Sketch.of(rng.lognormal(0, 1, 80)).quantile(share) for _ in range(300)]
        assert sum(m.low <= true <= m.high for m in draws) >= 0.95 * 300 - 8


def test_too_few_values_leave_the_bound_open():
    found = Sketch.of(np.arange(1.0, 101.0)).quantile(0.999)
    assert found.high == math.inf
    assert found.low > 90
    assert Sketch.zero().quantile(0.5).n == 0


def test_a_share_outside_of_0_and_1_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Sketch.of([1.0]).quantile(1.0)


def test_what_is_above_a_bound_is_counted_but_for_one_percent():
    assert Sketch.of([0.1, 0.199, 0.2, 0.21, 3.0]).above(0.2) == 2


def test_a_minute_of_a_thousand_requests_takes_few_bytes():
    assert len(Sketch.of(np.random.default_rng(0).lognormal(-4, 0.4, 1000)).to_bytes()) < 300
