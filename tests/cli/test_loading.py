"""A load test is what was asked for, judged by its SLOs, and never a number where it is invalid."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from roadworthy.app.endpoints.detect import Told
from roadworthy.app.endpoints.refusals import Failed
from roadworthy.cli import loading
from roadworthy.cli.loading import Loaded, Plan, known_metrics, loaded, requirement
from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.measure import Requirement
from roadworthy.evaluate.arrivals.constant import Constant
from roadworthy.evaluate.arrivals.replay import Replay
from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Fault, Law, Script


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "row.json"
    file.write_text(json.dumps({"rows": [{"x": 1}]}))
    return file


def load(script: Script, path: str = "/predict", **plan) -> tuple[Loaded, MockEndpoint, list[str]]:
    said: list[str] = []
    with MockEndpoint(script) as mock:
        found = asyncio.run(loaded(Plan(Told(mock.url + path, stream=plan.pop("stream", True)), **plan), said.append))
    return found, mock, said


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("p99_ms<=200", Requirement("p99_ms", None, 200.0, unit="ms")),
        (" throughput_rps >= 1e2 ", Requirement("throughput_rps", 100.0, None, unit="rps")),
        ("ttft_p95_ms<300", Requirement("ttft_p95_ms", None, 300.0, unit="ms")),
        ("error_rate<=0.01", Requirement("error_rate", None, 0.01)),
    ],
)
def test_an_slo_is_a_requirement_in_the_unit_of_what_it_bounds(text, made):
    assert requirement(text) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p99_ms", "such as 'p99_ms<=200'"),
        ("p99_ms<=fast", "such as 'p99_ms<=200'"),
        ("p99_ms<=1e", "such as 'p99_ms<=200'"),
        ("p98_ms<=2", "did you mean 'p95_ms'|did you mean 'p9"),
    ],
)
def test_an_slo_that_is_none_is_refused(text, words):
    with pytest.raises(SpecError, match=words):
        requirement(text)


def test_requests_go_out_by_the_schedule_with_ids_that_no_other_test_uses(body):
    found, mock, _ = load(Script(), body=body, rate=50.0, seconds=1.0, arrivals=Constant())
    assert (found.decision, found.api, found.run.valid) == ("pass", "plain", True)
    # One before the test, to see that the server answers at all.
    assert len(mock.seen) == 51
    assert found.streams == ()


@pytest.mark.parametrize(
    ("slo", "decision"), [("p50_ms<=10000", "pass"), ("p50_ms<=1", "fail"), ("p95_ms<=10000", "wait")]
)
def test_the_decision_is_that_of_the_slos_and_few_requests_bear_no_high_percentile(body, slo, decision):
    script, slos = Script(service=Law(seconds=0.02)), (requirement(slo),)
    found, *_ = load(script, body=body, rate=30.0, seconds=1.0, slos=slos, arrivals=Constant())
    assert found.decision == decision
    assert ("INVALID: p95 needs at least 90 requests" in found.because) == (decision == "wait")


def test_streams_are_measured_and_a_whole_answer_too():
    script = Script(service=Law(seconds=0.01), reasoning=1, gap=Law(seconds=0.01))
    streamed, *_ = load(script, "/v1", rate=30.0, seconds=1.0)
    assert streamed.api == "openai"
    known = known_metrics()
    assert {one.name: one.unit for one in streamed.streams}.items() <= known.items()
    assert {"p99_ms": "ms", "throughput_rps": "rps"}.items() <= known.items()
    by_name = {one.name: one for one in streamed.streams}
    assert by_name["ttft_p50_ms"].value < by_name["ttfvt_p50_ms"].value < by_name["e2e_p50_ms"].value
    assert by_name["e2e_p50_ms"].value == pytest.approx(streamed.run.find("p50_ms").value, rel=0.2)
    whole, *_ = load(script, "/v1", rate=30.0, seconds=1.0, stream=False)
    assert {one.name: one for one in whole.streams}["itl_p50_ms"].n == 0


def test_without_a_rate_one_is_chosen_and_said(body, monkeypatch):
    monkeypatch.setattr(loading, "TRY_SECONDS", 0.5)
    found, _, said = load(Script(servers=1, service=Law(seconds=0.05)), body=body, seconds=1.0)
    # One server at 20 requests a second: half of that is asked.
    assert 3 <= found.run.rate <= 10.5
    assert any("no --rate" in line for line in said)


def test_a_trace_is_replayed_at_its_own_rate(tmp_path):
    times = tmp_path / "trace.txt"
    times.write_text("\n".join(str(at / 20) for at in range(40)))
    found, mock, _ = load(Script(), "/v1", arrivals=Replay(str(times)), seconds=1.0)
    assert found.run.rate == pytest.approx(20.0)
    assert len(mock.seen) == pytest.approx(21, abs=1)


def test_callers_in_turn_are_flagged_as_a_closed_loop(body):
    found, *_ = load(Script(service=Law(seconds=0.01)), body=body, concurrency=3, seconds=1.0)
    assert found.run.rate == 0
    assert any("closed loop" in warning for warning in found.run.warnings)
    assert found.run.find("p50_ms").conditions["since"] == "sent"


def test_offline_asks_everything_at_once(body):
    # Slow enough for the generator to be idle: else its own speed is measured, and the run says so.
    script = Script(servers=1, service=Law(seconds=0.005))
    found, mock, _ = load(script, body=body, scenario="offline", requests=200)
    assert (found.run.scenario, found.run.valid, len(mock.seen)) == ("offline", True, 201)
    assert found.run.find("offline_samples_per_second").n == 200


def test_a_single_stream_has_its_own_number(body):
    found, *_ = load(Script(), body=body, scenario="single_stream", seconds=0.5)
    assert found.run.find("single_stream_p90_ms").n >= 64


def test_multi_stream_wants_whole_answers():
    with pytest.raises(BadRequest, match="give --no-stream"):
        load(Script(), "/v1", scenario="multi_stream", seconds=0.1)


def test_the_largest_rate_is_looked_for_and_held_against_a_bound_on_itself(body):
    """One server at 4 ms: 250 a second. How exact the search is its own tests know; here it is short."""
    slos = (requirement("p50_ms<=50"), requirement("max_rate_rps>=2000"))
    script = Script(servers=1, service=Law(seconds=0.004))
    found, *_ = load(script, body=body, find=True, slos=slos, rate=230.0, seconds=0.25, repeats=1)
    assert 50 <= found.search.max_rate.value <= 600
    assert found.verdicts[0].of == "max_rate_rps"
    assert found.decision in ("wait", "fail")
    assert found.run is None


def test_a_metric_that_this_test_does_not_have_waits(body):
    found, *_ = load(Script(), body=body, rate=20.0, seconds=1.0, slos=(requirement("ttft_p50_ms<=1"),))
    assert found.decision == "wait"
    assert "does not measure it" in found.because


def test_a_server_that_always_fails_ends_the_test_before_it_begins(body):
    with pytest.raises(Failed, match="answered 500"):
        load(Script(faults=(Fault(500, 1.0),)), body=body, rate=10.0, seconds=1.0)


def test_failures_are_counted_with_their_reasons_and_break_what_they_break(body):
    script = Script(seed=1, faults=(Fault(503, 0.3),))
    found, *_ = load(script, body=body, rate=60.0, seconds=1.0, slos=(requirement("error_rate<=0.01"),))
    assert found.decision == "fail"
    (reason,) = found.run.failures
    assert reason.startswith("Overloaded: http://127.0.0.1:")
