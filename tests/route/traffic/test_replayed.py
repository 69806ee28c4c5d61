from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console, RenderableType

from roadworthy.route.policies.routed import Routed
from roadworthy.route.traffic.replayed import Replayed, at_gain, replayed, request_of, rule_of
from roadworthy.route.traffic.traffic import Traffic, traffic_of
from roadworthy.route.traffic.traffic_text import replayed_text, watched_text
from roadworthy.route.traffic.watched import WatchedRouter, watched
from roadworthy.testing.two_models import Coin, TopicRouter, both, recorded, request

# The share of right answers on topics 0, 1 and 2; the strong model is right on 0.9 of all.
WEAK = [0.88, 0.6, 0.4]
GAINS = [0.02, 0.3, 0.5]


def traffic(n: int = 4000, weak: list[float] = WEAK, **settings: Any) -> Traffic:
    given: dict[str, Any] = {"usd": {"small": 1.0, "large": 10.0}, "audit": 0.1, "usd_per_day": 1e9, **settings}
    handler = Routed(**given).over(both(Coin(weak), Coin([0.9] * 3, "other_luck")), TopicRouter(GAINS, 0.4))
    rng = np.random.default_rng(4)
    asked = [request(f"r{k}", [int(rng.integers(0, 3))], rng, at=float(k)) for k in range(n)]
    return traffic_of(asyncio.run(recorded(handler, asked)), "small", "large")


def text_of(shown: RenderableType) -> str:
    console = Console(width=140, record=True, file=StringIO())
    console.print(shown)
    return console.export_text()


def test_a_lower_threshold_is_worth_more_and_costs_more() -> None:
    found = replayed(traffic(), at_gain(0.2), "0.2")
    better, dearer = found.against[0], found.against[3]
    assert found.strong_share.low <= 2 / 3 <= found.strong_share.high
    assert better.low <= (0.9 - 0.6) / 3 <= better.high
    assert dearer.low <= 9.0 / 3 <= dearer.high
    assert found.verdict.decision == "pass"
    assert {one.where for one in found.segments} == {"topic 0", "topic 1", "topic 2"}


def test_a_higher_threshold_is_worth_less_and_fails() -> None:
    rows = traffic()
    found = replayed(rows, at_gain({"topic 2": 0.6, "": 0.4}), "none")
    assert found.strong_share.value == 0.0
    assert found.verdict.decision == "fail"
    assert found.against[2].value == 0.0  # it is the weak model alone


def test_without_comparisons_a_replay_waits() -> None:
    found = replayed(traffic(600, audit=0.0), at_gain(0.2), "0.2")
    assert found.against[0].conditions["unsupported"] == pytest.approx(1 / 3, abs=0.08)
    assert found.verdict.decision == "wait"


def test_a_router_is_replayed_as_it_would_be_asked() -> None:
    rows = traffic(300)
    assert (rule_of(TopicRouter(GAINS, 0.4))(rows) == rows.wanted).all()
    assert rule_of(TopicRouter([0.0]))(rows).tolist() == [inputs["topic"] >= 1 for inputs in rows.inputs]


def test_a_recorded_row_becomes_a_request_again() -> None:
    asked = request_of({"prompt": "who?", "count": 3, "flag": True, "vector": np.array([1.0, 2.0]), "gone": None})
    assert {name: (one.datatype, one.shape) for name, one in asked.inputs.items()} == {
        "prompt": ("BYTES", (1, 1)),
        "count": ("INT64", (1, 1)),
        "flag": ("BOOL", (1, 1)),
        "vector": ("FP32", (1, 2)),
        "gone": ("FP32", (1, 1)),
    }


def test_a_router_that_keeps_its_plan_is_not_alarmed_about() -> None:
    found = watched(traffic(), 1 / 3, {"topic 0": 0.02, "topic 2": 0.98}, planned_losses={"": (0.02 + 0.3) / 2})
    assert [chart.where for chart in found.charts] == ["", "topic 0", "topic 2", ""]
    assert {chart.verdict.decision for chart in found.charts} <= {"pass", "wait"}
    worst = found.worst_over_mean
    assert worst.where == "topic 1"
    assert worst.low <= 0.3 / (0.32 / 3) <= worst.high


def test_a_segment_that_pays_for_the_average_is_named() -> None:
    rows = traffic(weak=[0.88, 0.2, 0.4])
    found = watched(rows, 1 / 3, planned_losses={"": 0.16})
    by_name = {one.segment: one for one in found.segments}
    assert by_name["topic 1"].loss.low > 0.5
    assert by_name["topic 0"].loss.high < 0.1
    assert by_name["topic 2"].strong_share.value == 1.0
    assert found.charts[1].verdict.decision == "fail"
    assert "lose 0.3" in found.charts[1].verdict.because


def test_reports_go_to_json_and_back_and_read_as_text() -> None:
    rows = traffic(500)
    one, other = (
        replayed(rows, at_gain(0.2), "lower"),
        watched(rows, 1 / 3, planned_losses={"": 0.16}, stretch_seconds=10.0),
    )
    assert msgspec.json.decode(msgspec.json.encode(one), type=Replayed) == one
    assert msgspec.json.decode(msgspec.json.encode(other), type=WatchedRouter) == other
    assert "lower over 500 recorded rows" in text_of(replayed_text(one))
    assert "against the strong model alone" in text_of(watched_text(other))
