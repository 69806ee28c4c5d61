from __future__ import annotations

from typing import Any

import msgspec
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.evaluate.reports.baseline import BaselineDiff, against_baseline
from roadworthy.evaluate.reports.better import Noise, standing
from roadworthy.evaluate.reports.report import Failure, GapReport
from roadworthy.testing.reports import rich_report


def changed(**fields: Any) -> GapReport:
    return msgspec.structs.replace(rich_report(), **fields)


def names(diff: BaselineDiff, standing: str) -> set[str]:
    return {f"{m.kind} {m.where} {m.after.name}".replace("  ", " ") for m in diff.of(standing)}


def test_a_report_against_itself_is_the_same_in_everything() -> None:
    diff = against_baseline(rich_report(), rich_report())
    assert {m.standing for m in diff.moved} == {"same"}
    assert diff.verdict.decision == "pass"
    assert diff.verdict.exit_code == 0
    assert (diff.requirements, diff.failures, diff.differs) == ((), (), ())


def test_what_is_compared_covers_every_part() -> None:
    kinds = {m.kind for m in against_baseline(rich_report(), rich_report()).moved}
    parts = {"lab", "production", "slice", "corruption", "under load", "edges", "load", "cost", "start", "memory"}
    assert kinds == parts


def test_a_worse_model_fails_and_a_better_one_passes() -> None:
    good, bad = rich_report(accuracy=0.96), rich_report(accuracy=0.84)
    worse, better = against_baseline(bad, good), against_baseline(good, bad)
    assert worse.verdict.decision == "fail"
    assert worse.verdict.exit_code == 1
    assert "accuracy from 0.9199 to 0.8" in worse.verdict.because
    assert {"production accuracy", "production log_loss"} <= names(worse, "worse")
    assert better.verdict.decision == "pass"
    assert {"production accuracy", "production log_loss"} <= names(better, "better")


def test_a_change_within_noise_is_undecided() -> None:
    diff = against_baseline(rich_report(accuracy=0.908), rich_report(accuracy=0.91))
    assert "production accuracy" in names(diff, "undecided")
    assert diff.verdict.decision == "pass"


def test_the_more_is_compared_the_more_it_takes_to_be_called_a_change() -> None:
    one, other = rich_report(accuracy=0.91), rich_report(accuracy=0.927)
    assert "production accuracy" in names(against_baseline(one, other), "undecided")
    assert standing(other.production[0], one.production[0]) == "worse"
    assert "production accuracy" in names(against_baseline(one, rich_report(accuracy=0.95)), "worse")


def test_a_latency_must_move_by_more_than_a_machine_does() -> None:
    a_little, a_lot = rich_report(p99_ms=18.4 * 1.19), rich_report(p99_ms=18.4 * 1.5)
    assert "load p99_ms" in names(against_baseline(a_little, rich_report()), "undecided")
    assert "load p99_ms" in names(against_baseline(a_lot, rich_report()), "worse")


@pytest.mark.parametrize(("share", "said"), [(0.2, "undecided"), (0.15, "worse")])
def test_a_price_within_what_a_machine_varies_by_is_undecided(share: float, said: str) -> None:
    then, now = (changed(cost=Measurement("usd_per_1k", usd, 9, usd, usd, "usd")) for usd in (1.0, 1.19))
    [moved] = [m for m in against_baseline(now, then, Noise(machine_share=share)).moved if m.kind == "cost"]
    assert moved.standing == said
    assert (moved.because == "less than 20%, which a machine varies by") == (said == "undecided")


def test_another_machine_says_nothing_about_speed() -> None:
    slower = msgspec.structs.replace(rich_report(p99_ms=80.0), environment={"system": "Linux arm64", "processors": "1"})
    diff = against_baseline(slower, rich_report())
    assert "load p99_ms" in names(diff, "undecided")
    assert all(m.because.startswith("another machine") for m in diff.moved if m.kind in ("load", "cost", "memory"))
    assert "system was Linux x86_64 and is Linux arm64" in diff.differs


