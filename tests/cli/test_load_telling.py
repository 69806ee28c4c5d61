"""What a person reads after a load test fits a terminal, and says what is open, infinite or invalid."""

from __future__ import annotations

import io
import math

import pytest
from msgspec.structs import replace
from rich.console import Console

from roadworthy.cli.load_telling import told
from roadworthy.cli.loading import Loaded
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.evaluate.load_test.load import LoadRun
from roadworthy.evaluate.load_test.search import Probe, Search

MEASURED = (
    Measurement("p50_ms", 12.0, 500, 11.0, 13.0, "ms"),
    Measurement("p90_ms", 15.0, 500, 14.0, 16.0, "ms"),
    Measurement("p99_ms", math.inf, 500, 20.0, math.inf, "ms"),
    Measurement("p999_ms", math.inf, 500, math.inf, math.inf, "ms"),
    Measurement("error_rate", 0.02, 500, 0.01, 0.04),
    Measurement("throughput_rps", 50.0, 500, 45.0, 55.0, "rps"),
    Measurement("dispatch_lag_p99_ms", 2.0, 500, unit="ms"),
)
RUN = LoadRun(50.0, 10.0, MEASURED, True, "500 arrivals", {f"Lost: {i}": 1 for i in range(7)}, warnings=("careful",))
STREAMS = tuple(
    Measurement(f"{name}_p{share}{since}_ms", 9.0, 500, 8.0, 10.0, "ms")
    for name in ("ttft", "itl")
    for since in ("", "_from_send")
    for share in (50, 95, 99)
)


def shown(loaded: Loaded) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(told(loaded))
    return out.getvalue()


def test_percentiles_stand_side_by_side_with_their_intervals():
    text = shown(Loaded("http://x/predict", "plain", "pass", "fine", 0, RUN))
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if "p50" in line)
    assert lines[head].split() == ["p50", "p99", "p999", "n"]
    assert lines[head + 1].split() == ["latency", "(ms)", "12", "infinite", "infinite", "500"]
    assert lines[head + 2].split() == ["[11,", "13]", "[20,", "open]", "[open,", "open]"]
    assert "throughput_rps" in text
    assert "dispatch_lag_p99_ms" in text


def test_streams_get_a_row_each():
    text = shown(Loaded("http://x", "openai", "pass", "fine", 0, RUN, STREAMS))
    assert "ttft from send (ms)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_commonest_failures_are_listed_and_the_warnings():
    text = shown(Loaded("http://x", "plain", "pass", "fine", 0, RUN))
    assert text.count("times Lost") == 5
    assert "and 2 other reasons" in text
    assert "warning: careful" in text


@pytest.mark.parametrize(
    ("valid", "decision", "word"),
    [(True, "pass", "PASS"), (True, "wait", "NOT YET"), (False, "wait", "INVALID"), (False, "fail", "FAIL")],
)
def test_the_first_word_is_the_verdict(valid, decision, word):
    verdicts = (Verdict(decision, "p99_ms because"),)
    text = shown(Loaded("http://x", "plain", decision, "", 0, replace(RUN, valid=valid), verdicts=verdicts))
    assert text.startswith(f"{word}  http://x")
    assert f"{decision}: p99_ms because" in text


def test_a_search_shows_each_rate_in_order():
    probes = (
        Probe(100.0, 10.0, "misses", "too slow", 80.0, ()),
        Probe(50.0, 10.0, "meets", "every requirement is met", 50.0, ()),
    )
    best, knee = Measurement("max_rate_rps", 50.0, 3, 49.0, 51.0, "rps"), Measurement("knee_rps", 60.0, 5, unit="rps")
    text = shown(Loaded("http://x", "plain", "pass", "", 0, search=Search(best, "too slow", knee, probes)))
    assert text.index("every requirement is met") < text.index("too slow")
    assert "largest rate within the SLO: max_rate_rps 50 rps [49, 51] (n=3)" in text
    assert "the throughput bends at knee_rps 60 rps" in text
