from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import StringIO
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from roadworthy.core.charges import chances_told
from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.wire import Step
from roadworthy.cost.bills import bills
from roadworthy.cost.ledger import Ledger, ledger, right_by
from roadworthy.cost.ledger_text import ledger_text
from roadworthy.route.policies.routed import Routed
from roadworthy.testing.two_models import Coin, TopicRouter, both, recorded, request

MEMBERS = ("small", "large")


def row(id: str, *path: Step, usd: float | None = None, at: float = 0.0, **more: Any) -> Record:
    paid = sum(step.usd or 0.0 for step in path) if usd is None else usd
    return Record(id, at, "r", "stable", {}, {"probability": 0.9}, path=path, usd=paid, **more)


def tried(id: str, raised: bool, rng: np.random.Generator, **more: Any) -> Record:
    """A cheap try at 0.4, a verifier at 0.03 and a router at 0.01, and a dear call at 1 where it went on."""
    path = [Step("router", "small answers first", 0.01), Step("small", "asked", 0.4), Step("verifier", "", 0.03)]
    if rng.random() < 0.05:
        path.insert(1, Step("small", "failed: late", 0.4))
    return row(id, *path, *([Step("large", "verifier 0.2 below 0.5", 1.0)] if raised else []), **more)


def planted(share: float, n: int = 2000, label: float | None = None) -> list[Record]:
    rng = np.random.default_rng(5)
    return [tried(f"r{k}", bool(rng.random() < share), rng, at=float(k), label=label) for k in range(n)]


def routed(n: int = 1500, **settings: Any) -> list[Record]:
    given: dict[str, Any] = {"usd": {"small": 1.0, "large": 10.0}, "usd_per_day": 1e9, **settings}
    handler = Routed(**given).over(both(Coin([0.9, 0.3]), Coin([0.95, 0.9], "other_luck")), TopicRouter([0.05, 0.6]))
    rng = np.random.default_rng(3)
    asked = [request(f"r{k}", rng.integers(0, 2, 1 + k % 3).tolist(), rng, at=float(k)) for k in range(n)]
    return asyncio.run(recorded(handler, asked))


def test_a_planted_router_that_escalates_60_percent_where_30_were_planned_is_a_net_loss() -> None:
    kept, broken = (ledger(planted(share), MEMBERS, planned_share=0.3) for share in (0.3, 0.6))
    assert kept.verdict.decision == "pass"
    assert kept.verdict.because.startswith("cheaper than large alone by 232.3 usd per 1,000 rows")
    assert broken.verdict.decision == "fail"
    assert broken.verdict.because.startswith("net loss: large alone would have been cheaper by 6")
    assert "went to large where 30.0% was planned, and it pays up to 53.9%" in broken.verdict.because
    # A row costs 0.01 + 0.4 * 1.05 + 0.03, and 1 more where it goes on: that is 1 at a share of 0.54.
    even = broken.of("break_even_share")
    assert even.value == pytest.approx(0.54, abs=0.01)
    assert even.low <= 0.54 <= even.high


def test_near_the_break_even_share_more_rows_are_needed() -> None:
    assert ledger(planted(0.54, 200), MEMBERS).verdict.decision == "wait"


def test_every_call_is_on_a_line_and_the_lines_add_up() -> None:
    found = ledger(planted(0.3), MEMBERS)
    lines = {(line.at, line.purpose): line for line in found.lines}
    assert set(lines) == {
        ("large", "answer"),
        ("small", "answer"),
        ("small", "tried"),
        ("small", "failed"),
        ("verifier", "verifier"),
        ("router", "router"),
    }
    assert lines["small", "answer"].calls + lines["small", "tried"].calls == 2000
    assert lines["small", "tried"].calls == lines["large", "answer"].calls
    assert found.retries == lines["small", "failed"].calls
    assert sum(line.usd for line in found.lines) == pytest.approx(found.usd)


def test_a_resolved_request_is_answered_and_where_labels_exist_right() -> None:
    steps = (Step("large", "", 3.0),)
    rows = [
        row("a", *steps, label=1.0),
        row("b", *steps, label=0.0),
        replace(row("c", *steps, usd=0.0), error="gone"),
        row("d", *steps),
    ]
    found = ledger(rows, MEMBERS, right_by())
    assert found.failed == 1
    assert found.of("usd_per_request").value == pytest.approx((3 + 3 + 0 + 3) / 4)
    assert found.of("usd_per_answered").value == pytest.approx(9 / 3)
    assert found.of("usd_per_right").value == pytest.approx(9 / 4 / (1 / 2))


def test_a_request_of_many_rows_is_resolved_when_all_are() -> None:
    rows = [row("a.0", Step("large", "", 1.0), label=1.0), row("a.1", Step("large", "", 1.0), label=0.0)]
    rows += [row("b.0", Step("large", "", 1.0), label=1.0), row("b.1", Step("large", "", 1.0), label=1.0)]
    found = ledger(rows, MEMBERS, right_by())
    assert (found.requests, found.rows) == (2, 4)
    assert found.of("usd_per_right").value == pytest.approx(4.0)


