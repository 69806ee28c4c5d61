from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Requirement
from roadworthy.core.record import Label, Record
from roadworthy.core.window import Window
from roadworthy.observe.alerts import DAY
from roadworthy.observe.estimators.doc import Doc
from roadworthy.observe.quality.draws import Draw, chances, collect
from roadworthy.observe.quality.quality import Evidence, Quality, Terms, quality
from roadworthy.observe.quality.quality_text import quality_text
from roadworthy.store.state import State

NOW = 28 * DAY
DRAW = Draw(0.25, "salt")


def window(n=3000, seed=0, turned=0.0, bad=0.0, missing=None, delay=0.5 * DAY) -> Window:
    """Four weeks of answers; `turned` outcomes are the other way round, `bad` ones at carrier UA from JFK too."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 2, n)
    carrier = rng.choice(np.array(["AA", "UA", "B6"], object), n)
    origin = rng.choice(np.array(["JFK", "EWR"], object), n)
    spoilt = np.where((carrier == "UA") & (origin == "JFK"), bad, turned)
    labels = (rng.random(n) < np.where(rng.random(n) < spoilt, 1 - p, p)).astype(float)
    at = np.sort(rng.uniform(0, NOW, n))
    known_at = at + rng.uniform(0, delay, n)
    if missing is not None:
        gone = rng.random(n) < missing(p)
        labels, known_at = np.where(gone, np.nan, labels), np.where(gone, np.nan, known_at)
    ids = np.array([f"r{k}" for k in range(n)], object)
    tags = {"origin": origin}
    return Window({"carrier": carrier, "x": rng.normal(size=n)}, {"p": p}, labels, at, tags, ids, known_at=known_at)


REFERENCE = window(seed=99)


def evidence(rows: Window, **more) -> Evidence:
    return Evidence({id: DRAW.share for id in rows.ids if DRAW.drawn(id)}, DRAW, **more)


def decisions(found: Quality) -> dict[str, str]:
    return {verdict.of: verdict.decision for verdict in found.verdicts}


def test_a_good_month_passes_and_says_so_in_every_way():
    rows = window()
    found = quality(rows, REFERENCE, NOW, Terms(requirements=(Requirement("auc", at_least=0.6),)), evidence(rows))
    assert decisions(found)["labels"] == decisions(found)["missing labels"] == decisions(found)["auc"] == "pass"
    assert found.rows == 3000
    assert found.arrival.young == pytest.approx(3000 * 0.475 / 28, rel=0.3)
    assert found.of("accuracy").n == found.arrival.mature == sum(each.rate.n for each in found.reliability)
    assert found.audit.drawn == found.audit.labelled > 600
    assert found.slices == found.missing == ()
    assert [m.conditions["estimator"] for m in found.label_free] == ["cbpe", "static"]
    assert sum(point.rows for point in found.series) == 3000
    assert len(found.series) == 4
    for point in found.series:
        assert point.audited.low <= point.measured.value <= point.audited.high


def test_outcomes_that_turned_are_seen_by_the_audit_and_the_estimate_is_distrusted():
    rows = window(turned=0.6)
    found = quality(rows, REFERENCE, NOW, None, evidence(rows))
    assert decisions(found)["trust cbpe"] == decisions(found)["trust static"] == "fail"
    assert found.decision == "fail"
    assert found.label_free[0].low > found.audit.of("accuracy").high


def test_without_an_audit_nothing_vouches_for_the_estimate():
    found = quality(window(), REFERENCE, NOW)
    assert decisions(found)["trust cbpe"] == "wait"
    assert found.audit.drawn == 0


def test_a_bad_slice_is_found_and_tags_are_shown_value_by_value():
    found = quality(window(bad=1.0), REFERENCE, NOW)
    worst = found.slices[0]
    assert set(worst.where.split(", ")) == {"carrier=UA", "origin=JFK"}
    assert worst.loss.n + worst.elsewhere.n == found.arrival.mature
    assert {m.where for m in found.by["origin"]} == {"origin=JFK", "origin=EWR"}
    jfk = next(m for m in found.by["origin"] if m.where == "origin=JFK")
    assert jfk.high < found.of("accuracy").low + 0.05


def test_labels_that_come_only_for_some_answers_are_an_alarm():
    found = quality(window(missing=lambda p: np.where(p > 0.6, 0.7, 0.1)), REFERENCE, NOW)
    assert decisions(found)["missing labels"] == "fail"
    assert found.missing[0].where.startswith("answer>=")


def test_labels_known_after_now_do_not_count():
    whole = window(delay=2 * DAY)
    early = quality(whole, REFERENCE, 14 * DAY)
    assert early.rows == (whole.at <= 14 * DAY).sum()
    assert early.of("accuracy").n < early.rows
    seen = (whole.at <= 14 * DAY) & (whole.known_at <= 14 * DAY)
    assert early.of("accuracy").n <= seen.sum()


def test_labels_that_contradict_each_other_are_counted_once_a_row():
    rows = window()
    other = [Label("r1", 1 - rows.labels[1], 5.0), Label("r1", 1 - rows.labels[1], 6.0), Label("zz", 1.0, 5.0)]
    found = quality(rows, REFERENCE, NOW, None, Evidence(aside=[(label, "conflicts") for label in other]))
    assert found.disputed.value * found.disputed.n == pytest.approx(1)
    assert "disputed" in decisions(found)
    same = Evidence(aside=[(Label("r1", rows.labels[1], 5.0), "unknown id")])
    assert quality(rows, REFERENCE, NOW, None, same).disputed.value == 0


def test_prediction_sets_have_a_coverage_over_labelled_rows():
    rows = window(400)
    sets = [("yes",) if p > 0.8 else ("no", "yes") for p in rows.outputs["p"]]
    found = quality(rows, REFERENCE, NOW, Terms(classes=("no", "yes")), Evidence(sets=sets))
    held, size = found.coverage
    assert held.n == size.n == found.arrival.mature
    assert held.value > 0.9


def test_a_requirement_is_met_by_the_audit_where_no_label_came():
    rows = window(missing=lambda p: np.ones(len(p)))
    found = quality(rows, REFERENCE, NOW, Terms(requirements=(Requirement("accuracy", at_least=0.5),)))
    assert decisions(found)["accuracy"] == "wait"
    labelled = np.isin(np.arange(rows.n), [k for k, id in enumerate(rows.ids) if DRAW.drawn(id)])
    drawn = window()
    only_drawn = Window(
        drawn.inputs,
        drawn.outputs,
        np.where(labelled, drawn.labels, np.nan),
        drawn.at,
        drawn.tags,
        drawn.ids,
        known_at=np.where(labelled, drawn.known_at, np.nan),
    )
    found = quality(only_drawn, REFERENCE, NOW, None, evidence(rows))
    assert found.audit.labelled > 600
    assert decisions(found)["missing labels"] == "pass"


def test_numbers_have_an_error_and_no_estimate():
    rng = np.random.default_rng(0)
    rows = window()
    numbers = Window(rows.inputs, {"p": 10 + rows.labels}, 10 + rng.normal(size=rows.n), rows.at, rows.tags)
    found = quality(numbers, numbers, NOW)
    assert [m.name for m in found.measured] == ["absolute_error", "bias"]
    assert all(m.n == 0 for m in found.label_free)
    assert found.series[0].measured.name == "absolute_error"


def test_no_rows_wait_and_an_output_that_is_not_there_is_refused():
    rows = window()
    empty = quality(rows.take(slice(0, 0)), REFERENCE, NOW)
    assert (empty.rows, empty.decision, empty.series) == (0, "wait", ())
    with pytest.raises(BadData, match="no output 'score' that holds numbers"):
        quality(rows, REFERENCE, NOW, Terms(output="score"))


def test_goes_to_json_and_back_and_to_a_page_of_text():
    rows = window(turned=0.6)
    terms = Terms(estimators={"doc": Doc()}, requirements=(Requirement("auc", at_least=0.6),))
    found = quality(rows, REFERENCE, NOW, terms, evidence(rows))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Quality) == found
    page = io.StringIO()
    Console(file=page, width=300).print(quality_text(found))
    for told in (
        "3,000 answers",
        "trust doc",
        "cannot be trusted",
        "reliability",
        "doc (no labels)",
        "1970-01-22",
        "EWR",
    ):
        assert told in page.getvalue()
    assert "[0." in page.getvalue()  # an interval is not taken for markup


def test_from_a_real_log_with_draws_and_labels(tmp_path):
    rows = window(600)
    with State.open(tmp_path, "process") as state:
        made = [
            Record(id, float(at), "5b" * 32, "stable", {"carrier": c}, {"p": float(p)}, tags={"origin": "JFK"})
            for id, at, c, p in zip(rows.ids, rows.at, rows.inputs["carrier"], rows.outputs["p"], strict=True)
        ]
        state.records.write(made)
        collect(state, DRAW, NOW, first_days=30)
        known = zip(rows.ids, rows.labels, rows.known_at, strict=True)
        state.records.write_labels([Label(id, float(y), float(at)) for id, y, at in known if at <= NOW])
        current = Window.of(state.records.read(0.0, NOW))
        kept = Evidence(chances(state, 0.0, NOW), DRAW, state.records.labels_aside())
        found = quality(current, REFERENCE, NOW, None, kept)
    assert found.audit.drawn > 100
    assert found.audit.of("accuracy").low <= found.of("accuracy").value <= found.audit.of("accuracy").high
