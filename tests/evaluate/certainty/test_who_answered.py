from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, proportion
from roadworthy.core.wire import Step
from roadworthy.evaluate.certainty.who_answered import FIGURES, answerer, members_in, priced, who_answered
from roadworthy.evaluate.told import Told

KEPT = (Step("small", "kept", 0.001, 0.1),)
SENT = (Step("small", "confidence 0.4 below 0.8: sent on", 0.001, 0.1), Step("large", "kept", 0.02, 0.5))
AGREES = (*KEPT, Step("large", "audit drawn at 0.1: agrees", 0.02, 0.5))
DIFFERS = (*KEPT, Step("large", "audit drawn at 0.1: differs, with True where False was kept", 0.02, 0.5))
STOOD = (SENT[0], Step("large", "not asked, for the cap is reached: 1 of 9; the answer so far stands"))
FAILED = (SENT[0], Step("large", "not answered: late; the answer so far stands", 0.02, 0.5))
ROUTED = (Step("router", "gain 0.2, chances small=0.1 large=0.9", 0.0, 1e-5), Step("large", "gain 0.2", 0.02, 0.5))
SPARED = (Step("router", "gain 0.0", 0.0, 1e-5), Step("small", "gain 0.0", 0.001, 0.1))
COMPARED = (*SPARED, Step("large", "comparison: gain 0.0", 0.02, 0.5))
LOOKED_BACK = (*ROUTED, Step("small", "comparison: gain 0.2", 0.001, 0.1))
EXPLORED = (ROUTED[0], Step("small", "explored: gain 0.2", 0.001, 0.1))
LEFT = (*KEPT, Step("abstain", "confidence 0.5"), Step("fallback", "rule answers in its place", 0.0))
IN_VAIN = (*KEPT, Step("abstain", "confidence 0.5"), Step("fallback", "rule cannot answer: no rule"))


def found(*ways, usd=None, answered=None, members=("small", "large"), same=None):
    column = np.empty(len(ways), object)
    for row, way in enumerate(ways):
        column[row] = way
    prices = None if usd is None else np.asarray(usd, np.float64)
    there = np.ones(len(ways), bool) if answered is None else np.asarray(answered)
    return who_answered("production", Told(ways=column, usd=prices), there, measure, members, same)


def measure(rows, place):
    return (proportion("accuracy", int(rows.sum()), int(rows.sum()), place),)


def shares(of):
    return {one.name: one.share.value for one in of.members}


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (KEPT, "small"),
        (SENT, "large"),
        (AGREES, "small"),
        (STOOD, "small"),
        (FAILED, "small"),
        (ROUTED, "large"),
        (SPARED, "small"),
        (COMPARED, "large"),
        (LOOKED_BACK, "large"),
        (EXPLORED, "small"),
        (LEFT, "fallback"),
        (IN_VAIN, "small"),
        ((Step("cache", "hit, 3 s old"),), ""),
        ((), ""),
    ],
)
def test_the_last_model_that_answered_is_who_answered(way, name):
    assert answerer(way, ("small", "large")) == name


def test_shares_add_up_and_what_was_sent_on_is_counted():
    by = found(KEPT, KEPT, SENT, AGREES, STOOD, FAILED, SENT, KEPT)
    assert shares(by) == {"small": 0.75, "large": 0.25}
    # Where the dear model failed it had been asked; where the cap was reached it had not, and an audit asks nothing.
    assert by.escalation.value == 3 / 8
    assert by.unconfirmed.value == 2 / 8


def test_agreement_is_that_of_the_audits():
    by = found(*[AGREES] * 9, DIFFERS, *[KEPT] * 30, SENT)
    assert (by.agreement.value, by.agreement.n) == (0.9, 10)
    assert by.unsaid == ("US dollars a row: the models tell no prices (usd_per_1k of a member)",)
    assert "no answer was audited" in found(KEPT, SENT).unsaid[0]


def test_a_router_that_compares_tells_agreement_of_the_rows_that_it_left_to_the_cheap_model():
    ways = [SPARED] * 2 + [COMPARED] * 4 + [LOOKED_BACK] * 3
    by = found(*ways, same=np.array([np.nan, np.nan, 1, 1, 1, 0, 0, 0, 0]))
    assert (by.agreement.value, by.agreement.n) == (0.75, 4)
    assert by.escalation.value == pytest.approx(3 / 9)
    assert shares(by) == {"small": pytest.approx(2 / 9), "large": pytest.approx(7 / 9)}


