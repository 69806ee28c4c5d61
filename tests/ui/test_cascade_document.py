from __future__ import annotations

from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.fits import CascadeFit, Level, Point, Target
from roadworthy.ui.cascade_document import cascade_document, cascade_page

PRICES = {"small": 7e-8, "large": 6.8e-7}
CURVE = (Point(0.0, (0.9,)), Point(0.1, (0.98,)))
IDEAL = (Point(0.0, (0.7,)), Point(0.0, (0.85,)), Point(0.0, (0.9,)), Point(0.05, (0.975,)))


def fitted() -> CascadeFit:
    levels = (Level(keep_from=0.75, name="small", answers=0.87),)
    sent = Measurement("delegation", 0.13, 350, 0.1, 0.17)
    return CascadeFit(Target(agreement=0.97), "traffic", levels, 500, 500, sent, "as drawn", curve=CURVE, ideal=IDEAL)


def test_small_prices_are_told_and_shares_are_percentages() -> None:
    sent, usd = cascade_document(fitted(), "scans", PRICES).tiles
    assert (sent.value, sent.small) == ("13 %", "10 % to 17 %")
    assert (usd.value, usd.small) == ("$0.00000016", "$0.00000068 with large alone")


def test_the_last_model_has_its_row_and_the_scope_is_said_in_words() -> None:
    page = cascade_page(fitted(), "scans", PRICES)
    assert "what is sent on" in page
    assert "in rows that come as these did" in page
    assert "(traffic)" not in page


def test_the_ideal_has_one_point_a_share_and_never_lies_below_what_was_tried() -> None:
    page = cascade_page(fitted(), "scans", PRICES)
    assert "ideal from 0.900 to 0.980" in page
