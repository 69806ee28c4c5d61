"""`roadworthy load` says what users would wait, in text and in JSON, and exits by the verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from roadworthy.testing.mock_endpoint import MockEndpoint
from roadworthy.testing.mock_script import Fault, Law, Script


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    with MockEndpoint(Script(service=Law(seconds=0.01))) as running:
        yield running


@pytest.fixture
def row(tmp_path):
    file = tmp_path / "row.json"
    file.write_text('{"rows": [{"x": 1}]}')
    return file


def test_a_good_server_passes(call, mock, row):
    told = call("load", f"{mock.url}/predict", "--body", row, "--rate", 40, "--seconds", 1, "--slo", "p50_ms<=1000")
    assert told.code == 0, told.err
    assert told.out.startswith("PASS  ")
    assert "latency (ms)" in told.out
    assert "Latency runs from the scheduled time" in told.out


def test_a_slow_one_fails_and_few_requests_may_bear_a_fail_but_no_pass(call, mock, row):
    words = ("load", f"{mock.url}/predict", "--body", row, "--rate", 40, "--seconds", 1)
    slow = call(*words, "--slo", "p99_ms<=1")
    assert (slow.code, slow.out.split()[0]) == (1, "FAIL")
    short = call(*words, "--slo", "p99_ms<=1000")
    assert short.code == 3
    assert short.out.startswith("INVALID  ")
    assert "p99 needs at least 459 requests" in short.out


def test_the_json_has_every_number_with_its_interval(call, mock):
    told = call("load", mock.url, "--rate", 30, "--seconds", 1, "--json")
    assert told.code == 0, told.err
    p50 = next(one for one in told.body["run"]["measured"] if one["name"] == "p50_ms")
    assert p50["low"] <= p50["value"] <= p50["high"]
    assert "ttfvt_p50_ms" in {one["name"] for one in told.body["streams"]}
    assert told.body["api"] == "openai"


def test_a_closed_loop_is_flagged(call, mock, row):
    told = call("load", f"{mock.url}/predict", "--body", row, "--concurrency", 2, "--seconds", 1)
    assert told.code == 0
    assert "warning: closed loop" in told.out
    assert "nothing was scheduled" in told.out


def test_failures_are_shown_with_how_often(call, row):
    with MockEndpoint(Script(seed=3, faults=(Fault("reset", 0.2), Fault(429, 0.2)))) as mock:
        told = call("load", f"{mock.url}/predict", "--body", row, "--rate", 60, "--seconds", 1)
    assert "times Lost: " in told.out
    assert "answered 429" in told.out
    assert "infinite" in told.out


WRONG = [
    (("--rate", "0"), "--rate must be above 0"),
    (("--seconds", "-1"), "--seconds must be above 0"),
    (("--concurrency", "-1"), "--concurrency must be 0 or more"),
    (("--concurrency", "2", "--rate", "5"), "have no schedule"),
    (("--concurrency", "2", "--scenario", "offline"), "two ways to ask"),
    (("--arrivals", "poisson", "--trace", "x"), "both say when to send"),
    (("--find",), "give an SLO"),
    (("--header", "nothing"), "a header is 'NAME: VALUE'"),
    (("--slo", "p99<=1"), "did you mean 'p99_ms'"),
    (("--arrivals", "poison"), "did you mean 'poisson'"),
    (("--trace", "/no/such/file"), "no trace at"),
    (("--body", "/no/such/file"), "cannot be read"),
    ((), "nobody listens at http://127.0.0.1:1"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_use_is_a_sentence_and_exit_code_2(call, row, words, said):
    told = call("load", "http://127.0.0.1:1/predict", *(() if "--body" in words else ("--body", row)), *words)
    assert told.code == 2
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def test_a_server_that_dies_in_mid_run_is_told_and_gives_no_number(call, row):
    command = [sys.executable, "-m", "roadworthy.testing.mock_endpoint", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {process.pid}"])
        told = call("load", f"{url}/predict", "--body", row, "--rate", 50, "--seconds", 20, "--json")
        killer.wait()
    assert told.code == 3
    assert "the server is gone" in told.body["because"]
    p50 = next(one for one in told.body["run"]["measured"] if one["name"] == "p50_ms")
    assert "value" not in p50
    assert json.dumps(told.body)
