from __future__ import annotations

import msgspec
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.fits import CascadeFit, Level, Point, Target


@pytest.mark.parametrize("stated", [{}, {"precision": 0.9}, {"recall": 0.9, "accuracy": 0.9}])
def test_a_target_states_one_thing(stated):
    with pytest.raises(ValueError, match="precision and recall, or accuracy, or agreement"):
        Target(**stated)


@pytest.mark.parametrize("stated", [{"accuracy": 1.0}, {"accuracy": 0.0}, {"accuracy": 0.9, "delta": 0.0}])
def test_a_certain_target_is_refused(stated):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Target(**stated)


def test_the_wrong_kind_of_target_is_named():
    with pytest.raises(BadData, match=r"need a target of precision and recall, got accuracy 0\.9"):
        Target(accuracy=0.9).pair()
    with pytest.raises(BadData, match="need a target of accuracy or agreement"):
        Target(precision=0.9, recall=0.8).share()


def test_a_fit_goes_to_json_and_back():
    fit = CascadeFit(
        Target(precision=0.9, recall=0.8),
        "traffic",
        (Level(0.2, None, name="small"), Level(by_class=(0.5, None))),
        100,
        100,
        Measurement("delegation", 0.2, 100, 0.1, 0.3),
        "words",
        curve=(Point(0.2, (0.9, 0.8)),),
    )
    assert msgspec.json.decode(msgspec.json.encode(fit), type=CascadeFit) == fit
    assert fit.certified


def test_a_shut_cascade_sends_every_row_on_and_says_why():
    fit = CascadeFit(
        Target(accuracy=0.9), "batch", (Level(keep_from=0.5, name="a"),), 9, 9, Measurement("delegation"), ""
    )
    shut = fit.shut("drift")
    assert not shut.certified
    assert shut.delegation.value == 1.0
    assert shut.levels[0] == Level(name="a")
    assert "drift" in shut.certificate
