"""`roadworthy quality` measures answers with the labels that came."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Step

BEGAN, DAY = 1_700_438_400.0, 86_400.0


@pytest.fixture
def flagged(released, state):
    """A clinic that left the rows it was unsure of to people, for two weeks."""
    rng = np.random.default_rng(0)
    p = rng.random(600)
    records = [
        Record(
            f"visit-{k}", BEGAN + k * 14 * DAY / 600, "d", "stable", {}, {"probability": float(p[k])},
            float(max(p[k], 1 - p[k])), path=(Step("abstain", "unsure"),) if 0.4 < p[k] < 0.6 else (),
        )
        for k in range(600)
    ]  # fmt: skip
    state.records.write(records)
    state.records.write_labels([Label(r.id, float(rng.random() < p[k]), r.at + 60) for k, r in enumerate(records)])
    state.records.write_labels([Label(r.id, 1.0, r.at + 90, "person:anna") for r in records if r.path])
    return released


def test_what_labels_say_stands_beside_what_is_said_without_them(call, lived):
    told = call("quality", "--days", "7", "--project", lived, "--json")
    assert told.code in (0, 1, 3), told.err
    assert {one["name"] for one in told.body["measured"]} >= {"auc", "accuracy", "ece"}
    assert told.body["label_free"]
    assert told.body["arrival"]


def test_a_person_sees_the_reliability(call, lived):
    told = call("quality", "--days", "7", "--project", lived)
    assert "came true" in told.out
    assert "accuracy" in told.out


def test_one_release_alone(call, lived):
    every = call("quality", "--days", "7", "--project", lived, "--json").body["rows"]
    counts = call("log", "--project", lived, "--json").body["counts"]
    digest = next(row["release"] for row in counts if row["arm"] == "shadow")
    one = call("quality", "--days", "7", "--release", digest[:12], "--project", lived, "--json").body["rows"]
    assert 0 <= one < every


def test_a_stretch_without_records_waits(call, lived):
    assert call("quality", "--from", "2010-01-01 00:00", "--to", "2010-01-02 00:00", "--project", lived).code in (2, 3)


def test_abstaining_has_a_section_of_its_own(call, flagged):
    told = call("quality", "--days", "21", "--project", flagged)
    for words in ("flagged, of all answers", "overruled by a person", "week from", "○", "person:anna"):
        assert words in told.out, told.out + told.err


def test_a_program_gets_the_same_figures(call, flagged):
    found = call("quality", "--days", "21", "--project", flagged, "--json").body
    overall = found["abstained"]["overall"]
    assert 0.1 < overall["flagged"]["value"] < 0.3
    assert overall["overrides"]["n"] == round(overall["flagged"]["value"] * 600)
    assert [week["flagged"]["where"] for week in found["abstained"]["weeks"]] == ["2023-11-20", "2023-11-27"]


def test_the_word_of_a_person_who_is_told_by_hand_counts_at_once(call, flagged, state):
    before = call("quality", "--days", "21", "--project", flagged, "--json").body["abstained"]["overall"]
    answered = next(r.id for r in state.records.read() if not r.path)
    at = str(BEGAN + 13 * DAY)
    assert call("label", answered, "1", "--by", "person:ben", "--at", at, "--project", flagged).code in (0, 1)
    after = call("quality", "--days", "21", "--project", flagged, "--json").body["abstained"]["overall"]
    assert "n" not in before["overrides_answered"]
    assert after["overrides_answered"]["n"] == 1


def test_a_tolerance_for_classes_is_wrong_use(call, flagged):
    told = call("quality", "--tolerance", "1", "--days", "21", "--project", flagged)
    assert (told.code, "`--tolerance` is for answers that are numbers" in told.err) == (2, True)