def test_comparisons_and_explored_answers_are_told_apart_from_routing() -> None:
    plain, learning = ledger(routed(), MEMBERS), ledger(routed(audit=0.1, explore=0.1), MEMBERS)
    assert plain.learning_usd == 0.0
    assert learning.usd > plain.usd
    assert learning.usd - learning.learning_usd == pytest.approx(plain.usd, rel=0.01)
    apart = learning.of("usd_per_row", "without learning")
    assert apart.low <= plain.of("usd_per_row").value <= apart.high


def test_the_dear_model_alone_is_priced_by_rows_weighted_with_their_chances() -> None:
    """Hard rows are long: those that went to the dear model cost it 12, easy ones only 6."""
    rng, rows = np.random.default_rng(8), []
    for k in range(6000):
        hard = bool(rng.random() < 0.3)
        chances = chances_told({"small": 0.1 if hard else 1.0, "large": 1.0 if hard else 0.1})
        compared = rng.random() < 0.1
        usd = 12.0 if hard else 6.0
        path = [Step("router", f"gain 0.1 below 0.2, {chances}", 0.0)]
        path += [Step("large", "gain", usd)] if hard else [Step("small", "gain", 1.0)]
        if compared:
            path.append(Step("small", "comparison: x", 1.0) if hard else Step("large", "comparison: x", usd))
        rows.append(row(f"r{k}", *path, at=float(k)))
    alone = ledger(rows, MEMBERS).of("usd_per_row", "large")
    assert alone.low <= 0.3 * 12 + 0.7 * 6 <= alone.high
    assert alone.high < 8.5  # the plain mean of the rows that it was asked about is 11
    assert alone.conditions["weighted"] is True


def test_a_dear_model_that_fails_is_dearer_alone() -> None:
    rows = [row(f"r{k}", Step("large", "failed: no", 1.0), Step("large", "again", 1.0), at=float(k)) for k in range(9)]
    assert ledger(rows, MEMBERS).of("usd_per_row", "large").value == 2.0


def test_intervals_of_the_saving_cover_it_as_often_as_they_say() -> None:
    rng, covered, runs = np.random.default_rng(9), 0, 200
    for _ in range(runs):
        rows = [tried(f"r{k}", bool(rng.random() < 0.3), rng, at=float(k)) for k in range(250)]
        saving = ledger(rows, MEMBERS).of("saving")
        covered += saving.low <= 1.0 - (0.01 + 0.4 * 1.05 + 0.03 + 0.3) <= saving.high
    assert covered / runs == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / runs) ** 0.5)


def paid(rows: Sequence[Record]) -> list[list[tuple[str, float]]]:
    return [[(item.at, round(item.usd, 9)) for item in bill.items] for bill in bills(rows, MEMBERS)]


def test_what_all_rows_of_a_request_went_through_together_is_shared_out() -> None:
    guard, own = Step("guard", "", 0.2), (Step("small", "", 1.0), Step("large", "", 5.0))
    rows = [row("a.0", guard, own[0], usd=1.1), row("a.1", guard, own[1], usd=5.1)]
    assert paid(rows) == [[("guard", 0.1), ("small", 1.0)], [("guard", 0.1), ("large", 5.0)]]


def test_rows_whose_own_ways_are_alike_pay_each_their_own() -> None:
    rows = [row(f"a.{k}", Step("small", "", 1.0), usd=1.0) for k in range(3)]
    assert paid(rows) == [[("small", 1.0)]] * 3


def test_what_no_step_tells_is_billed_all_the_same() -> None:
    assert paid([row("a", Step("small", "", 1.0), usd=1.5)]) == [[("small", 1.0), ("", 0.5)]]


def test_unknown_is_not_free() -> None:
    rows = [Record(f"r{k}", float(k), "r", "stable", {}, {}, path=(Step("large", ""),)) for k in range(5)]
    found = ledger(rows, MEMBERS)
    assert found.unpriced == 5
    assert found.verdict.decision == "wait"
    assert "nobody knows what large costs" in found.verdict.because


def test_nothing_to_bill_is_refused() -> None:
    with pytest.raises(BadData, match="no record to bill"):
        ledger([replace(row("a"), arm="shadow")], MEMBERS)
    with pytest.raises(BadData, match="name two or more"):
        ledger([row("a")], ("large",))
    with pytest.raises(LookupError, match="has no 'speed'"):
        ledger([row("a", Step("large", "", 1.0))], MEMBERS).of("speed")


def test_a_ledger_goes_to_json_and_back_and_reads_as_text() -> None:
    found = ledger(routed(200, audit=0.1), MEMBERS, right_by())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Ledger) == found
    console = Console(width=140, record=True, file=StringIO())
    console.print(ledger_text(found))
    text = console.export_text()
    assert "cheaper than large alone" in text
    assert "to learn from" in text
