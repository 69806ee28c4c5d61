"""Every label joins its record once, or lies aside with the reason."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label, Record
from roadworthy.core.spec import Log
from roadworthy.store import labels
from roadworthy.store.labels import LabelReport
from roadworthy.store.records import RecordLog
from roadworthy.store.sealing import seal


def row(id, arm="stable"):
    return Record(id, 0.0, "r", arm, {}, {})


def test_a_label_joins_every_arm_of_its_record(log):
    log.write([row("one"), row("one", "shadow"), row("two")])
    assert log.write_labels([Label("one", 1.0, 9.0)]) == LabelReport(kept=1)
    assert [(r.id, r.arm, r.label, r.label_at) for r in log.read()] == [
        ("one", "stable", 1.0, 9.0),
        ("one", "shadow", 1.0, 9.0),
        ("two", "stable", None, None),
    ]


def test_a_label_for_an_unknown_id_is_reported_and_kept_aside(log):
    stray = Label("nobody", 1.0, 9.0, source="tower")
    assert log.write_labels([stray]) == LabelReport(unknown=(stray,))
    assert log.labels_aside() == [(stray, "unknown id")]


def test_a_label_that_overtook_its_record_joins_with_the_next_labels(log):
    log.write_labels([Label("early", 1.0, 9.0)])
    log.write([row("early")])
    log.write_labels([Label("other", 0.0, 10.0)])
    assert (log.get("early")[0].label, log.get("early")[0].label_at) == (1.0, 9.0)
    assert [label.id for label, _ in log.labels_aside()] == ["other"]


def test_of_two_labels_that_overtook_the_first_joins_and_the_other_conflicts(log):
    log.write_labels([Label("early", 1.0, 9.0), Label("early", 0.0, 10.0)])
    log.write([row("early")])
    log.write_labels([Label("early", 1.0, 11.0)])
    assert log.get("early")[0].label == 1.0
    assert log.labels_aside() == [(Label("early", 0.0, 10.0), "conflicts with an earlier label")]


def test_saying_it_again_changes_nothing(log):
    log.write([row("one")])
    log.write_labels([Label("one", 1.0, 9.0)])
    assert log.write_labels([Label("one", 1.0, 20.0)]) == LabelReport(repeated=1)
    assert log.get("one")[0].label_at == 9.0


def test_a_contradiction_lies_aside_and_the_first_label_stands(log):
    log.write([row("one")])
    other = Label("one", 0.0, 20.0)
    assert log.write_labels([Label("one", 1.0, 9.0), other]) == LabelReport(kept=1, conflicting=(other,))
    assert log.get("one")[0].label == 1.0
    assert log.labels_aside() == [(other, "conflicts with an earlier label")]


@pytest.mark.parametrize("bad", [Label("one", float("nan"), 1.0), Label("one", 1.0, float("inf"))])
def test_a_label_that_is_no_number_is_refused_before_any_is_written(log, bad):
    log.write([row("one")])
    with pytest.raises(BadData, match="must be finite numbers, got Label"):
        log.write_labels([Label("one", 1.0, 1.0), bad])
    assert log.get("one")[0].label is None


def test_more_labels_than_one_transaction_holds_all_join(log):
    log.write([row(str(k)) for k in range(4500)])
    assert log.write_labels([Label(str(k), float(k % 2), 1.0) for k in range(4600)]).kept == 4500
    assert sum(r.label is not None for r in log.read()) == 4500
    assert len(log.labels_aside()) == 100


def test_a_label_keeps_who_said_it_and_all_are_read_in_the_order_they_were_known(log):
    log.write([row("one"), row("two"), row("three")])
    log.write_labels([Label("two", 1.0, 9.0, "tower"), Label("one", 1.0, 5.0, "person:anna"), Label("three", 0.0, 7.0)])
    assert log.every_label(ids=["one", "two", "nobody", "one"]) == [
        Label("one", 1.0, 5.0, "person:anna"),
        Label("two", 1.0, 9.0, "tower"),
    ]
    assert [label.id for label in log.every_label()] == ["one", "three", "two"]
    assert log.every_label(ids=[]) == []


def test_of_two_people_who_disagree_the_first_stands_and_both_are_heard(log):
    log.write([row("one")])
    anna, ben = Label("one", 1.0, 5.0, "person:anna"), Label("one", 0.0, 6.0, "person:ben")
    assert log.write_labels([anna, ben]) == LabelReport(kept=1, conflicting=(ben,))
    assert log.get("one")[0].label == 1.0
    assert log.every_label(ids=["one"]) == [anna, ben]


def test_a_person_who_agrees_is_heard_too_and_a_table_that_repeats_is_not_kept_twice(log):
    log.write([row("one")])
    tower, anna = Label("one", 1.0, 5.0, "tower"), Label("one", 1.0, 6.0, "person:anna")
    log.write_labels([tower])
    assert log.write_labels([anna, Label("one", 1.0, 7.0, "again.csv")]) == LabelReport(repeated=2)
    assert log.write_labels([anna, tower]) == LabelReport(repeated=2)
    assert log.every_label(ids=["one"]) == [tower, anna]
    assert log.labels_aside() == []


def test_a_person_who_is_sent_again_spoke_once(log):
    log.write([row("one")])
    anna = Label("one", 1.0, 5.0, "person:anna")
    assert [log.write_labels([anna]) for _ in range(2)] == [LabelReport(kept=1), LabelReport(repeated=1)]
    assert log.every_label(ids=["one"]) == [anna]


def test_an_id_that_is_asked_for_twice_is_told_once(log, monkeypatch):
    monkeypatch.setattr(labels, "_IDS_AT_ONCE", 1)
    log.write([row("one"), row("two")])
    log.write_labels([Label("one", 1.0, 5.0), Label("two", 1.0, 4.0)])
    assert [label.id for label in log.every_label(ids=["one", "two", "one"])] == ["two", "one"]


def test_people_who_spoke_before_the_record_came_are_all_heard(log):
    early = [
        Label("one", value, at, who) for value, at, who in [(1.0, 1.0, "t"), (1.0, 2.0, "person"), (1.0, 3.0, "u")]
    ]
    against = Label("one", 0.0, 4.0, "person:ben")
    log.write_labels([*early, against])
    log.write([row("one"), row("two")])
    log.write_labels([Label("two", 1.0, 9.0)])
    assert log.every_label(ids=["one"]) == [early[0], early[1], against]
    assert log.labels_aside() == [(against, "conflicts with an earlier label")]


def test_labels_are_read_by_stretch_release_and_arm_sealed_or_not(log):
    pytest.importorskip("polars")
    made = [Record(f"r{k:02d}", float(k), "ab"[k % 2], ("stable", "shadow")[k > 6], {}, {}) for k in range(10)]
    log.write(made[:8])
    log.write_labels([Label(record.id, 1.0, 20.0 - record.at, "person") for record in made[:8]])
    seal(log, Log(seal_rows=100, seal_minutes=0.0, hot_minutes=0.0), 1e10, at_once=True)
    log.write(made[8:])
    log.write_labels([Label(record.id, 1.0, 20.0 - record.at, "person") for record in made[8:]])
    assert [segment.rows for segment in log.segments()] == [8]
    for asked in (
        {},
        {"since": 2.0, "until": 9.0},
        {"release": "a"},
        {"arms": ["shadow"]},
        {"ids": ["r01", "r09"], "until": 5.0},
        {"since": 1e9},
    ):
        found = log.every_label(**asked)
        assert {label.id for label in found} == {record.id for record in log.read(**asked)}, asked
        assert [label.at for label in found] == sorted(label.at for label in found)


def test_no_label_is_looked_for_by_going_through_a_table(log):
    for table in ("labels", "labels_aside"):
        with log.connection() as connection:
            sql = f"EXPLAIN QUERY PLAN SELECT id FROM {table} WHERE id IN (SELECT value FROM json_each('[1]'))"
            steps = [step[-1] for step in connection.execute(sql)]
        assert any(step.startswith(f"SEARCH {table} USING") for step in steps), steps


LABELS = st.lists(st.builds(Label, st.sampled_from("abcd"), st.sampled_from([0.0, 1.0]), st.just(1.0)), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(LABELS, max_size=4))
def test_no_label_is_ever_lost(tmp_path_factory, batches):
    log = RecordLog(tmp_path_factory.mktemp("log") / "records.db", "process")
    log.write([row("a"), row("b")])
    reports = [log.write_labels(batch) for batch in batches]
    joined = {(r.id, r.label) for r in log.read() if r.label is not None}
    aside = {(label.id, label.value) for label, _ in log.labels_aside()}
    log.close()
    given_labels = [label for batch in batches for label in batch]
    assert joined | aside == {(label.id, label.value) for label in given_labels}
    assert len(given_labels) == sum(r.kept + r.repeated + len(r.unknown) + len(r.conflicting) for r in reports)
    assert max(Counter(id for id, _ in joined).values(), default=1) == 1
