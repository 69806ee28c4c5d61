from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.reports.compare import Comparison, compare, paired
from roadworthy.evaluate.reports.report import GapReport
from roadworthy.testing.reports import rich_report


def model(accuracy: float = 0.93, p99_ms: float = 15.0, usd: float = 0.0002, decision: Any = "pass") -> GapReport:
    report = rich_report(accuracy=accuracy, p99_ms=p99_ms)
    verdict = Verdict(decision, "", "accuracy", report.production[:1])
    price = Measurement("usd_per_1k", usd, 5, 0.95 * usd, 1.05 * usd, "usd")
    return msgspec.structs.replace(report, reproductions=(), verdicts=(verdict,), cost=price, load=report.load)


def names(found: Comparison) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return found.meets, found.best, found.cheapest


def test_the_cheapest_of_those_that_meet_everything_is_named() -> None:
    found = compare({"a": model(usd=0.0004), "b": model(usd=0.0002), "c": model(usd=0.00001, decision="fail")})
    assert found.meets == ("a", "b")
    assert found.cheapest == ("b",)
    assert found.because == "0.0002 US dollars per 1,000 requests, of 2 that meet every requirement"
    assert found.decision == "pass"


def test_a_tie_is_a_tie() -> None:
    found = compare({"a": model(usd=0.0002), "b": model(usd=0.00021)})
    assert names(found) == (("a", "b"), ("a", "b"), ("a", "b"))
    assert "no difference beyond noise" in found.because
    assert found.dominated == ()


@pytest.mark.parametrize(("other", "decision"), [("fail", "fail"), ("wait", "wait")])
def test_nobody_is_the_cheapest_where_nobody_meets_everything(other: str, decision: str) -> None:
    found = compare({"a": model(decision="fail"), "b": model(decision=other)})
    assert (found.meets, found.cheapest, found.decision) == ((), (), decision)
    assert found.because.startswith("no model meets every requirement")
    assert ("b may, once there is more data" in found.because) == (other == "wait")


def test_without_a_price_nobody_is_the_cheapest() -> None:
    free = msgspec.structs.replace(model(), cost=None)
    found = compare({"a": free, "b": free})
    assert found.cheapest == ()
    assert "cost.usd_per_hour" in found.because


def test_overlapping_intervals_name_no_winner_and_distant_ones_do() -> None:
    assert compare({"a": model(0.93), "b": model(0.92)}).best == ("a", "b")
    assert compare({"a": model(0.93), "b": model(0.85)}).best == ("a",)


def answers(n: int = 3000) -> tuple[Any, Mapping[str, Any]]:
    """Labels, and three models: the second is right wherever the first is and on 2 % more; the third is its twin."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, n).astype(float)
    wrong = rng.permutation(n)[: n // 5]
    first, second = labels.copy(), labels.copy()
    first[wrong] = 1 - labels[wrong]
    second[wrong[n // 50 :]] = 1 - labels[wrong[n // 50 :]]
    return labels, {"a": first, "b": second, "c": second.copy()}


def test_pairs_see_what_intervals_side_by_side_cannot() -> None:
    labels, given = answers()
    differences = paired(Accuracy(), labels, given, np.random.default_rng(0), "binary")
    assert [(d.one, d.other) for d in differences] == [("a", "b"), ("a", "c"), ("b", "c")]
    reports = {name: model(float((a == labels).mean()) + 0.04) for name, a in given.items()}
    assert compare(reports).best == ("a", "b", "c")
    found = compare(reports, differences)
    assert found.best == ("b", "c")
    assert found.difference("a", "b").value == pytest.approx(0.02)
    assert found.difference("b", "a").high == pytest.approx(-found.difference("a", "b").low)
    assert found.difference("a", "nobody").n == 0


def test_intervals_of_pairs_hold_for_all_pairs_at_once() -> None:
    labels, given = answers()
    two = paired(Auc(), labels, {name: given[name] for name in "ab"}, np.random.default_rng(0))
    three = paired(Auc(), labels, given, np.random.default_rng(0))
    assert three[0].change.low < two[0].change.low
    assert three[0].change.conditions["confidence"] == pytest.approx(1 - 0.05 / 3)


def test_rows_without_an_answer_of_one_model_count_for_no_pair_with_it() -> None:
    labels, given = answers(100)
    silent = {**given, "b": np.where(np.arange(100) < 40, np.nan, given["b"])}
    differences = paired(Accuracy(), labels, silent, np.random.default_rng(0))
    assert [d.change.n for d in differences] == [60, 100, 60]


def test_a_model_that_is_beaten_everywhere_is_dominated() -> None:
    found = compare({"slow": model(0.85, 30.0, 0.0004), "fast": model(0.93, 10.0, 0.0001)})
    [beaten] = found.dominated
    assert (beaten.name, beaten.by, beaten.better_in) == ("slow", "fast", ("accuracy", "p99_ms", "usd_per_1k"))


def test_a_model_that_is_better_in_one_thing_is_not_dominated() -> None:
    assert compare({"dear": model(0.93, usd=0.0004), "cheap": model(0.85, usd=0.0001)}).dominated == ()


def test_a_model_of_which_something_was_not_measured_beats_nobody() -> None:
    unknown = msgspec.structs.replace(model(0.95, usd=0.0001), memory=None)
    assert compare({"a": model(0.85, usd=0.0004), "b": unknown}).dominated == ()


def test_a_model_that_breaks_a_requirement_beats_none_that_meets_it() -> None:
    assert compare({"a": model(0.85), "b": model(0.95, decision="fail")}).dominated == ()


def test_the_latencies_of_an_invalid_run_do_not_count() -> None:
    report = model(p99_ms=1.0)
    assert report.load is not None
    bad = msgspec.structs.replace(report, load=msgspec.structs.replace(report.load, valid=False, because="it lagged"))
    found = compare({"a": bad, "b": model(p99_ms=15.0)})
    assert (found.contenders[0].find("p99_ms").n, found.contenders[0].because) == (0, "it lagged")
    assert found.dominated == ()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"name": "other"}, "different applications: 'Support intents' in the report of 'a', 'other' in that of 'b'"),
        ({"task": "binary"}, "different tasks"),
        ({"headline": "log_loss"}, "different headline metrics"),
        ({"settings": {"lab": {"digest": "4e" * 32}, "production": {"digest": "00"}}}, "different production data"),
        ({"verdicts": ()}, "different requirements"),
    ],
)
def test_reports_on_different_things_are_refused(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(BadData, match=what):
        compare({"a": model(), "b": msgspec.structs.replace(model(), **fields)})


def test_one_report_is_no_comparison() -> None:
    with pytest.raises(BadData, match="two reports or more, got 1"):
        compare({"a": model()})


def test_a_comparison_is_plain_json() -> None:
    found = compare({"a": model(), "b": model()})
    assert msgspec.json.decode(msgspec.json.encode(found))["best"] == ["a", "b"]
