from __future__ import annotations

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.spec import Rollout, Stage
from roadworthy.rollout.rollout_state import RolloutState, decode, encode

STATE = RolloutState(
    id="r1",
    deployment="flights",
    candidate="b" * 64,
    control="a" * 64,
    plan=Rollout(stages=(Stage("shadow", hours=2), Stage("canary", 0.1, 24)), gates=("errors", {"latency": {}})),
    started_at=10,
    stage_since=20,
    by="anna",
    stage=1,
    verdicts=(Verdict("wait", "more data is needed", "errors", (Measurement("error_rate", 0.01, 100, 0.0),)),),
)


def test_a_rollout_comes_back_from_its_row_as_it_was() -> None:
    assert decode(encode(STATE)) == STATE


def test_equal_states_are_equal_text_however_their_numbers_were_written() -> None:
    assert encode(decode(encode(STATE))) == encode(STATE)


def test_the_step_is_the_stage_it_is_in() -> None:
    assert STATE.step == Stage("canary", 0.1, 24)
