from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.measure import Claim, Measurement, Requirement, Verdict, judge, worst

numbers = st.floats(-100, 100, allow_nan=False)
bounds = st.one_of(st.none(), numbers)


@st.composite
def measurements(draw) -> Measurement:
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    low = draw(st.sampled_from([low, -math.inf]))
    high = draw(st.sampled_from([high, math.inf]))
    return Measurement("auc", value, draw(st.integers(1, 1000)), low, high)


@st.composite
def requirements(draw) -> Requirement:
    at_least, at_most = draw(st.tuples(bounds, bounds).filter(lambda pair: pair != (None, None)))
    return Requirement("auc", at_least, at_most)


def holds(value: float, required: Requirement) -> bool:
    floor = -math.inf if required.at_least is None else required.at_least
    ceiling = math.inf if required.at_most is None else required.at_most
    return floor <= value <= ceiling


@given(measurements(), requirements(), st.floats(0, 1))
def test_a_pass_holds_for_every_value_that_the_interval_allows(measured, required, share):
    if judge(measured, required).decision == "pass":
        finite = [max(measured.low, -1e9), min(measured.high, 1e9)]
        assert all(holds(value, required) for value in (*finite, finite[0] + share * (finite[1] - finite[0])))


@given(measurements(), requirements())
def test_a_fail_holds_for_no_value_that_the_interval_allows(measured, required):
    if judge(measured, required).decision == "fail":
        assert not any(holds(value, required) for value in (measured.low, measured.value, measured.high))


@given(measurements(), numbers)
def test_an_interval_that_straddles_the_bound_waits(measured, bound):
    if measured.low < bound < measured.high:
        assert judge(measured, Requirement("auc", at_least=bound)).decision == "wait"
        assert judge(measured, Requirement("auc", at_most=bound)).decision == "wait"


@given(measurements(), numbers, st.floats(0, 50))
def test_a_looser_bound_is_never_worse(measured, bound, slack):
    order = {"fail": 0, "wait": 1, "pass": 2}
    strict = judge(measured, Requirement("auc", at_least=bound)).decision
    loose = judge(measured, Requirement("auc", at_least=bound - slack)).decision
    assert order[loose] >= order[strict]


@given(requirements())
def test_nothing_measured_waits(required):
    for nothing in (
        Measurement("auc", math.nan, 0),
        Measurement("auc", 0.9, 0, 0.9, 0.9),
        Measurement("auc", math.nan, 9),
    ):
        assert judge(nothing, required).decision == "wait"


def test_the_bound_itself_is_good_enough():
    exact = Measurement("auc", 0.75, 10, 0.75, 0.75)
    assert judge(exact, Requirement("auc", at_least=0.75, at_most=0.75)).decision == "pass"


def test_the_reason_names_both_numbers():
    verdict = judge(Measurement("auc", 0.7, 1000, 0.67, 0.73), Requirement("auc", at_least=0.75, where="night"))
    assert verdict.because == "auc 0.7 [0.67, 0.73] (n=1000) breaks auc on night at least 0.75"
    assert (verdict.of, verdict.evidence[0].value) == ("auc", 0.7)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (Measurement("auc", 0.7512345, 9), "auc 0.7512 (n=9)"),
        (Measurement("p99", 12.0, 9, 10.0, 14.0, "ms", "night"), "p99 on night 12 ms [10, 14] (n=9)"),
        (Requirement("p99", at_most=20, unit="ms"), "p99 at most 20 ms"),
        (Requirement("rate", at_least=0.1, at_most=0.2), "rate at least 0.1 and at most 0.2"),
    ],
)
def test_they_are_readable(shown, expected):
    assert str(shown) == expected


def test_a_requirement_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="`auc` needs `at_least` or `at_most`"):
        Requirement("auc")


def test_an_unknown_key_of_a_requirement_is_refused():
    with pytest.raises(msgspec.ValidationError, match="atleast"):
        msgspec.convert({"metric": "auc", "atleast": 1}, Requirement)


@pytest.mark.parametrize(("decision", "code"), [("pass", 0), ("fail", 1), ("wait", 3)])
def test_a_verdict_has_an_exit_code(decision, code):
    assert Verdict(decision, "because").exit_code == code


decisions = st.lists(st.sampled_from(["pass", "fail", "wait"]))


@given(decisions)
def test_the_worst_of_many_decides(drawn):
    verdict = worst([Verdict(decision, "") for decision in drawn])
    assert (verdict == "fail") == ("fail" in drawn)
    assert (verdict == "pass") == (bool(drawn) and set(drawn) == {"pass"})


@given(measurements())
def test_a_measurement_goes_through_json(measured):
    assert msgspec.json.decode(msgspec.json.encode(measured), type=Measurement) == measured


def test_a_measurement_without_a_value_goes_through_json():
    nothing = Measurement("auc", float("nan"), 0, -float("inf"), float("1e999"), where="night")
    assert msgspec.json.encode(nothing) == b'{"name":"auc","where":"night"}'
    assert math.isnan(msgspec.json.decode(msgspec.json.encode(nothing), type=Measurement).value)


def test_units_that_differ_are_not_compared():
    with pytest.raises(ValueError, match="measured in 's' and required in 'ms'"):
        judge(Measurement("p99", 0.2, 9, 0.1, 0.3, "s"), Requirement("p99", at_most=20, unit="ms"))


def test_a_claim_goes_through_json():
    claim = Claim("auc", 0.783, 0.01, source="the card")
    assert msgspec.json.decode(msgspec.json.encode(claim), type=Claim) == claim
