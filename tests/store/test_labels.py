"""Every label joins its record once, or lies aside with the reason."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label, Record
from roadworthy.store.labels import LabelReport
from roadworthy.store.records import RecordLog


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