def test_of_one_model_alone_on_the_ways_nobody_knows_whether_it_was_the_cheapest():
    by = found(ROUTED, ROUTED, members=())
    assert (by.members[0].name, by.escalation.n) == ("large", 0)
    assert "large answered every row" in by.unsaid[0]
    assert found(ROUTED, ROUTED).escalation.value == 1.0


def test_each_model_has_the_metrics_and_the_price_of_its_rows():
    by = found(KEPT, KEPT, SENT, usd=[0.001, 0.003, 0.021])
    small, large = by.members
    assert (small.measured[0].n, small.measured[0].where) == (2, "answered by small")
    assert small.usd_per_row.value == pytest.approx(0.002)
    assert (large.usd_per_row.value, large.usd_per_row.n) == (0.021, 1)
    assert by.usd_per_row.value == pytest.approx(0.025 / 3)
    assert by.usd_per_row.unit == "usd"


def test_rows_that_failed_or_do_not_tell_are_no_part_of_it():
    by = found(KEPT, SENT, (), (), answered=[True, True, True, False], usd=[1.0, 2.0, 7.0, np.nan])
    assert by.rows == 2
    assert "1 rows do not tell who answered them" in by.unsaid
    assert by.usd_per_row.value == 1.5


def test_an_answer_that_was_withheld_was_paid_for():
    by = found(KEPT, (*SENT, Step("abstain", "confidence 0.5")), answered=[True, False], usd=[1.0, 2.0])
    assert (shares(by), by.usd_per_row.value) == ({"small": 0.5, "large": 0.5}, 1.5)


def test_a_fallback_that_answers_is_one_of_those_who_do():
    assert shares(found(KEPT, LEFT)) == {"small": 0.5, "large": 0.0, "fallback": 0.5}


def test_one_model_alone_is_no_mixture():
    nobody = Told(ways=None)
    assert who_answered("lab", nobody, np.ones(3, bool), measure) is None
    assert found((Step("guard", "fine"),), (), members=()) is None


def test_models_are_read_off_the_ways_the_cheapest_first():
    assert members_in([ROUTED, SENT, LEFT]) == ("small", "large")
    assert found(ROUTED, SPARED, SENT, members=()) == found(ROUTED, SPARED, SENT)
    unpriced = [tuple(Step(s.at, s.because, None, s.seconds) for s in way) for way in (ROUTED, SENT)]
    assert members_in(unpriced) == ("large", "small")


def test_every_figure_may_be_required_and_has_a_place_of_its_own():
    figures = found(KEPT, SENT, AGREES, usd=[1.0, 2.0, 3.0]).figures
    assert {m.name for m in figures} - {"accuracy"} == set(FIGURES)
    places = [(m.name, m.where) for m in figures]
    assert len(places) == len(set(places))


MACHINE = Measurement("usd_per_1k", 0.5, 100, 0.4, 0.6, "usd", conditions={"usd_per_hour": 1.0})


def test_what_the_models_cost_is_the_price_where_all_tell_it():
    by = found(*[KEPT] * 5, *[SENT] * 5, usd=[0.001] * 5 + [0.021] * 5)
    price = priced(MACHINE, by)
    assert (price.name, price.unit, price.n) == ("usd_per_1k", "usd", 10)
    assert price.value == pytest.approx(11.0)
    assert price.low == pytest.approx(1000 * by.usd_per_row.low)
    assert priced(None, by).value == price.value


def test_a_model_without_a_price_runs_on_the_machine_which_is_not_free():
    here = [(Step("small", "kept", None, 0.1),)] * 5
    there = [(Step("small", "sent on", None, 0.1), SENT[1])] * 5
    by = found(*here, *there, usd=[0.0] * 5 + [0.02] * 5)
    assert by.unpriced == ("small",)
    assert priced(MACHINE, by).value == pytest.approx(10.0 + 0.5)
    assert priced(nothing("usd_per_1k", "usd"), by).value == pytest.approx(10.0)


def test_without_prices_the_machine_is_the_price():
    assert priced(MACHINE, found(KEPT, SENT)) is MACHINE
    assert priced(MACHINE, None) is MACHINE
    assert priced(None, None) is None
    assert math.isnan(found(KEPT, SENT).usd_per_row.value)
