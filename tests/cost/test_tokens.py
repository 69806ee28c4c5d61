"""Tokens are priced by the million or made by the hour; either way a thousand requests have a price."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.cost.tokens import TokenPrices, usd_per_1k_own_tokens, usd_per_1k_requests, usd_per_1k_tokens

PRICES = TokenPrices(input_usd=1.0, output_usd=4.0, cached_usd=0.1)


def test_a_request_worked_out_by_hand():
    # 1000 in, of which 600 cached, and 100 out: 400 + 60 + 400 millionths.
    assert PRICES.usd([1000], [100], [600]).tolist() == pytest.approx([0.00086])
    assert TokenPrices(1.0, 4.0).usd([1000], [100], [600]).tolist() == pytest.approx([0.0014])


def test_a_thousand_requests_cost_their_mean_with_its_interval():
    found = usd_per_1k_requests(PRICES, [1000, 3000], [100, 100])
    assert (found.name, found.unit, found.n) == ("usd_per_1k", "usd", 2)
    assert found.value == pytest.approx(2.4)
    assert found.low < found.value < found.high


def test_a_thousand_tokens_out_carry_the_price_of_what_went_in():
    found = usd_per_1k_tokens(PRICES, [1000, 1000], [100, 300])
    assert found.value == pytest.approx(1000 * (0.002 + 0.0016) / 400)
    assert found.conditions == {"input_tokens_per_output_token": 5.0}


def test_the_interval_of_the_ratio_covers_the_truth():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        asked, made = rng.gamma(2, 500, 200), rng.gamma(2, 50, 200)
        found = usd_per_1k_tokens(PRICES, asked, made)
        inside += found.low <= 1000 * (1000 * 1.0 + 100 * 4.0) / 1e6 / 100 <= found.high
    assert 0.91 <= inside / 300 <= 0.99


def test_equal_requests_have_no_spread_and_one_request_has_no_interval():
    same = usd_per_1k_tokens(PRICES, [10] * 5, [20] * 5)
    assert same.low == pytest.approx(same.high)
    assert usd_per_1k_tokens(PRICES, [10], [20]).high == math.inf


def test_no_token_out_has_no_price():
    assert usd_per_1k_tokens(PRICES, [10], [0]).n == 0
    assert usd_per_1k_requests(PRICES, [], []).n == 0


def test_tokens_of_ones_own_machine_cost_their_share_of_the_hour():
    # 3.6 dollars an hour are 0.001 a second; 200 tokens a second, half used, make 100: 0.01 a thousand.
    found = usd_per_1k_own_tokens(3.6, Measurement("goodput_tps", 200.0, 50, 160.0, 250.0), utilisation=0.5)
    assert found.name == "usd_per_1k_tokens"
    assert [found.low, found.value, found.high] == pytest.approx([0.008, 0.01, 0.0125])


@pytest.mark.parametrize("tokens", [([-1], [1], [0]), ([1], [-1], [0]), ([1], [1], [2])])
def test_impossible_counts_are_refused(tokens):
    with pytest.raises(BadData, match="tokens must be 0 or more in every request"):
        PRICES.usd(*tokens)


def test_an_impossible_price_is_refused():
    with pytest.raises(SpecError, match="`output_usd` must be 0 or more dollars per million tokens, got -1"):
        TokenPrices(1.0, -1.0)