@pytest.mark.parametrize(
    ("run", "because"),
    [
        ({"valid": False, "because": "the generator lagged"}, "was not valid: the generator lagged"),
        ({"rate": 90.0}, "state the rate"),
    ],
    ids=["invalid", "another rate"],
)
def test_a_load_run_that_is_no_match_is_not_compared(run: dict[str, Any], because: str) -> None:
    report = rich_report(p99_ms=80.0)
    assert report.load is not None
    diff = against_baseline(
        msgspec.structs.replace(report, load=msgspec.structs.replace(report.load, **run)), rich_report()
    )
    loads = [m for m in diff.moved if m.kind == "load" and m.after.name.startswith("p")]
    assert {m.standing for m in loads} == {"undecided"}
    assert all(because in m.because for m in loads)


def test_a_requirement_that_is_newly_broken_fails_and_one_in_doubt_waits() -> None:
    measured = (Measurement("accuracy", 0.87, 100, 0.8, 0.9),)
    was, broken, doubtful = (Verdict(d, d, "accuracy", measured) for d in ("pass", "fail", "wait"))
    failing = against_baseline(changed(verdicts=(broken,)), changed(verdicts=(was,)))
    waiting = against_baseline(changed(verdicts=(doubtful,)), changed(verdicts=(was,)))
    mended = against_baseline(changed(verdicts=(was,)), changed(verdicts=(broken,)))
    assert (failing.verdict.decision, waiting.verdict.decision, mended.verdict.decision) == ("fail", "wait", "pass")
    assert waiting.verdict.exit_code == 3
    assert [(r.of, r.before, r.after) for r in mended.requirements] == [("accuracy", "fail", "pass")]


def test_a_claim_that_is_no_more_reproduced_is_named() -> None:
    found = rich_report().reproductions[0]
    held = msgspec.structs.replace(found, outcome="reproduced")
    diff = against_baseline(changed(reproductions=(found,)), changed(reproductions=(held,)))
    assert [(r.of, r.after) for r in diff.requirements] == [("claimed accuracy", "fail")]
    assert diff.verdict.decision == "fail"


def test_a_new_failure_is_told_from_an_old_one_with_another_number_in_it() -> None:
    old = Failure("production", "TimeoutError: after 3.7 s", 4)
    new = Failure("lab", "ValueError: no such category", 9)
    diff = against_baseline(changed(failures=(old, new)), rich_report())
    assert diff.failures == (new,)
    assert "9 rows" in diff.verdict.because
    assert diff.verdict.decision == "fail"


def test_other_data_and_missing_parts_are_said() -> None:
    settings = {**rich_report().settings, "seed": 8, "production": {"digest": "ab" * 32}}
    diff = against_baseline(changed(settings=settings, memory=None), rich_report())
    assert any(line.startswith("the production data are others") for line in diff.differs)
    assert "the seed was 7 and is 8" in diff.differs
    assert "no more measured: 2 numbers of kind 'memory'" in diff.differs


def test_reports_that_have_nothing_in_common_wait() -> None:
    empty = {"lab": (), "production": (), "slices": (), "spoilt": (), "mixed": None, "edges": None, "under_load": None}
    empty |= {"load": None, "search": None, "cost": None, "cold": None, "memory": None}
    none = changed(**empty, capacity=Measurement("capacity_rps"))
    assert against_baseline(none, rich_report()).verdict.decision == "wait"


@pytest.mark.parametrize("field", ["name", "task", "headline"])
def test_another_application_is_refused_by_name(field: str) -> None:
    other = changed(**{field: "regression"})
    with pytest.raises(BadData, match=f"the baseline's `{field}` is"):
        against_baseline(other, rich_report())


def test_a_diff_is_plain_json() -> None:
    diff = against_baseline(rich_report(accuracy=0.84), rich_report())
    assert msgspec.json.decode(msgspec.json.encode(diff))["verdict"]["decision"] == "fail"
