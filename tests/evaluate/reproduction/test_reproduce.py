from __future__ import annotations

import math

import pytest

from roadworthy.core.measure import Claim, Measurement
from roadworthy.evaluate.reproduction.reproduce import reproduce

CLAIM = Claim("auc", 0.783, 0.01, source="card")


def auc(value: float, half: float = 0.005, n: int = 20_000, where: str = "") -> Measurement:
    return Measurement("auc", value, n, value - half, value + half, where=where)


def test_an_interval_that_meets_the_claim_reproduces_it() -> None:
    found = reproduce(CLAIM, auc(0.770))
    assert found.outcome == "reproduced"
    assert found.because == "auc 0.77 [0.765, 0.775] (n=20000) agrees with the claimed 0.783 ± 0.01"


@pytest.mark.parametrize(("value", "side"), [(0.711, "0.057 below"), (0.9, "0.102 above")])
def test_an_interval_beside_the_claim_does_not(value: float, side: str) -> None:
    found = reproduce(CLAIM, auc(value))
    assert found.outcome == "not reproduced"
    assert side in found.because


@pytest.mark.parametrize(
    ("claim", "measured", "because"),
    [
        (CLAIM, Measurement("accuracy", 0.8, 100, 0.7, 0.9), "'accuracy' was measured"),
        (CLAIM, auc(0.78, where="origin=JFK"), "about all rows and origin=JFK was measured"),
        (CLAIM, Measurement("auc", math.nan, 0), "nothing was measured"),
        (CLAIM, auc(0.78, half=0.2, n=30), "30 rows are too few to tell"),
        (CLAIM, Measurement("auc", 0.78, 1), "too few to tell"),
        (Claim("auc", 78.3, 1.0), auc(0.783), "looks like a percentage: write 0.783"),
        (Claim("auc", 0.783, data="a" * 64), auc(0.783), "about data aaaaaaaaaaaaaaaaaaa…"),
    ],
)
def test_what_is_not_about_the_same_thing_is_not_comparable(claim: Claim, measured: Measurement, because: str) -> None:
    found = reproduce(claim, measured, digest="b" * 64)
    assert found.outcome == "not comparable"
    assert because in found.because


@pytest.mark.parametrize("data", ["", "January to April, random split", "sha256:" + "b" * 64])
def test_data_that_is_described_or_the_same_is_no_obstacle(data: str) -> None:
    assert reproduce(Claim("auc", 0.783, data=data), auc(0.783), digest="b" * 64).outcome == "reproduced"


@pytest.mark.parametrize(
    ("value", "cause"), [(0.217, "wrong way round"), (0.5, "that is chance"), (0.7, "0.783 ± 0.01")]
)
def test_the_number_itself_hints_at_the_cause(value: float, cause: str) -> None:
    assert cause in reproduce(CLAIM, auc(value)).because


def test_a_claim_without_tolerance_says_so_when_it_fails() -> None:
    assert reproduce(Claim("auc", 0.783), auc(0.7)).because.endswith("; the claim states no tolerance")
