from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.measure import Verdict
from roadworthy.evaluate.load_test.timeline import Timeline
from roadworthy.evaluate.load_test.validity import Gates, omission


def timeline(
    n: int = 500,
    late: float = 0.0,
    took: float = 0.01,
    failed: int = 0,
    cpu: float = 0.2,
    scheduled: bool = True,
    stopped: str = "",
) -> Timeline:
    """`n` requests in ten seconds, each sent `late`, the first `failed` of them without an answer."""
    at = 10.0 * np.arange(n) / max(n, 1)
    done = at + late + took
    done[:failed] = np.nan
    failure = np.where(np.isnan(done), "Boom: no", "").astype(object)
    due = at if scheduled else np.full(n, np.nan)
    return Timeline(due, at + late, np.full(n, np.nan), done, done, failure, 10.0, stopped, cpu)


def failing(verdicts: tuple[Verdict, ...]) -> dict[str, str]:
    return {verdict.of: verdict.because for verdict in verdicts if verdict.decision == "fail"}


def test_a_run_as_it_should_be_passes_every_gate() -> None:
    verdicts = Gates()(timeline())
    assert {verdict.decision for verdict in verdicts} == {"pass"}
    gates = ["error_rate", "dispatch_lag", "client_cpu", "duration", "requests", "early_stopping"]
    assert [verdict.of for verdict in verdicts] == gates


@pytest.mark.parametrize(
    ("run", "gate", "because"),
    [
        (timeline(stopped="the server is gone"), "server", "the server is gone"),
        (timeline(failed=500), "error_rate", "500 of 500 requests failed, most often with 'Boom: no'"),
        (timeline(late=0.02), "dispatch_lag", "the generator lagged 20.0 ms at its p99 (allowed 10.0): lower the rate"),
        (timeline(cpu=0.95), "client_cpu", "the generator's thread was busy 95% of the time (allowed 90%)"),
        (timeline(n=458), "early_stopping", "p99 needs at least 459 requests, and 458 were sent: send 1 more"),
        (timeline(n=0), "requests", "no request was due"),
    ],
)
def test_each_fault_is_named_by_its_gate(run: Timeline, gate: str, because: str) -> None:
    found = failing(Gates()(run))
    assert list(found) == [gate]
    assert found[gate].startswith(because)


def test_duration_and_count_are_what_the_settings_ask_for() -> None:
    found = failing(Gates(least_seconds=600, least_requests=1000)(timeline()))
    assert found["duration"] == "the run lasted 10 s and must last 600 s: raise `seconds`"
    assert found["requests"] == "500 requests were sent, and at least 1,000 must be"


def test_a_slow_handler_allows_a_late_generator() -> None:
    """1 % of a median of 3 s is 30 ms."""
    assert failing(Gates()(timeline(late=0.02, took=3.0))) == {}


def test_failures_alone_do_not_make_a_run_invalid_unless_they_are_to() -> None:
    half = timeline(failed=250)
    assert failing(Gates()(half)) == {}
    assert list(failing(Gates(error_rate=0.1)(half))) == ["error_rate"]


def test_requests_over_a_bound_ask_for_more_requests() -> None:
    assert failing(Gates()(timeline(n=700), 1)) == {}
    assert (
        "p99 needs at least 838 requests with 2 beyond its bound"
        in failing(Gates()(timeline(n=700), 2))["early_stopping"]
    )


def test_a_simulated_clock_knows_no_cpu_time() -> None:
    verdict = next(v for v in Gates()(timeline(cpu=float("nan"))) if v.of == "client_cpu")
    assert verdict.decision == "wait"


def test_without_a_schedule_nobody_is_late() -> None:
    assert "dispatch_lag" not in [verdict.of for verdict in Gates()(timeline(scheduled=False))]


def test_only_a_closed_loop_omits() -> None:
    assert omission(timeline()) == ""
    told = omission(timeline(scheduled=False))
    assert told.startswith("closed loop: omits coordinated delays")
    assert "its longest gap is 20.0 ms against a p99 of 10.0 ms" in told


def test_the_longest_gap_is_held_against_the_percentile() -> None:
    """1,000 answers of 1 ms and one of 2 s: the p99 does not see it, a schedule would have."""
    took = np.full(1001, 0.001)
    took[500] = 2.0
    sent = np.concatenate([[0.0], np.cumsum(took)[:-1]])
    nothing = np.full(1001, np.nan)
    run = Timeline(nothing, sent, nothing, sent + took, sent + took, np.full(1001, "", dtype=object), 3.0)
    assert "its p99 is 1.0 ms, but for 2000.0 ms nothing was asked, in which about 2,000 requests" in omission(run)
