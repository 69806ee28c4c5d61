from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.rollout.statistics.rates import Hits, NoMoreOften

RULE = NoMoreOften("error_rate", "failed", alpha=0.01, margin=0.02, confidence=0.95, least=50)


def test_evidence_of_one_over_alpha_fails_however_few_the_requests() -> None:
    verdict = RULE(Hits(0, 20, 6, 20, math.log(50), math.log(101)))
    assert verdict.decision == "fail"
    assert verdict.because.endswith("the evidence that the candidate is worse is 101 to 1, and 100 to 1 is enough")
    assert verdict.evidence[-1].value == pytest.approx(101)
    assert verdict.evidence[-1].conditions == pytest.approx({"enough": 100, "now": 50})


def test_no_requests_are_waited_for_with_open_bounds() -> None:
    verdict = RULE(Hits(0, 0, 0, 0, 0.0, 0.0))
    assert verdict.decision == "wait"
    assert "no request of the candidate failed" in verdict.because
    assert math.isnan(verdict.evidence[0].value)


def test_the_excess_must_come_under_the_margin() -> None:
    few, many = RULE(Hits(5, 500, 1, 100, 0.0, 0.0)), RULE(Hits(50, 5000, 50, 5000, 0.0, 0.0))
    assert (few.decision, many.decision) == ("wait", "pass")
    assert "which must come under 2" in few.because
    assert many.evidence[2].low < 0 < many.evidence[2].high <= 0.02
    assert many.evidence[2].conditions == {"confidence": 0.95, "allowed": 0.02}


def test_evidence_beyond_a_million_is_written_as_a_power() -> None:
    assert "10^30 to 1" in RULE(Hits(0, 900, 90, 100, 69.0, 69.0)).because


def test_requests_that_do_not_count_keep_their_place_in_the_evidence() -> None:
    candidate, hit = np.arange(400) % 4 == 0, np.zeros(400, bool)
    late = Hits.of_split(candidate, hit, counted=np.arange(400) >= 200)
    assert (late.n_control, late.n_candidate) == (150, 50)
    assert late.log_evidence == pytest.approx(0)
