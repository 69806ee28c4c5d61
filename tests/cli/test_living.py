"""What a life comes to: the frozen model beside the managed one, on rows that both answered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rich.console import Console

from roadworthy.cli.caretaker import Trial
from roadworthy.cli.living import ended_as_expected, headline, outcome_of, stage
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.spec import Field, Rollout, Scenario, Signature, Stage
from roadworthy.rollout.rollout_state import RolloutState

RELEASE = Release("r", (Artifact("model", "a" * 64, 1),), Signature({"x": Field()}, {"y": Field()}))
PLAN = Rollout((Stage("shadow", hours=1.0), Stage("canary", 0.5, 1.0)))


def trial(status: str, stage: int, expect: str = "") -> Trial:
    ended = RolloutState("id", "clinic", "c" * 64, "s" * 64, PLAN, 0.0, 0.0, "test", status=status, stage=stage)
    return Trial(RELEASE, 0.0, Scenario("s", 1.0, expect=expect), ended)


@pytest.mark.parametrize(
    ("status", "stage", "words"),
    [
        ("promoted", 1, "promoted"),
        ("rolled_back", 0, "stopped in shadow"),
        ("rolled_back", 1, "rolled back in canary"),
    ],
)
def test_what_became_of_a_candidate_is_told_in_words(status, stage, words):
    assert outcome_of(trial(status, stage)) == words
    assert ended_as_expected(trial(status, stage, words))
    assert not ended_as_expected(trial(status, stage, "something else"))


def test_a_candidate_that_is_still_tried_is_running_and_not_as_expected():
    running = Trial(RELEASE, 0.0, Scenario("s", 1.0, expect="promoted"))
    assert outcome_of(running) == "running"
    assert not ended_as_expected(running)


def test_a_candidate_of_which_nothing_is_expected_ended_as_it_should():
    assert ended_as_expected(Trial(RELEASE, 0.0))
    assert ended_as_expected(trial("rolled_back", 0))


def test_the_headline_is_the_gain_on_rows_that_both_answered():
    rng = np.random.default_rng(0)
    truth = (rng.random(2000) < 0.5).astype(np.float64)
    better, worse = 0.1 + 0.8 * truth, 0.4 + 0.2 * truth
    better[:100] = math.nan
    gain, ece, auc = headline(truth, worse, better)
    assert (gain.n, auc.n) == (1900, 1900)
    assert gain.value == pytest.approx(math.log(0.9 / 0.6))
    assert gain.low <= gain.value <= gain.high
    assert ece.value == pytest.approx(0.1)
    assert auc.low <= auc.value <= auc.high


def test_without_outcomes_there_is_nothing_to_tell():
    gain, _, _ = headline(None, np.full(5, 0.5), np.full(5, 0.5))
    assert gain.n == 0


def test_a_stage_says_that_it_is_done(capsys):
    with stage(Console(), "a step"):
        pass
    assert "a step" in capsys.readouterr().out


def test_the_months_of_a_life_add_up_to_its_total(life):
    _, told = life
    total = told.body["total"]["managed"][0]["n"]
    assert sum(month["managed"][0]["n"] for month in told.body["months"]) <= total
    assert total > 800
    assert told.body["total"]["frozen"][0]["n"] == total
